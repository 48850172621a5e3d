#include "models/fingerprint.h"

#include <cstdio>
#include <fstream>
#include <memory>

#include <xxhash.h>

#include "runtime/error.h"

namespace limewash::models {

std::string fingerprint_files(
    const std::vector<std::pair<std::string, std::filesystem::path>>& files) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       &XXH3_freeState);
  if (!state) throw std::bad_alloc();
  XXH3_64bits_reset(state.get());
  const auto add_text = [&](const std::string& text) {
    // With its closing zero, so that two texts never run together.
    XXH3_64bits_update(state.get(), text.c_str(), text.size() + 1);
  };
  std::vector<char> buffer(size_t{1} << 20);
  for (const auto& [name, path] : files) {
    add_text(name);
    if (!std::filesystem::exists(path)) {
      add_text("absent");
      continue;
    }
    std::ifstream stream(path, std::ios::binary);
    uint64_t size = 0;
    while (stream) {
      stream.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
      XXH3_64bits_update(state.get(), buffer.data(), static_cast<size_t>(stream.gcount()));
      size += static_cast<uint64_t>(stream.gcount());
    }
    if (!stream.eof()) throw InputError(path.string() + ": cannot be read");
    add_text(std::to_string(size));
  }
  char text[17];
  std::snprintf(text,
                sizeof text,
                "%016llx",
                static_cast<unsigned long long>(XXH3_64bits_digest(state.get())));
  return text;
}

}  // namespace limewash::models
