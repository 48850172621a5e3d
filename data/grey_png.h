#pragma once
// The most frequent mask, decoded several times as fast as libpng does.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace limewash::data {

struct GreyPixels {
  int64_t height = 0, width = 0;
  std::vector<uint8_t> values;  ///< [height, width], as stored
};

/// A sound PNG of 8-bit grey, not interlaced, with nothing that changes the meaning of its values
/// or turns it (transparency, gamma, colour profile, EXIF). Nothing for any other bytes: libpng
/// then reads them, or says what is wrong. Checksums of all chunks and of the pixels are verified.
std::optional<GreyPixels> decode_grey_png(std::string_view bytes);

}  // namespace limewash::data
