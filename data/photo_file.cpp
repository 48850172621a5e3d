#include "data/photo_file.h"

#include <utility>

#include "data/image_codec.h"
#include "data/image_io.h"
#include "data/pixel_memory.h"
#include "data/upright.h"
#include "runtime/files.h"

namespace limewash::data {
namespace {

/// How an orientation of EXIF 2.3 turns stored pixels.
bool swaps_sides(int orientation) {
  return orientation >= 5;
}
bool from_right(int orientation) {
  return orientation == 2 || orientation == 3 || orientation >= 7;
}

}  // namespace

PhotoFile::PhotoFile(const std::filesystem::path& path)
    : name_(path.string()), bytes_(read_file(path, kMaxFileBytes)) {
  if (format_of(bytes_, name_) != ImageFormat::kJpeg) {
    whole_ = decode_image(bytes_, name_);
    height_ = whole_.height;
    width_ = whole_.width;
    sound_ = true;
    return;
  }
  const JpegHeader header = read_jpeg_header(bytes_, name_);
  orientation_ = header.orientation;
  height_ = header.height;
  width_ = header.width;
  if (swaps_sides(orientation_)) std::swap(height_, width_);
}

PhotoFile::~PhotoFile() {
  keep_pixel_memory(std::move(whole_.pixels));
}

int64_t PhotoFile::height() const {
  return height_;
}

int64_t PhotoFile::width() const {
  return width_;
}

PhotoPart PhotoFile::decode(const Rectangle& part) {
  if (!whole_.pixels.empty()) return {std::move(whole_), part};
  // The part's extent along the stored columns, and what is left out before it in the upright
  // picture.
  const bool swaps = swaps_sides(orientation_), mirrored = from_right(orientation_);
  const int64_t columns = swaps ? height_ : width_;
  const int64_t begin = swaps ? part.top : part.left, count = swaps ? part.height : part.width;
  int64_t first = mirrored ? columns - begin - count : begin;
  DecodedImage decoded = decode_jpeg_columns(bytes_, name_, first, count);
  sound_ = true;
  const int64_t left_out = mirrored ? columns - first - decoded.image.width : first;
  Image& image = decoded.image;
  turn_upright(image.pixels, image.height, image.width, 3, orientation_);
  Rectangle there = part;
  (swaps ? there.top : there.left) -= left_out;
  return {std::move(image), there};
}

void PhotoFile::check() const {
  if (!sound_) check_jpeg(bytes_, name_);
}

}  // namespace limewash::data
