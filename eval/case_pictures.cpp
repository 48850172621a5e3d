#include "eval/case_pictures.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <spdlog/fmt/fmt.h>

namespace limewash::eval {
namespace {

constexpr int kSide = 200;
constexpr int kGapPixels = 4;
constexpr int kJpegQuality = 92;

cv::Mat panel(const data::Image& image) {
  const cv::Mat rgb(static_cast<int>(image.height),
                    static_cast<int>(image.width),
                    CV_8UC3,
                    const_cast<uint8_t*>(image.pixels.data()));
  const double scale = static_cast<double>(kSide - kGapPixels) / std::max(rgb.rows, rgb.cols);
  cv::Mat bgr, result;
  cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
  cv::resize(bgr, result, {}, scale, scale, scale < 1 ? cv::INTER_AREA : cv::INTER_CUBIC);
  return result;
}

}  // namespace

void CaseKeeper::offer(int64_t painting, double value, const data::Image& picture) {
  if (!std::isfinite(value) || picture.pixels.empty()) return;
  const auto put = [&](std::vector<Kept>& kept, const auto& before) {
    const auto place = std::find_if(
        kept.begin(), kept.end(), [&](const Kept& one) { return before(value, one.value); });
    if (place == kept.end() && kept.size() >= kCasePictures) return;
    kept.insert(place, {value, painting, picture});
    if (kept.size() > kCasePictures) kept.pop_back();
  };
  put(lowest_, std::less<>());
  put(highest_, std::greater<>());
}

void CaseKeeper::move_into(std::map<int64_t, data::Image>& pictures) {
  for (auto* kept : {&lowest_, &highest_}) {
    for (Kept& one : *kept) pictures.try_emplace(one.painting, std::move(one.picture));
    kept->clear();
  }
}

std::filesystem::path case_picture_path(int64_t painting) {
  return fmt::format("cases/painting-{:06d}.jpg", painting);
}

std::string case_strip(const data::Image& source,
                       const data::Rgb& asked,
                       const data::Image& output,
                       const data::Image& target) {
  const cv::Mat first = panel(source);
  const cv::Mat swatch(
      first.size(),
      CV_8UC3,
      cv::Scalar(
          std::lround(asked[2] * 255), std::lround(asked[1] * 255), std::lround(asked[0] * 255)));
  const cv::Mat gap(first.rows, kGapPixels, CV_8UC3, cv::Scalar::all(255));
  cv::Mat row;
  cv::hconcat(std::vector<cv::Mat>{first, gap, swatch, gap, panel(output), gap, panel(target)},
              row);
  std::vector<uint8_t> jpeg;
  cv::imencode(".jpg", row, jpeg, {cv::IMWRITE_JPEG_QUALITY, kJpegQuality});
  return {jpeg.begin(), jpeg.end()};
}

}  // namespace limewash::eval
