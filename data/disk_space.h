#pragma once
// Whether what is about to be written has a place.

#include <cstdint>
#include <filesystem>
#include <string>

namespace limewash::data {

/// "12.3 GB": a size as people read it, in powers of 1000.
std::string readable_size(int64_t bytes);

/// Log what is needed and what is free on the disk of `folder`, which must be there, and throw an
/// InputError when `bytes` do not fit. A disk that does not tell is taken to be large enough.
void require_disk_space(const std::filesystem::path& folder,
                        int64_t bytes,
                        const std::string& what);

}  // namespace limewash::data
