#pragma once
// The sizes that samples may have: one square, or aspect buckets.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace limewash::data {

struct SampleSize {
  int64_t height = 0, width = 0;
  bool operator==(const SampleSize&) const = default;
};

/// "WIDTHxHEIGHT", both multiples of 8 from 16 to 4096. Throws ConfigError naming the text.
SampleSize parse_bucket(const std::string& text);

/// The sizes of `buckets`, no two of them equal; the square of `size` where there are none. Throws
/// ConfigError as parse_bucket.
std::vector<SampleSize> sample_sizes(const std::vector<std::string>& buckets, int64_t size);

/// The size whose aspect ratio is nearest to the photo's, as |log(ratio / ratio)|; of equally near
/// ones the first. `sizes` must not be empty.
SampleSize nearest_size(std::span<const SampleSize> sizes, int64_t height, int64_t width);

}  // namespace limewash::data
