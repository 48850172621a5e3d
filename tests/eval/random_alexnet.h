#pragma once

#include <filesystem>

namespace limewash::eval {

/// LPIPS weights in AlexNet's layout, random, in a temporary file that goes with the object.
class RandomAlexNet {
 public:
  RandomAlexNet();
  ~RandomAlexNet();
  RandomAlexNet(const RandomAlexNet&) = delete;
  RandomAlexNet& operator=(const RandomAlexNet&) = delete;

  std::filesystem::path file() const {
    return folder_ / "alex.safetensors";
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace limewash::eval
