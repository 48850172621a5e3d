#pragma once
// zlib's compression of one block of bytes, as HDF5's gzip filter stores it.

#include <cstdint>
#include <span>
#include <vector>

namespace limewash::data {

/// Photos hardly compress further above it, at several times the time.
inline constexpr int kDeflateLevel = 1;

/// `bytes` deflated. Equal input gives equal bytes. From any thread.
std::vector<uint8_t> deflate_bytes(std::span<const uint8_t> bytes);

/// Inflate into exactly `into`; InputError when `deflated` is damaged or holds more or less. From
/// any thread.
void inflate_bytes(std::span<const uint8_t> deflated, std::span<uint8_t> into);

}  // namespace limewash::data
