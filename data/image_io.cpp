#include "data/image_io.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <png.h>
#include <system_error>
#include <unistd.h>

#include "data/image_codec.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFileBytes = uint64_t{512} << 20;
constexpr uint8_t kWhite = 255, kBlack = 0;

/// Turn stored pixels upright, as EXIF 2.3 numbers the orientations.
Image upright(DecodedImage decoded) {
  const int orientation = decoded.orientation;
  if (orientation <= 1 || orientation > 8) return std::move(decoded.image);
  const Image& stored = decoded.image;
  const bool swaps = orientation >= 5;
  Image image;
  image.height = swaps ? stored.width : stored.height;
  image.width = swaps ? stored.height : stored.width;
  image.pixels.resize(stored.pixels.size());
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) {
      int64_t row = swaps ? x : y, column = swaps ? y : x;
      if (orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8) {
        if (swaps) {
          column = stored.width - 1 - column;
        } else {
          row = stored.height - 1 - row;
        }
      }
      if (orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7) {
        if (swaps) {
          row = stored.height - 1 - row;
        } else {
          column = stored.width - 1 - column;
        }
      }
      const uint8_t* from = &stored.pixels[static_cast<size_t>((row * stored.width + column) * 3)];
      std::copy_n(from, 3, &image.pixels[static_cast<size_t>((y * image.width + x) * 3)]);
    }
  }
  return image;
}

Image decode(std::string_view bytes, const std::string& name, uint8_t background) {
  using namespace std::literals;
  if (bytes.empty()) throw InputError(name + ": the file is empty");
  if (bytes.starts_with("\x89PNG"sv)) return upright(decode_png(bytes, name, background));
  if (bytes.starts_with("\xff\xd8"sv)) return upright(decode_jpeg(bytes, name));
  throw InputError(name + ": is neither PNG nor JPEG");
}

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

Image decode_image(std::string_view bytes, const std::string& name) {
  return decode(bytes, name, kWhite);
}

Mask decode_mask(std::string_view bytes, const std::string& name) {
  const Image image = decode(bytes, name, kBlack);
  Mask mask{image.height, image.width, {}};
  mask.pixels.resize(image.pixels.size() / 3);
  for (size_t i = 0; i < mask.pixels.size(); ++i) {
    const uint8_t* rgb = &image.pixels[3 * i];
    mask.pixels[i] =
        static_cast<uint8_t>((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000);
  }
  const uint8_t largest = *std::max_element(mask.pixels.begin(), mask.pixels.end());
  const int threshold = largest == 1 ? 0 : 127;
  for (uint8_t& value : mask.pixels) value = value > threshold ? 255 : 0;
  return mask;
}

Image read_image(const fs::path& path) {
  return decode_image(read_file(path, kMaxFileBytes), path.string());
}

Mask read_mask(const fs::path& path) {
  return decode_mask(read_file(path, kMaxFileBytes), path.string());
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
