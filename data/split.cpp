#include "data/split.h"

#include <cmath>

namespace limewash::data {

std::string split_of(uint64_t stable_id, double validation_share, double test_share) {
  const double place = std::ldexp(static_cast<double>(stable_id >> 11), -53);  // [0, 1)
  if (place < validation_share) return "validation";
  if (place >= 1 - test_share) return "test";
  return "train";
}

}  // namespace limewash::data
