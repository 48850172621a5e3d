#pragma once
// Photos and masks become shards: find, decode, check, crop and scale, measure the colour, write. A
// photo that cannot be used is rejected by name with its reason, and the job goes on.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "data/dataset_index.h"
#include "data/dataset_summary.h"
#include "data/image.h"
#include "data/prepare_options.h"

namespace limewash::data {

/// How far a classifier trusts a mask, 0-1: the quality part `classifier`. Called from any thread.
using MaskScorer = std::function<float(const Image& photo, const Mask& mask)>;

/// How a call works; none of it shapes a sample.
struct PrepareMode {
  bool append = false;   ///< add the photos that a finished dataset does not know
  bool dry_run = false;  ///< do all but writing; `out` may be empty
};

struct PrepareReport {
  int64_t photos = 0;                       ///< found
  int64_t kept = 0;                         ///< samples in the shards
  std::map<std::string, int64_t> rejected;  ///< reason -> photos
  std::vector<Rejection> rejections;        ///< each rejected photo, in order
  DatasetSummary summary;                   ///< of the samples
  double seconds = 0;
  int64_t photos_now = 0;        ///< done in this call
  double photos_per_second = 0;  ///< of those
  bool stopped = false;          ///< by a stop request; the same call goes on where it was
};

/// Make or complete the dataset in options.out. It goes on after the last finished shard when an
/// earlier call with the same options and photos was interrupted, with the same bytes as without;
/// does nothing when it was finished; refuses a folder of another configuration or other photos
/// with an InputError naming the difference. Each rejection is logged as one line; OUT/report.json
/// and OUT/rejected.txt list them. Nothing kept at all is an InputError, but not of a dry run.
PrepareReport prepare(const PrepareOptions& options,
                      const MaskScorer& scorer = nullptr,
                      const PrepareMode& mode = {});

}  // namespace limewash::data
