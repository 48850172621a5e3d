#pragma once
// The configuration section `prepare`.

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/config.h"

namespace limewash::data {

/// `prepare.erosion`: how the core is made from the mask, at the photo's own resolution.
struct ErosionOptions {
  int64_t kernel = 5;
  int64_t iterations = 2;
  void describe(config::Fields& fields);
};

/// `prepare`. Relative paths count from the working directory.
struct PrepareOptions {
  std::string images;        ///< a folder, a glob, or a list (.csv, .jsonl) of photos
  std::string masks;         ///< a folder, or "" when the list names the masks
  std::string second_masks;  ///< a folder of masks by another hand, for their agreement; "" = none
  std::string captions;      ///< a folder of ID.txt, or a .jsonl of {"image", "caption"}; "" = none
  std::vector<double> mask_classes;  ///< values that are wall in a label map; empty: white is wall
  double mask_threshold = 0.5;       ///< of soft masks: above it is wall
  std::string out;
  int64_t size = 512;
  std::vector<std::string> buckets;  ///< "WIDTHxHEIGHT"; empty: one square of `size`
  int64_t shard_size = 250;
  std::string compression = "none";  ///< none | gzip
  ErosionOptions erosion;
  /// Lowest and highest; of the picture that is trained on.
  std::vector<double> wall_share = {0.1, 0.95};
  std::string color = "median";            ///< median | mean | kmeans: the wall's own colour
  std::vector<std::string> quality_parts;  ///< those that are computed; empty: all that can be
  double quality_threshold = 0;
  config::Map<double> quality_limits;  ///< lowest value of single parts
  std::string quality_model;           ///< folder of the trained mask classifier; "" = left out
  double validation_share = 0;         ///< of the photos, picked by their ids
  double test_share = 0;
  int64_t seed = 42;
  int64_t workers = 0;
  void describe(config::Fields& fields);
  /// Throws ConfigError. Whether folders were named is checked by `prepare`.
  void validate() const;

  double lowest_wall_share() const;
  double highest_wall_share() const;
};

}  // namespace limewash::data
