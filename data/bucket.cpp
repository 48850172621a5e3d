#include "data/bucket.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "runtime/error.h"

namespace limewash::data {
namespace {

constexpr int64_t kShortest = 16, kLongest = 4096, kStep = 8;

/// A number that fills all of the text, or -1.
int64_t whole_number(const char* begin, const char* end) {
  int64_t value = -1;
  const auto [stop, error] = std::from_chars(begin, end, value);
  return error == std::errc{} && stop == end ? value : -1;
}

}  // namespace

SampleSize parse_bucket(const std::string& text) {
  const auto usable = [](int64_t side) {
    return side >= kShortest && side <= kLongest && side % kStep == 0;
  };
  const size_t separator = text.find('x');
  if (separator != std::string::npos) {
    const char* begin = text.data();
    const SampleSize size{whole_number(begin + separator + 1, begin + text.size()),
                          whole_number(begin, begin + separator)};
    if (usable(size.height) && usable(size.width)) return size;
  }
  throw ConfigError("prepare.buckets: \"" + text +
                    "\" is no WIDTHxHEIGHT of multiples of 8 from 16 to 4096, like 768x512");
}

std::vector<SampleSize> sample_sizes(const std::vector<std::string>& buckets, int64_t size) {
  std::vector<SampleSize> sizes;
  for (const std::string& text : buckets) {
    const SampleSize bucket = parse_bucket(text);
    if (std::find(sizes.begin(), sizes.end(), bucket) != sizes.end())
      throw ConfigError("prepare.buckets: \"" + text + "\" is listed twice");
    sizes.push_back(bucket);
  }
  if (sizes.empty()) sizes.push_back({size, size});
  return sizes;
}

SampleSize nearest_size(std::span<const SampleSize> sizes, int64_t height, int64_t width) {
  SampleSize nearest;
  double least = std::numeric_limits<double>::infinity();
  for (const SampleSize& size : sizes) {
    // Products of whole numbers are exact, so equal ratios are equally near.
    const auto photo = static_cast<double>(width * size.height),
               sample = static_cast<double>(size.width * height);
    const double factor = std::max(photo, sample) / std::min(photo, sample);
    if (factor >= least) continue;
    least = factor;
    nearest = size;
  }
  return nearest;
}

}  // namespace limewash::data
