#pragma once
// The wall's own colour as the photo shows it, light included: one colour for all of the core.
//
// Every strategy leaves out blown highlights (all channels >= 250) and deep shadow (all channels <=
// 10), unless more than half of the core would go: then the wall itself is that bright or dark.

#include <cstdint>
#include <optional>
#include <string>

#include "data/color.h"
#include "data/image.h"

namespace limewash::data {

enum class WallColorStrategy { kMedian, kMean, kKmeans };

/// "median", "mean" or "kmeans". Throws ConfigError naming `key` for any other.
WallColorStrategy wall_color_strategy(const std::string& name, const std::string& key);

/// The colour by one of the strategies below; empty when the core is. `seed` and `sample_id` pick
/// the pixels that k-means looks at on large walls.
std::optional<Rgb> wall_color(const Image& photo,
                              const Mask& core,
                              WallColorStrategy strategy,
                              uint64_t seed,
                              uint64_t sample_id);

/// The median of each channel, as NumPy defines it: the mean of the two middle values when their
/// number is even.
std::optional<Rgb> median_color(const Image& photo, const Mask& core);

/// The mean of each channel of the sRGB values. In linear light, where bright pixels weigh more, it
/// would follow windows and lamps in wrong masks further (docs/colour.md).
std::optional<Rgb> mean_color(const Image& photo, const Mask& core);

/// The centre of the largest of cluster_colors().
std::optional<Rgb> largest_cluster_color(const Image& photo,
                                         const Mask& core,
                                         uint64_t seed,
                                         uint64_t sample_id);

}  // namespace limewash::data
