#include "data/prepare_photo.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <utility>

#include "data/bucket.h"
#include "data/crop_scale.h"
#include "data/mask.h"
#include "data/mask_quality.h"
#include "data/palette.h"
#include "data/photo_content.h"
#include "data/pixel_memory.h"
#include "data/room.h"
#include "data/wall_color.h"
#include "runtime/random.h"

namespace limewash::data {
namespace {

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

/// Hands the pixels of a picture that was looked at back to the thread.
template <class Picture>
struct Recycled {
  Picture picture;
  ~Recycled() {
    keep_pixel_memory(std::move(picture.pixels));
  }
};

/// The share of what is trained on decides: a wall outside of it does not help, and one that fills
/// it is enough.
void check_wall_share(const Mask& sample, double whole_share, const PrepareOptions& options) {
  const double share = wall_share(sample);
  const bool low = share < options.lowest_wall_share();
  if (!low && share <= options.highest_wall_share()) return;
  throw Rejected{low ? "too little wall" : "too much wall",
                 "wall share " + percent(share) + (low ? " < " : " > ") +
                     limit(low ? options.lowest_wall_share() : options.highest_wall_share()) +
                     (sample.height == sample.width ? " of the centre square ("
                                                    : " of the centre rectangle (") +
                     percent(whole_share) + " of the photo)"};
}

/// The room that a photo shows, if rendering it again gives this very photo.
std::optional<RoomSource> room_of(const ManifestRoom& known, const Image& photo) {
  if (photo.width != known.source.size || photo.height != known.source.size) return std::nullopt;
  const Room room(known.source.seed, known.source.id, known.source.size);
  const Image rendered = room.render(known.paint ? *known.paint : room.own_paint());
  if (rendered.pixels != photo.pixels) return std::nullopt;
  return known.source;
}

/// `low quality` where the combination or a part is below what the options ask for.
void check_quality(const ShardSample& sample, const PrepareOptions& options) {
  const auto& names = quality_part_names();
  std::string problem;
  char text[64];
  if (sample.quality < options.quality_threshold) {
    std::snprintf(text, sizeof(text), " %.2f < %g", sample.quality, options.quality_threshold);
    problem = std::string("quality") + text;
  }
  for (size_t i = 0; i < names.size(); ++i) {
    for (const auto& [name, lowest] : options.quality_limits) {
      // Comparing with NaN, a part that was not computed, is false.
      if (name != names[i] || !(sample.quality_parts[i] < lowest)) continue;
      std::snprintf(text, sizeof(text), " %.2f < %g", sample.quality_parts[i], lowest);
      problem += (problem.empty() ? "" : ", ") + name + text;
    }
  }
  if (problem.empty()) return;
  std::string all;
  for (size_t i = 0; i < names.size(); ++i) {
    if (std::isnan(sample.quality_parts[i])) continue;
    std::snprintf(text, sizeof(text), " %.2f", sample.quality_parts[i]);
    all += (all.empty() ? " (" : ", ") + names[i] + text;
  }
  throw Rejected{"low quality", problem + all + ")"};
}

void measure(ShardSample& sample,
             const PrepareOptions& options,
             const Mask* second_mask,
             const MaskScorer& scorer) {
  const Sample& p = sample.pixels;
  const auto seed = static_cast<uint64_t>(options.seed);
  const uint64_t id = stable_id(sample.id);
  const auto color =
      wall_color(p.image, p.core, wall_color_strategy(options.color, "prepare.color"), seed, id);
  if (!color) throw Rejected{"no core", "nothing of the wall is left after the erosion"};
  sample.color = *color;
  sample.palette = palette(p.image, p.core, seed, id);
  sample.quality_parts =
      quality_parts({p.image,
                     p.mask,
                     p.core,
                     second_mask,
                     options.lowest_wall_share(),
                     options.highest_wall_share(),
                     scorer},
                    select_quality_parts(options.quality_parts, "prepare.quality_parts"));
  sample.quality = quality_of(sample.quality_parts);
  check_quality(sample, options);
}

/// The sample of a photo whose header could be read. Throws Rejected.
void prepare_opened(PhotoFile& photo,
                    const PhotoPair& pair,
                    const PrepareOptions& options,
                    const RoomManifest& rooms,
                    const MaskScorer& scorer,
                    PreparedPhoto& prepared) {
  const Recycled<Mask> loaded_mask{load_mask(pair, photo, options)};
  const Mask& mask = loaded_mask.picture;
  const std::optional<Mask> second_mask = load_second_mask(pair, photo, options);
  const double whole_share = wall_share(mask);
  if (whole_share == 0) throw Rejected{"empty mask", "the mask is empty"};

  ShardSample sample;
  sample.id = pair.id;
  sample.caption = load_caption(pair);
  const SampleSize size =
      nearest_size(sample_sizes(options.buckets, options.size), photo.height(), photo.width());
  const Rectangle part = centered_rectangle(photo.height(), photo.width(), size.height, size.width);
  sample.pixels.mask = crop_and_scale(mask, part, size.height, size.width);
  check_wall_share(sample.pixels.mask, whole_share, options);
  const Recycled<Mask> core{erode(mask, options.erosion.kernel, options.erosion.iterations, part)};
  const Rectangle all_of_core{0, 0, part.height, part.width};
  sample.pixels.core = crop_and_scale(core.picture, all_of_core, size.height, size.width);

  const ManifestRoom* known = rooms.find(pair.photo);
  const Rectangle whole{0, 0, photo.height(), photo.width()};
  PhotoPart decoded = decode_photo(photo, known ? whole : part);
  const Recycled<Image> pixels{std::move(decoded.image)};
  sample.pixels.image =
      crop_and_scale(pixels.picture, known ? part : decoded.part, size.height, size.width);
  std::optional<Mask> second;
  if (second_mask) second = crop_and_scale(*second_mask, part, size.height, size.width);
  measure(sample, options, second ? &*second : nullptr, scorer);
  if (known) {
    sample.room = room_of(*known, pixels.picture);
    prepared.foreign_room = !sample.room;
  }
  prepared.enlarged = part.height < size.height || part.width < size.width;
  prepared.sample = std::move(sample);
}

}  // namespace

PreparedPhoto prepare_photo(const PhotoPair& pair,
                            const PrepareOptions& options,
                            const RoomManifest& rooms,
                            const MaskScorer& scorer) {
  PreparedPhoto prepared;
  try {
    PhotoFile photo = load_photo(pair);
    try {
      prepare_opened(photo, pair, options, rooms, scorer, prepared);
    } catch (const Rejected&) {
      // A damaged photo is told as such, whatever its mask.
      check_photo(photo);
      throw;
    }
  } catch (const Rejected& rejected) {
    prepared.rejection = {pair.id, rejected.reason, rejected.detail};
  }
  return prepared;
}

}  // namespace limewash::data
