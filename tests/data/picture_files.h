#pragma once
// Pictures in the formats that limewash reads and does not write, for tests.

#include <cstdint>
#include <string>

#include "data/image.h"

namespace limewash::data {

std::string jpeg_of(const Image& image, bool progressive);
std::string webp_of(const Image& image, bool lossless);

/// `compression` is one of libtiff's COMPRESSION_ constants. Strips of five rows, or one tile of
/// 32 x 32 pixels in one colour.
std::string tiff_of(const Image& image, uint16_t compression, bool tiled);

}  // namespace limewash::data
