#include "data/prepare_options.h"

#include <algorithm>
#include <cmath>

#include "data/bucket.h"
#include "data/mask_quality.h"
#include "runtime/error.h"

namespace limewash::data {

void ErosionOptions::describe(config::Fields& fields) {
  fields.field("kernel", kernel, "side of the square, odd, in pixels of the photo", {1, 63});
  fields.field("iterations", iterations, "times that the mask is eroded; 0 = not at all", {0, 32});
}

void PrepareOptions::describe(config::Fields& fields) {
  fields.field("images",
               images,
               "photos: a folder, searched with its subfolders, a glob, or a .csv or .jsonl list");
  fields.field("masks", masks, "folder of wall masks (white = wall) under the photos' names");
  fields.field("second_masks", second_masks, "folder of masks by another hand, to compare with");
  fields.field(
      "captions", captions, "folder of NAME.txt, or a .jsonl list of {\"image\", \"caption\"}");
  fields.field("mask_classes",
               mask_classes,
               "values that are wall where masks are label maps; empty = white is wall",
               {0.0, 65535.0});
  fields.field("mask_threshold", mask_threshold, "of soft masks: above it is wall", {0.0, 1.0});
  fields.field("out", out, "folder of the dataset");
  fields.field("size", size, "pixels of a sample's side, a multiple of 8", {16, 4096});
  fields.field("buckets", buckets, "sizes WIDTHxHEIGHT, multiples of 8; empty = one square");
  fields.field("shard_size", shard_size, "samples of a shard file", {1, 100000});
  fields.choice("compression", compression, {"none", "gzip"}, "of the pixels in shards");
  fields.section("erosion", erosion);
  fields.field(
      "wall_share", wall_share, "lowest and highest share of wall in a sample", {0.0, 1.0});
  fields.choice("color", color, {"median", "mean", "kmeans"}, "how the wall's own colour is taken");
  fields.field("quality_parts", quality_parts, "parts to compute; empty = all that can be");
  fields.field(
      "quality_threshold", quality_threshold, "lowest mask quality of a sample", {0.0, 1.0});
  fields.field("quality_limits", quality_limits, "lowest value of single parts", {0.0, 1.0});
  fields.field("quality_model", quality_model, "folder of the trained mask classifier");
  fields.field("validation_share",
               validation_share,
               "share of the photos, picked by their ids, that validates",
               {0.0, 0.9});
  fields.field("test_share", test_share, "share of the photos that tests", {0.0, 0.9});
  fields.field(
      "seed", seed, "picks the pixels that palette and quality look at on large walls", {0});
  fields.field("workers", workers, "photos in work at a time; 0 = one for each core", {0, 1024});
}

void PrepareOptions::validate() const {
  for (const double value : mask_classes)
    if (value != std::floor(value))
      throw ConfigError("prepare.mask_classes: " + std::to_string(value) +
                        " is no whole number; the values of a label map are");
  if (size % 8 != 0)
    throw ConfigError("prepare.size: " + std::to_string(size) + " is not a multiple of 8");
  sample_sizes(buckets, size);
  if (erosion.kernel % 2 == 0)
    throw ConfigError("prepare.erosion.kernel: " + std::to_string(erosion.kernel) + " is not odd");
  if (wall_share.empty() || wall_share.size() > 2)
    throw ConfigError("prepare.wall_share: has " + std::to_string(wall_share.size()) +
                      " numbers, expected the lowest and the highest share");
  if (lowest_wall_share() > highest_wall_share())
    throw ConfigError("prepare.wall_share: the lowest share " +
                      std::to_string(lowest_wall_share()) + " is above the highest " +
                      std::to_string(highest_wall_share()));
  const QualitySelection selection = select_quality_parts(quality_parts, "prepare.quality_parts");
  for (const auto& [name, lowest] : quality_limits) {
    const std::string key = "prepare.quality_limits." + name;
    const QualitySelection limited = select_quality_parts({name}, key);
    for (size_t i = 0; i < limited.size(); ++i)
      if (limited[i] && !selection[i])
        throw ConfigError(key + ": " + std::to_string(lowest) +
                          " limits a part that prepare.quality_parts leaves out");
  }
  const bool asked =
      std::any_of(quality_limits.begin(),
                  quality_limits.end(),
                  [](const auto& limit) { return limit.first == "classifier"; }) ||
      std::find(quality_parts.begin(), quality_parts.end(), "classifier") != quality_parts.end();
  if (asked && quality_model.empty())
    throw ConfigError(
        "prepare.quality_model: is not set, expected the classifier's folder "
        "(models/mask-quality)");
  if (validation_share + test_share >= 1)
    throw ConfigError("prepare.validation_share and prepare.test_share leave nothing to train on");
}

double PrepareOptions::lowest_wall_share() const {
  return wall_share.front();
}

double PrepareOptions::highest_wall_share() const {
  return wall_share.size() > 1 ? wall_share.back() : 1;
}

}  // namespace limewash::data
