#pragma once
// tests/golden/metrics: pictures, and what the reference libraries measure of them.

#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include "data/image_io.h"

namespace limewash::eval {

struct GoldenPictures {
  std::string folder = LIMEWASH_SOURCE_DIR "/tests/golden/metrics/";
  data::Image a = data::read_image(folder + "a.png");
  data::Image b = data::read_image(folder + "b.png");
  data::Mask mask = data::read_mask(folder + "mask.png");
  nlohmann::json golden = [this] {
    std::ifstream file(folder + "golden.json");
    return nlohmann::json::parse(file);
  }();
};

}  // namespace limewash::eval
