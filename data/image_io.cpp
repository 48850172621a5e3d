#include "data/image_io.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <png.h>
#include <system_error>
#include <unistd.h>

#include "data/foreign_format.h"
#include "data/image_codec.h"
#include "data/mask_decoding.h"
#include "data/upright.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;

constexpr uint8_t kWhite = 255;

std::string encode(
    const uint8_t* pixels, int64_t width, int64_t height, png_uint_32 format, int channels) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(width);
  png.height = static_cast<png_uint_32>(height);
  png.format = format;
  png.flags = PNG_IMAGE_FLAG_FAST;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::string bytes(size, '\0');
  const auto stride = static_cast<png_int_32>(width * channels);
  if (!png_image_write_to_memory(&png, bytes.data(), &size, 0, pixels, stride, nullptr)) {
    throw InputError(std::string("could not encode a PNG: ") + png.message);
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace

void check_image_size(int64_t width, int64_t height, const std::string& name) {
  if (width <= 0 || height <= 0) throw InputError(name + ": the image has no pixels");
  if (width > kMaxImagePixels || height > kMaxImagePixels / width) {
    throw InputError(name + ": " + std::to_string(width) + " x " + std::to_string(height) +
                     " pixels are more than the allowed 100 megapixels");
  }
}

int exif_orientation(std::string_view tiff) {
  if (tiff.size() < 8) return 1;
  const bool big_endian = tiff.starts_with("MM");
  if (!big_endian && !tiff.starts_with("II")) return 1;
  const auto number = [&](size_t at, size_t length) {
    uint32_t value = 0;
    for (size_t i = 0; i < length; ++i) {
      const size_t digit = big_endian ? i : length - 1 - i;
      value = value << 8 | static_cast<uint8_t>(tiff[at + digit]);
    }
    return value;
  };
  constexpr size_t kEntrySize = 12;
  constexpr uint32_t kOrientation = 0x0112;
  const size_t directory = number(4, 4);
  if (directory > tiff.size() - 2) return 1;
  const size_t entries = number(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    const size_t at = directory + 2 + i * kEntrySize;
    if (at + kEntrySize > tiff.size()) return 1;
    if (number(at, 2) != kOrientation) continue;
    const uint32_t value = number(at + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

ImageFormat format_of(std::string_view bytes, const std::string& name) {
  using namespace std::literals;
  if (bytes.empty()) throw InputError(name + ": the file is empty");
  if (bytes.starts_with("\x89PNG"sv)) return ImageFormat::kPng;
  if (bytes.starts_with("\xff\xd8"sv)) return ImageFormat::kJpeg;
  if (bytes.starts_with("RIFF"sv) && (bytes.size() < 12 || bytes.substr(8, 4) == "WEBP"sv))
    return ImageFormat::kWebp;
  for (const std::string_view start : {"II*\0"sv, "MM\0*"sv, "II+\0"sv, "MM\0+"sv})
    if (bytes.starts_with(start)) return ImageFormat::kTiff;
  throw InputError(name + ": " + describe_foreign(bytes));
}

std::vector<uint8_t> flatten_alpha(const std::vector<uint8_t>& rgba, uint8_t background) {
  std::vector<uint8_t> rgb(rgba.size() / 4 * 3);
  for (size_t i = 0; i < rgba.size() / 4; ++i) {
    const unsigned alpha = rgba[4 * i + 3];
    for (size_t c = 0; c < 3; ++c)
      rgb[3 * i + c] =
          static_cast<uint8_t>((rgba[4 * i + c] * alpha + background * (255 - alpha) + 127) / 255);
  }
  return rgb;
}

Image decode_upright(std::string_view bytes, const std::string& name, uint8_t background) {
  const auto decode = [&] {
    switch (format_of(bytes, name)) {
      case ImageFormat::kPng:
        return decode_png(bytes, name, background);
      case ImageFormat::kWebp:
        return decode_webp(bytes, name, background);
      case ImageFormat::kTiff:
        return decode_tiff(bytes, name, background);
      default:
        return decode_jpeg(bytes, name);
    }
  };
  DecodedImage decoded = decode();
  Image& image = decoded.image;
  turn_upright(image.pixels, image.height, image.width, 3, decoded.orientation);
  return std::move(image);
}

Image decode_image(std::string_view bytes, const std::string& name) {
  return decode_upright(bytes, name, kWhite);
}

Mask decode_mask(std::string_view bytes, const std::string& name) {
  return decode_mask(bytes, name, MaskRule{});
}

Image read_image(const fs::path& path) {
  return decode_image(read_file(path, kMaxFileBytes), path.string());
}

Mask read_mask(const fs::path& path) {
  return read_mask(path, MaskRule{});
}

std::string encode_png(const Image& image) {
  return encode(image.pixels.data(), image.width, image.height, PNG_FORMAT_RGB, 3);
}

std::string encode_png(const Mask& mask) {
  return encode(mask.pixels.data(), mask.width, mask.height, PNG_FORMAT_GRAY, 1);
}

void write_encoded(const fs::path& path, std::string_view bytes) {
  // No fsync: thousands of pictures are written in one go, and each can be rendered again.
  fs::path temporary = path;
  temporary += ".partial-" + std::to_string(::getpid());
  {
    std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) {
      const std::string reason = std::strerror(errno);
      std::error_code ignored;
      fs::remove(temporary, ignored);
      throw InputError(path.string() + ": cannot be written: " + reason);
    }
  }
  std::error_code failure;
  fs::rename(temporary, path, failure);
  if (failure) throw InputError(path.string() + ": cannot be written: " + failure.message());
}

void write_png(const fs::path& path, const Image& image) {
  write_encoded(path, encode_png(image));
}

void write_png(const fs::path& path, const Mask& mask) {
  write_encoded(path, encode_png(mask));
}

}  // namespace limewash::data
