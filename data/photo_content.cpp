#include "data/photo_content.h"

#include <algorithm>
#include <cmath>
#include <exception>

#include "data/caption.h"
#include "data/crop_scale.h"
#include "data/image_io.h"
#include "data/mask_decoding.h"
#include "runtime/files.h"

namespace limewash::data {
namespace {

/// Largest difference of aspect ratios at which a mask still is the photo's, at another resolution.
constexpr double kAspectTolerance = 0.02;
/// Captions are trimmed after reading; what a file may hold beyond that is white space.
constexpr uint64_t kMaxCaptionFileBytes = uint64_t{64} << 10;

std::string pixels(int64_t width, int64_t height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

/// The mask at the photo's size. `subject` begins reason and detail: "mask", "second mask".
Mask fit_mask(Mask mask, const PhotoFile& photo, const std::string& subject) {
  if (mask.height == photo.height() && mask.width == photo.width()) return mask;
  const double ratio = static_cast<double>(mask.width) * static_cast<double>(photo.height()) /
                       (static_cast<double>(mask.height) * static_cast<double>(photo.width()));
  if (std::abs(ratio - 1) > kAspectTolerance)
    throw Rejected{subject + " of another shape",
                   "the " + subject + " is " + pixels(mask.width, mask.height) + ", the photo " +
                       pixels(photo.width(), photo.height())};
  return scale_mask(mask, photo.height(), photo.width());
}

Mask load_union(const std::vector<std::filesystem::path>& paths,
                const PhotoFile& photo,
                const PrepareOptions& options,
                const std::string& subject) {
  const MaskRule rule{options.mask_threshold, options.mask_classes};
  Mask all;
  for (const auto& path : paths) {
    Mask one;
    try {
      one = read_mask(path, rule);
    } catch (const std::exception& error) {
      throw Rejected{"unreadable " + subject, error.what()};
    }
    one = fit_mask(std::move(one), photo, subject);
    if (all.pixels.empty()) {
      all = std::move(one);
      continue;
    }
    std::transform(all.pixels.begin(),
                   all.pixels.end(),
                   one.pixels.begin(),
                   all.pixels.begin(),
                   [](uint8_t a, uint8_t b) { return static_cast<uint8_t>(a | b); });
  }
  return all;
}

template <class Call>
auto readable(const Call& call) {
  try {
    return call();
  } catch (const std::exception& error) {
    throw Rejected{"unreadable photo", error.what()};
  }
}

}  // namespace

PhotoFile load_photo(const PhotoPair& pair) {
  return readable([&] { return PhotoFile(pair.photo); });
}

PhotoPart decode_photo(PhotoFile& photo, const Rectangle& part) {
  return readable([&] { return photo.decode(part); });
}

void check_photo(const PhotoFile& photo) {
  readable([&] { photo.check(); });
}

Mask load_mask(const PhotoPair& pair, const PhotoFile& photo, const PrepareOptions& options) {
  if (pair.masks.empty()) throw Rejected{"missing mask", "there is no mask of that name"};
  return load_union(pair.masks, photo, options, "mask");
}

std::optional<Mask> load_second_mask(const PhotoPair& pair,
                                     const PhotoFile& photo,
                                     const PrepareOptions& options) {
  if (pair.second_masks.empty()) return std::nullopt;
  return load_union(pair.second_masks, photo, options, "second mask");
}

std::string load_caption(const PhotoPair& pair) {
  if (!pair.caption_file) return pair.caption;
  try {
    return caption_of(read_file(*pair.caption_file, kMaxCaptionFileBytes),
                      pair.caption_file->string());
  } catch (const std::exception& error) {
    throw Rejected{"unreadable caption", error.what()};
  }
}

}  // namespace limewash::data
