#include "tests/data/prepare_fixture.h"

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

namespace limewash::data {

namespace fs = std::filesystem;

void save(const fs::path& path, const Image& photo) {
  fs::create_directories(path.parent_path());
  cv::Mat image(static_cast<int>(photo.height),
                static_cast<int>(photo.width),
                CV_8UC3,
                const_cast<uint8_t*>(photo.pixels.data()));
  cv::Mat swapped;
  cv::cvtColor(image, swapped, cv::COLOR_RGB2BGR);
  ASSERT_TRUE(cv::imwrite(path.string(), swapped));
}

void save(const fs::path& path, const Mask& mask) {
  fs::create_directories(path.parent_path());
  const cv::Mat image(static_cast<int>(mask.height),
                      static_cast<int>(mask.width),
                      CV_8UC1,
                      const_cast<uint8_t*>(mask.pixels.data()));
  ASSERT_TRUE(cv::imwrite(path.string(), image));
}

}  // namespace limewash::data
