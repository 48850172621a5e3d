#pragma once
// The decoders of single formats, behind data/image_io.h.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/image.h"

namespace limewash::data {

/// Pixels as they are stored, and how EXIF says to turn them (1 to 8; 1 is upright).
struct DecodedImage {
  Image image;
  int orientation = 1;
};

/// `background` (0-255, grey) shows through transparent pixels. All throw InputError with `name`.
DecodedImage decode_png(std::string_view bytes, const std::string& name, uint8_t background);
DecodedImage decode_jpeg(std::string_view bytes, const std::string& name);
DecodedImage decode_webp(std::string_view bytes, const std::string& name, uint8_t background);
DecodedImage decode_tiff(std::string_view bytes, const std::string& name, uint8_t background);

/// What a JPEG's header says of the stored picture. Throws InputError with `name`, also where the
/// picture is too large.
struct JpegHeader {
  int64_t height = 0, width = 0;
  int orientation = 1;
};
JpegHeader read_jpeg_header(std::string_view bytes, const std::string& name);

/// decode_jpeg, but of the stored columns at least those from `left` on, `width` of them; `left`
/// becomes the first column that is there. Their pixels and all errors are those of decode_jpeg.
DecodedImage decode_jpeg_columns(std::string_view bytes,
                                 const std::string& name,
                                 int64_t& left,
                                 int64_t width);

/// Throws wherever decode_jpeg does, in less time.
void check_jpeg(std::string_view bytes, const std::string& name);

enum class ImageFormat { kPng, kJpeg, kWebp, kTiff };

/// By the first bytes, whatever the file's name says. Throws InputError with `name`, saying what
/// the file is instead.
ImageFormat format_of(std::string_view bytes, const std::string& name);

/// Any of the formats, turned upright.
Image decode_upright(std::string_view bytes, const std::string& name, uint8_t background);

/// Whether pixels came through lossy compression. Throw InputError with `name`.
bool webp_is_lossless(std::string_view bytes, const std::string& name);
bool tiff_is_lossy(std::string_view bytes, const std::string& name);

/// RGBA over grey, in the values as stored, as browsers and editors blend; halves are rounded up.
std::vector<uint8_t> flatten_alpha(const std::vector<uint8_t>& rgba, uint8_t background);

/// Throws InputError when an image of this size is empty or above kMaxImagePixels.
void check_image_size(int64_t width, int64_t height, const std::string& name);

/// The orientation in an EXIF block (a TIFF header and its first directory); 1 where there is none.
int exif_orientation(std::string_view tiff);

}  // namespace limewash::data
