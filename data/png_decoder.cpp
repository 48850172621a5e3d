#include <png.h>
#include <zlib.h>

#include "data/image_codec.h"
#include "runtime/error.h"

namespace limewash::data {
namespace {

constexpr size_t kSignature = 8;
constexpr size_t kChunkOverhead = 12;  // length, type, checksum

uint32_t big_endian(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

/// libpng stops at the last row it needs; this walk also sees what is missing or damaged after it.
/// Returns the orientation of an eXIf chunk.
int check_chunks(std::string_view bytes, const std::string& name) {
  int orientation = 1;
  size_t at = kSignature;
  while (true) {
    if (bytes.size() - at < kChunkOverhead) throw InputError(name + ": the PNG is truncated");
    const size_t length = big_endian(bytes, at);
    const std::string_view type = bytes.substr(at + 4, 4);
    if (length > bytes.size() - at - kChunkOverhead) {
      throw InputError(name + ": the PNG is truncated in its chunk at byte " + std::to_string(at));
    }
    const bool critical = (type[0] & 0x20) == 0;
    if (critical) {
      const auto* data = reinterpret_cast<const Bytef*>(bytes.data() + at + 4);
      const uLong checksum = crc32(crc32(0, nullptr, 0), data, static_cast<uInt>(length + 4));
      if (checksum != big_endian(bytes, at + 8 + length)) {
        throw InputError(name + ": the PNG is corrupt: wrong checksum of the chunk at byte " +
                         std::to_string(at));
      }
    }
    if (type == "eXIf") orientation = exif_orientation(bytes.substr(at + 8, length));
    if (type == "IEND") return orientation;
    at += length + kChunkOverhead;
  }
}

}  // namespace

DecodedImage decode_png(std::string_view bytes, const std::string& name, uint8_t background) {
  DecodedImage decoded;
  if (bytes.size() < kSignature) throw InputError(name + ": the PNG is truncated");
  decoded.orientation = check_chunks(bytes, name);

  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_memory(&png, bytes.data(), bytes.size())) {
    throw InputError(name + ": the PNG is corrupt: " + png.message);
  }
  struct Release {
    png_image& png;
    ~Release() {
      png_image_free(&png);
    }
  } release{png};
  check_image_size(png.width, png.height, name);
  const bool transparent = (png.format & PNG_FORMAT_FLAG_ALPHA) != 0;
  png.format = transparent ? PNG_FORMAT_RGBA : PNG_FORMAT_RGB;
  // 16 bits a channel are sRGB too, not linear light.
  png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  decoded.image.width = png.width;
  decoded.image.height = png.height;
  std::vector<uint8_t>& pixels = decoded.image.pixels;
  pixels.resize(PNG_IMAGE_SIZE(png));
  if (!png_image_finish_read(&png, nullptr, pixels.data(), 0, nullptr)) {
    throw InputError(name + ": the PNG is corrupt: " + png.message);
  }
  if (transparent) pixels = flatten_alpha(pixels, background);
  return decoded;
}

}  // namespace limewash::data
