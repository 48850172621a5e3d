#include "tracking/step_image.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::tracking {

StepImagePaths step_image_paths(const std::string& key,
                                int64_t step,
                                int64_t time_ms,
                                const std::string& identity) {
  std::string name = key.empty() ? "image" : key;
  for (char& c : name) {
    if (c == '/') {
      c = '~';
    } else if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_' && c != '-' &&
               c != '.' && c != ' ') {
      c = '_';
    }
  }
  const std::string stem = "images/" + name + "+step+" + std::to_string(step) + "+timestamp+" +
                           std::to_string(time_ms) + "+" + identity;
  return {stem + ".png", stem + "+compressed.png"};
}

std::string make_thumbnail(const std::filesystem::path& image, int max_side) {
  const std::string bytes = read_file(image, uint64_t{256} << 20);
  try {
    const cv::Mat encoded(
        1, static_cast<int>(bytes.size()), CV_8UC1, const_cast<char*>(bytes.data()));
    cv::Mat pixels;
    if (!bytes.empty()) pixels = cv::imdecode(encoded, cv::IMREAD_COLOR);
    if (pixels.empty()) throw InputError("'" + image.string() + "' is not an image");
    const double scale = static_cast<double>(max_side) / std::max(pixels.cols, pixels.rows);
    if (scale < 1) {
      const cv::Size size(std::max(1, cvRound(pixels.cols * scale)),
                          std::max(1, cvRound(pixels.rows * scale)));
      cv::Mat small;
      cv::resize(pixels, small, size, 0, 0, cv::INTER_AREA);
      pixels = small;
    }
    std::vector<unsigned char> png;
    if (!cv::imencode(".png", pixels, png)) {
      throw InputError("'" + image.string() + "': no thumbnail could be made");
    }
    return {png.begin(), png.end()};
  } catch (const cv::Exception& error) {
    throw InputError("'" + image.string() + "' is not a usable image: " + error.what());
  }
}

}  // namespace limewash::tracking
