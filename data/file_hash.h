#pragma once
// The checksum of a whole file, which also notices damage in bytes that no reader looks at.

#include <cstdint>
#include <filesystem>

#include "runtime/files.h"

namespace limewash::data {

/// XXH3 over the bytes of a file; each piece that was read is also handed to `also`, if there is
/// one. Memory does not grow with the file. Throws InputError when it cannot be read.
uint64_t hash_of_file(const std::filesystem::path& path, const WriteBytes& also = nullptr);

}  // namespace limewash::data
