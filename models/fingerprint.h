#pragma once
// What the caches of encoder outputs depend on.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace limewash::models {

/// xxh3 (64 bits, hex) over the given names and the bytes of the files beside them, in that order.
/// A file that does not exist counts as absent.
std::string fingerprint_files(
    const std::vector<std::pair<std::string, std::filesystem::path>>& files);

}  // namespace limewash::models
