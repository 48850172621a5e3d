#pragma once
// The decoders of single formats, behind data/image_io.h.

#include <string>
#include <string_view>

#include "data/image.h"

namespace limewash::data {

/// Pixels as they are stored, and how EXIF says to turn them (1 to 8; 1 is upright).
struct DecodedImage {
  Image image;
  int orientation = 1;
};

/// `background` (0-255, grey) shows through transparent pixels. Both throw InputError with `name`.
DecodedImage decode_png(std::string_view bytes, const std::string& name, uint8_t background);
DecodedImage decode_jpeg(std::string_view bytes, const std::string& name);

/// Throws InputError when an image of this size is empty or above kMaxImagePixels.
void check_image_size(int64_t width, int64_t height, const std::string& name);

/// The orientation in an EXIF block (a TIFF header and its first directory); 1 where there is none.
int exif_orientation(std::string_view tiff);

}  // namespace limewash::data
