#include "data/jpeg_damage.h"

#include <algorithm>
#include <cstddef>

namespace limewash::data {
namespace {

constexpr size_t kSector = 512;

/// The entropy-coded data: up to the first marker that is neither a stuffed zero, a fill byte nor a
/// restart.
std::string_view coded_data(std::string_view scan) {
  for (size_t at = scan.find('\xff'); at != std::string_view::npos && at + 1 < scan.size();
       at = scan.find('\xff', at + 1)) {
    const auto marker = static_cast<unsigned char>(scan[at + 1]);
    const bool restart = marker >= 0xd0 && marker <= 0xd7;
    if (marker != 0 && marker != 0xff && !restart) return scan.substr(0, at);
  }
  return scan;
}

}  // namespace

bool has_lost_sector(std::string_view scan) {
  const std::string_view data = coded_data(scan);
  // A run of a sector's length covers one of these places; the run around it is measured.
  for (size_t at = kSector - 1; at < data.size(); at += kSector) {
    if (data[at] != '\0') continue;
    const size_t before = data.find_last_not_of('\0', at);
    const size_t begin = before == std::string_view::npos ? 0 : before + 1;
    const size_t end = std::min(data.find_first_not_of('\0', at), data.size());
    if (end - begin >= kSector) return true;
  }
  return false;
}

}  // namespace limewash::data
