#include "data/disk_space.h"

#include <cstdio>
#include <system_error>

#include <spdlog/spdlog.h>

#include "runtime/error.h"

namespace limewash::data {

std::string readable_size(int64_t bytes) {
  double value = static_cast<double>(bytes);
  const char* unit = "kB";
  value /= 1e3;
  for (const char* larger : {"MB", "GB", "TB"}) {
    if (value < 1e3) break;
    value /= 1e3;
    unit = larger;
  }
  char text[48];
  std::snprintf(text, sizeof(text), "%.1f %s", value, unit);
  return text;
}

void require_disk_space(const std::filesystem::path& folder,
                        int64_t bytes,
                        const std::string& what) {
  std::error_code error;
  const auto space = std::filesystem::space(folder, error);
  if (error) {
    spdlog::info("{}: {} needs {} of disk", folder.string(), what, readable_size(bytes));
    return;
  }
  const auto available = static_cast<int64_t>(space.available);
  spdlog::info("{}: {} needs {} of disk, {} are free",
               folder.string(),
               what,
               readable_size(bytes),
               readable_size(available));
  if (bytes > available)
    throw InputError(folder.string() + ": " + what + " needs " + readable_size(bytes) +
                     " of disk, and only " + readable_size(available) + " are free");
}

}  // namespace limewash::data
