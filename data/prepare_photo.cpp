#include "data/prepare_photo.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <utility>

#include "data/crop_scale.h"
#include "data/image_io.h"
#include "data/mask.h"
#include "data/mask_quality.h"
#include "data/room.h"
#include "runtime/random.h"

namespace limewash::data {
namespace {

/// Largest difference of aspect ratios at which a mask still is the photo's, at another resolution.
constexpr double kAspectTolerance = 0.02;

/// Ends the work on one photo.
struct Rejected {
  std::string reason, detail;
};

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f %%", share * 100);
  return text;
}

std::string limit(double share) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g %%", share * 100);
  return text;
}

std::string pixels(int64_t width, int64_t height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

Image decode_photo(const PhotoPair& pair) {
  try {
    return read_image(pair.photo);
  } catch (const std::exception& error) {
    throw Rejected{"unreadable photo", error.what()};
  }
}

Mask decode_mask(const PhotoPair& pair) {
  if (!pair.mask) throw Rejected{"missing mask", "there is no mask of that name"};
  try {
    return read_mask(*pair.mask);
  } catch (const std::exception& error) {
    throw Rejected{"unreadable mask", error.what()};
  }
}

/// The mask at the photo's size.
Mask fit_mask(Mask mask, const Image& photo) {
  if (mask.height == photo.height && mask.width == photo.width) return mask;
  const double ratio = static_cast<double>(mask.width) * static_cast<double>(photo.height) /
                       (static_cast<double>(mask.height) * static_cast<double>(photo.width));
  if (std::abs(ratio - 1) > kAspectTolerance)
    throw Rejected{"mask of another shape",
                   "the mask is " + pixels(mask.width, mask.height) + ", the photo " +
                       pixels(photo.width, photo.height)};
  return scale_mask(mask, photo.height, photo.width);
}

/// The share of what is trained on decides: a wall outside of the square does not help, and one
/// that fills the square is enough.
void check_wall_share(const Mask& square, double whole_share, const PrepareOptions& options) {
  const double share = wall_share(square);
  const bool low = share < options.lowest_wall_share();
  if (!low && share <= options.highest_wall_share()) return;
  throw Rejected{low ? "too little wall" : "too much wall",
                 "wall share " + percent(share) + (low ? " < " : " > ") +
                     limit(low ? options.lowest_wall_share() : options.highest_wall_share()) +
                     " of the centre square (" + percent(whole_share) + " of the photo)"};
}

/// The room that a photo shows, if rendering it again gives this very photo.
std::optional<RoomSource> room_of(const ManifestRoom& known, const Image& photo) {
  if (photo.width != known.source.size || photo.height != known.source.size) return std::nullopt;
  const Room room(known.source.seed, known.source.id, known.source.size);
  const Image rendered = room.render(known.paint ? *known.paint : room.own_paint());
  if (rendered.pixels != photo.pixels) return std::nullopt;
  return known.source;
}

void measure(ShardSample& sample, const PrepareOptions& options) {
  const Sample& p = sample.pixels;
  const auto color = median_color(p.image, p.core);
  if (!color) throw Rejected{"no core", "nothing of the wall is left after the erosion"};
  sample.color = *color;
  const auto seed = static_cast<uint64_t>(options.seed);
  const uint64_t id = stable_id(sample.id);
  sample.palette = palette(p.image, p.core, seed, id);
  sample.quality_parts = quality_parts(
      p.image, p.mask, p.core, options.lowest_wall_share(), options.highest_wall_share(), seed, id);
  sample.quality = quality_of(sample.quality_parts);
  if (sample.quality >= options.quality_threshold) return;
  std::string detail;
  char number[64];
  std::snprintf(
      number, sizeof(number), "quality %.2f < %g", sample.quality, options.quality_threshold);
  detail = number;
  for (size_t i = 0; i < sample.quality_parts.size(); ++i) {
    std::snprintf(number, sizeof(number), " %.2f", sample.quality_parts[i]);
    detail += (i == 0 ? " (" : ", ") + quality_part_names()[i] + number;
  }
  throw Rejected{"low quality", detail + ")"};
}

}  // namespace

PreparedPhoto prepare_photo(const PhotoPair& pair,
                            const PrepareOptions& options,
                            const RoomManifest& rooms) {
  PreparedPhoto prepared;
  try {
    const Image photo = decode_photo(pair);
    const Mask mask = fit_mask(decode_mask(pair), photo);
    const double whole_share = wall_share(mask);
    if (whole_share == 0) throw Rejected{"empty mask", "the mask is empty"};

    ShardSample sample;
    sample.id = pair.id;
    sample.pixels.mask = crop_and_scale(mask, options.size);
    check_wall_share(sample.pixels.mask, whole_share, options);
    const Mask core = erode(mask, options.erosion.kernel, options.erosion.iterations);
    sample.pixels.core = crop_and_scale(core, options.size);
    sample.pixels.image = crop_and_scale(photo, options.size);
    measure(sample, options);
    if (const ManifestRoom* known = rooms.find(pair.photo)) {
      sample.room = room_of(*known, photo);
      prepared.foreign_room = !sample.room;
    }
    prepared.enlarged = std::min(photo.height, photo.width) < options.size;
    prepared.sample = std::move(sample);
  } catch (const Rejected& rejected) {
    prepared.rejection = {pair.id, rejected.reason, rejected.detail};
  }
  return prepared;
}

}  // namespace limewash::data
