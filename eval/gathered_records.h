#pragma once
// What the ranks of an evaluation send each other: figures and pictures as bytes.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/image.h"
#include "eval/metrics.h"

namespace limewash::eval {

/// Figures by the painting's number.
std::string pack_records(const std::map<int64_t, Metrics>& records);
/// Put them where their numbers say.
void unpack_records(const std::string& bytes, std::vector<Metrics>& records);

/// Pictures of any size by the painting's number.
std::string pack_pictures(const std::map<int64_t, data::Image>& pictures);
void unpack_pictures(const std::string& bytes, std::map<int64_t, data::Image>& pictures);

}  // namespace limewash::eval
