#pragma once
// Photos and masks in files. Decoding is silent, bounded and strict: a damaged file is an error
// that names it, never half a picture.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "data/image.h"

namespace limewash::data {

/// More than this many pixels are refused by the file's header, before memory is asked for.
constexpr int64_t kMaxImagePixels = 100'000'000;

/// Larger files are not read.
constexpr uint64_t kMaxFileBytes = uint64_t{512} << 20;

/// A PNG, JPEG, WebP or TIFF (its first page) as 8-bit sRGB: grey, palette, 16-bit and CMYK are
/// converted, transparency is laid over white, EXIF orientation is applied; embedded colour
/// profiles are not. The format is known by the content, not by the name. Throws InputError naming
/// the file and what is wrong: missing, a folder, another format, animated, too large, truncated,
/// corrupt.
Image read_image(const std::filesystem::path& path);

/// A mask: white (above half) is wall. Transparency counts as black; an image whose largest value
/// is 1 is taken as 0/1. Throws as read_image. data/mask_decoding.h has other rules.
Mask read_mask(const std::filesystem::path& path);

/// The same from bytes; `name` stands for the file in messages.
Image decode_image(std::string_view bytes, const std::string& name);
Mask decode_mask(std::string_view bytes, const std::string& name);

/// As PNG, compressed for speed. Lossless; equal pixels give equal bytes.
std::string encode_png(const Image& image);
std::string encode_png(const Mask& mask);

/// Bytes of an encoded image to a file, under a temporary name first. Throws InputError (disk full,
/// read-only).
void write_encoded(const std::filesystem::path& path, std::string_view bytes);

/// encode_png, then write_encoded.
void write_png(const std::filesystem::path& path, const Image& image);
void write_png(const std::filesystem::path& path, const Mask& mask);

}  // namespace limewash::data
