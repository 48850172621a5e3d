#pragma once
// How fast this machine prepares photos and loads samples, measured on inputs that it makes itself
// in a temporary folder: `limewash bench data`.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/prepare_options.h"

namespace limewash::data {

struct DataBenchOptions {
  /// The steps of prepare that are timed. Without `images` and `masks`, procedural rooms of 1600 x
  /// 1200 pixels stand in for photos.
  PrepareOptions prepare;
  int64_t photos = 24;      ///< procedural ones; 0: prepare is left out
  int64_t samples = 2000;   ///< of the latent cache; the raw dataset has a quarter of them
  int64_t loads = 100'000;  ///< samples loaded while memory is watched
  int64_t workers = 0;      ///< threads that prepare and load; 0: one for each core
  /// Another program for the same work on the same photos, run in turns with prepare: its words
  /// here are followed by --images DIR --masks DIR --out FILE --workers N, and the last line that
  /// it prints is JSON with `images_per_second`.
  std::vector<std::string> peer;
  /// Throws ConfigError.
  void validate() const;
};

/// Rates are the best of three rounds.
struct DataBenchReport {
  int64_t workers = 0;
  int64_t photos = 0;
  std::optional<double> prepare_photos_per_second, peer_photos_per_second;
  /// 512 x 512 pixels with mask and core out of shards, checksums verified.
  double raw_samples_per_second = 0;
  /// Of Stable Diffusion 1.5's size for such pictures: latents [4, 64, 64], an embedding of 1024;
  /// out of a cache that fits into memory, and read and verified from its files.
  double cached_in_memory_samples_per_second = 0, cached_samples_per_second = 0;
  int64_t cached_sample_bytes = 0;
  int64_t loads = 0;
  /// How much the most memory that the process held grew between a tenth of the loads and all.
  double rss_growth_mib = 0, peak_rss_mib = 0;
  bool stopped = false;  ///< by a signal: what was not measured is 0 or absent
};

/// Make the inputs, measure, and remove them. Throws InputError.
DataBenchReport bench_data(const DataBenchOptions& options);

}  // namespace limewash::data
