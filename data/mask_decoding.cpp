#include "data/mask_decoding.h"

#include <algorithm>
#include <optional>

#include "data/grey_png.h"
#include "data/image_codec.h"
#include "data/image_io.h"
#include "data/stored_values.h"
#include "data/upright.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::data {
namespace {

constexpr uint8_t kBlack = 0;
constexpr size_t kValues = size_t{1} << 16;

/// For each stored value whether it is wall.
using WallTable = std::vector<uint8_t>;

WallTable table_of_classes(const std::vector<double>& classes) {
  WallTable table(kValues, 0);
  for (const double value : classes)
    if (value >= 0 && value < static_cast<double>(kValues)) table[static_cast<size_t>(value)] = 255;
  return table;
}

WallTable table_of_threshold(double threshold, uint16_t white, uint16_t largest) {
  WallTable table(kValues, 0);
  const double limit = largest == 1 ? 0 : threshold * white;
  for (size_t value = 0; value < kValues; ++value)
    if (static_cast<double>(value) > limit) table[value] = 255;
  return table;
}

std::optional<StoredValues> single_values(std::string_view bytes,
                                          const std::string& name,
                                          ImageFormat format) {
  if (format == ImageFormat::kPng && png_has_single_values(bytes)) return png_values(bytes, name);
  if (format == ImageFormat::kTiff && tiff_has_single_values(bytes, name))
    return tiff_values(bytes, name);
  return std::nullopt;
}

Mask look_up(const StoredValues& stored, const WallTable& table) {
  Mask mask{stored.height, stored.width, std::vector<uint8_t>(stored.values.size())};
  std::transform(
      stored.values.begin(), stored.values.end(), mask.pixels.begin(), [&](uint16_t value) {
        return table[value];
      });
  turn_upright(mask.pixels, mask.height, mask.width, 1, stored.orientation);
  return mask;
}

Mask look_up(const Image& image, std::vector<uint8_t> values, const WallTable& table) {
  for (uint8_t& value : values) value = table[value];
  return {image.height, image.width, std::move(values)};
}

Mask decode_classes(std::string_view bytes, const std::string& name, const MaskRule& rule) {
  const ImageFormat format = format_of(bytes, name);
  const bool lossy = format == ImageFormat::kJpeg ||
                     (format == ImageFormat::kWebp && !webp_is_lossless(bytes, name)) ||
                     (format == ImageFormat::kTiff && tiff_is_lossy(bytes, name));
  if (lossy)
    throw InputError(name +
                     ": is compressed with loss, which class numbers (prepare.mask_classes) "
                     "do not survive; PNG, TIFF or lossless WebP is expected");
  const WallTable table = table_of_classes(rule.classes);
  if (const auto stored = single_values(bytes, name, format)) return look_up(*stored, table);
  const Image image = decode_upright(bytes, name, kBlack);
  std::vector<uint8_t> values(image.pixels.size() / 3);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint8_t* rgb = &image.pixels[3 * i];
    if (rgb[0] != rgb[1] || rgb[1] != rgb[2])
      throw InputError(name +
                       ": is in colour; a label map (prepare.mask_classes) has one number a "
                       "pixel, as grey or as the index into a palette");
    values[i] = rgb[0];
  }
  return look_up(image, std::move(values), table);
}

Mask decode_soft(std::string_view bytes, const std::string& name, double threshold) {
  if (auto stored = single_values(bytes, name, format_of(bytes, name));
      stored && !stored->palette) {
    if (stored->white_is_zero)
      for (uint16_t& value : stored->values) value = static_cast<uint16_t>(stored->white - value);
    const uint16_t largest = *std::max_element(stored->values.begin(), stored->values.end());
    return look_up(*stored, table_of_threshold(threshold, stored->white, largest));
  }
  const Image image = decode_upright(bytes, name, kBlack);
  std::vector<uint8_t> values(image.pixels.size() / 3);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint8_t* rgb = &image.pixels[3 * i];
    values[i] = static_cast<uint8_t>((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000);
  }
  const uint8_t largest = *std::max_element(values.begin(), values.end());
  return look_up(image, std::move(values), table_of_threshold(threshold, 255, largest));
}

/// In place, for the most frequent kind of mask.
Mask mask_of(GreyPixels grey, const MaskRule& rule) {
  Mask mask{grey.height, grey.width, std::move(grey.values)};
  if (!rule.classes.empty()) {
    const WallTable table = table_of_classes(rule.classes);
    for (uint8_t& value : mask.pixels) value = table[value];
    return mask;
  }
  uint8_t largest = 0;
  for (const uint8_t value : mask.pixels) largest = value > largest ? value : largest;
  const double limit = largest == 1 ? 0 : rule.threshold * 255;
  // Above a number means above its whole part.
  const auto whole = static_cast<uint8_t>(limit);
  for (uint8_t& value : mask.pixels) value = value > whole ? 255 : 0;
  return mask;
}

}  // namespace

Mask decode_mask(std::string_view bytes, const std::string& name, const MaskRule& rule) {
  if (auto grey = decode_grey_png(bytes)) return mask_of(std::move(*grey), rule);
  return rule.classes.empty() ? decode_soft(bytes, name, rule.threshold)
                              : decode_classes(bytes, name, rule);
}

Mask read_mask(const std::filesystem::path& path, const MaskRule& rule) {
  return decode_mask(read_file(path, kMaxFileBytes), path.string(), rule);
}

}  // namespace limewash::data
