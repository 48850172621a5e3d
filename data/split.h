#pragma once
// On which side a photo is: train, validation or test.

#include <cstdint>
#include <string>

namespace limewash::data {

/// The side of the photo with this stable_id. It follows from the photo's id and the shares alone,
/// so a photo never changes side when others come or go; a growing share only takes photos from
/// train. Validation is the low end of the ids' range, test the high end.
std::string split_of(uint64_t stable_id, double validation_share, double test_share);

}  // namespace limewash::data
