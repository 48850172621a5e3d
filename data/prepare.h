#pragma once
// Photos and masks become shards: find, decode, check, crop and scale, measure the colour, write. A
// photo that cannot be used is rejected by name with its reason, and the job goes on.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/dataset_index.h"
#include "runtime/config.h"

namespace limewash::data {

/// `prepare.erosion`: how the core is made from the mask, at the photo's own resolution.
struct ErosionOptions {
  int64_t kernel = 5;
  int64_t iterations = 2;
  void describe(config::Fields& fields);
};

/// `prepare`.
struct PrepareOptions {
  std::string images;
  std::string masks;
  std::string out;
  int64_t size = 512;
  int64_t shard_size = 1000;
  ErosionOptions erosion;
  std::vector<double> wall_share = {0.1,
                                    0.95};  ///< lowest, highest; of the square that is trained on
  double quality_threshold = 0;
  int64_t seed = 42;
  int64_t workers = 0;
  void describe(config::Fields& fields);
  /// Throws ConfigError. Whether folders were named is checked by `prepare`.
  void validate() const;

  double lowest_wall_share() const;
  double highest_wall_share() const;
};

struct PrepareReport {
  int64_t photos = 0;                       ///< found
  int64_t kept = 0;                         ///< samples in the shards
  std::map<std::string, int64_t> rejected;  ///< reason -> photos
  std::vector<Rejection> rejections;        ///< each rejected photo, in order
  double seconds = 0;
  double photos_per_second = 0;  ///< of the photos done in this call
  bool stopped = false;          ///< by a stop request; the same call goes on where it was
};

/// Make or complete the dataset in options.out. It goes on at the last finished shard when an
/// earlier call with the same options and photos was interrupted, with the same bytes as without;
/// does nothing when it was finished; refuses a folder of another configuration or other photos
/// with an InputError naming the difference. Each rejection is logged as one line; OUT/report.json
/// lists them. Nothing kept at all is an InputError.
PrepareReport prepare(const PrepareOptions& options);

}  // namespace limewash::data
