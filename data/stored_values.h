#pragma once
// Single-channel pictures as their files store them, for masks: 16-bit grey keeps its precision,
// and label maps keep the numbers of their classes.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace limewash::data {

struct StoredValues {
  int64_t height = 0, width = 0;
  std::vector<uint16_t> values;  ///< [height, width]: grey, or indices into a palette
  uint16_t white = 255;          ///< the largest value that the file's depth can hold
  bool palette = false;
  bool white_is_zero = false;  ///< TIFF's MINISWHITE
  int orientation = 1;         ///< as in EXIF
};

/// Whether the PNG is grey, with or without alpha, or has a palette: what png_values can read.
bool png_has_single_values(std::string_view bytes);

/// The values of such a PNG; transparent pixels are 0, half transparent ones of grey PNGs darker.
/// Throws InputError with `name`.
StoredValues png_values(std::string_view bytes, const std::string& name);

/// The same for a TIFF of one integer sample a pixel, of 1 to 16 bits.
bool tiff_has_single_values(std::string_view bytes, const std::string& name);
StoredValues tiff_values(std::string_view bytes, const std::string& name);

}  // namespace limewash::data
