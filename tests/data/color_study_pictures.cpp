// The pictures of docs/colour.md.

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "data/color.h"
#include "data/recolor.h"
#include "tests/data/color_study.h"

namespace limewash::data::study {
namespace {

constexpr int kSide = 192, kGap = 6, kHead = 26;
constexpr uint64_t kSeed = 11;

struct Column {
  std::string title;
  std::vector<cv::Mat> pictures;  ///< BGR, kSide x kSide
};

cv::Mat to_bgr(const Image& image) {
  const cv::Mat rgb(static_cast<int>(image.height),
                    static_cast<int>(image.width),
                    CV_8UC3,
                    const_cast<uint8_t*>(image.pixels.data()));
  cv::Mat bgr;
  cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
  return bgr;
}

cv::Mat to_bgr(const Mask& mask) {
  const cv::Mat grey(static_cast<int>(mask.height),
                     static_cast<int>(mask.width),
                     CV_8U,
                     const_cast<uint8_t*>(mask.pixels.data()));
  cv::Mat bgr;
  cv::cvtColor(grey, bgr, cv::COLOR_GRAY2BGR);
  return bgr;
}

cv::Mat swatch_of(const Rgb& color) {
  return {kSide, kSide, CV_8UC3, cv::Scalar(255 * color[2], 255 * color[1], 255 * color[0])};
}

/// CIEDE2000 between two pictures: black is 0, white is 6 and more.
cv::Mat difference_of(const Image& one, const Image& two, const Mask& mask) {
  cv::Mat grey(kSide, kSide, CV_8U, cv::Scalar(0));
  const auto lab = [](const Image& image, size_t i) {
    const uint8_t* p = &image.pixels[3 * i];
    return rgb_to_lab({static_cast<float>(p[0]) / 255.0f,
                       static_cast<float>(p[1]) / 255.0f,
                       static_cast<float>(p[2]) / 255.0f});
  };
  for (size_t i = 0; i < mask.pixels.size(); ++i)
    if (mask.pixels[i] != 0)
      grey.data[i] = cv::saturate_cast<uint8_t>(255.0 / 6 * delta_e_2000(lab(one, i), lab(two, i)));
  cv::Mat bgr;
  cv::cvtColor(grey, bgr, cv::COLOR_GRAY2BGR);
  return bgr;
}

void write_grid(const std::string& path, const std::vector<Column>& columns) {
  const int rows = static_cast<int>(columns.at(0).pictures.size());
  const int width = kGap + static_cast<int>(columns.size()) * (kSide + kGap);
  cv::Mat page(kHead + rows * (kSide + kGap), width, CV_8UC3, cv::Scalar(255, 255, 255));
  int left = kGap;
  for (const Column& column : columns) {
    cv::putText(page,
                column.title,
                {left, kHead - 8},
                cv::FONT_HERSHEY_SIMPLEX,
                0.45,
                cv::Scalar(40, 40, 40),
                1,
                cv::LINE_AA);
    int top = kHead;
    for (const cv::Mat& picture : column.pictures) {
      picture.copyTo(page(cv::Rect(left, top, kSide, kSide)));
      top += kSide + kGap;
    }
    left += kSide + kGap;
  }
  if (!cv::imwrite(path, page, {cv::IMWRITE_PNG_COMPRESSION, 9}))
    throw std::runtime_error(path + ": cannot be written");
}

}  // namespace

void draw_recolorings(const std::string& path) {
  std::vector<Column> columns{{"photo", {}},
                              {"asked for", {}},
                              {"exact repaint", {}},
                              {"ratio in linear light", {}},
                              {"its error (white: dE 6)", {}},
                              {"shift in Lab", {}},
                              {"its error (white: dE 6)", {}}};
  const std::vector<Rgb> colors{
      {0.25f, 0.42f, 0.40f}, {0.85f, 0.72f, 0.45f}, {0.55f, 0.24f, 0.22f}, {0.72f, 0.78f, 0.86f}};
  for (size_t row = 0; row < colors.size(); ++row) {
    const Room room(kSeed, 3 + 2 * row, kSide);
    const Rgb from = room.own_paint(), to = colors[row];
    const Image photo = room.render(from), exact = room.render(to);
    const Image ratio = recolor_linear_ratio(photo, room.mask(), from, to),
                shift = recolor_lab_shift(photo, room.mask(), from, to);
    size_t column = 0;
    for (const cv::Mat& picture : {to_bgr(photo),
                                   swatch_of(to),
                                   to_bgr(exact),
                                   to_bgr(ratio),
                                   difference_of(ratio, exact, room.mask()),
                                   to_bgr(shift),
                                   difference_of(shift, exact, room.mask())})
      columns[column++].pictures.push_back(picture);
  }
  write_grid(path, columns);
}

void draw_holes(const std::string& path) {
  std::vector<Column> columns{{"photo", {}},
                              {"mask", {}},
                              {"empty", {}},
                              {"shading", {}},
                              {"shading, other paint", {}},
                              {"shading, no margin", {}},
                              {"exact repaint", {}}};
  // The last two rows: the mask is 3 pixels too large, and 3 too small.
  const std::vector<int64_t> errors{0, 0, 3, -3};
  for (size_t row = 0; row < errors.size(); ++row) {
    const Room room(kSeed, row == 0 ? 3 : 7, kSide);
    const Mask mask = wrong_mask(room.mask(), errors[row]);
    const Rgb other{0.42f, 0.24f, 0.20f};
    const Image photo = room.render(room.own_paint()), repaint = room.render(other);
    ReferenceOptions shading, empty, tight;
    shading.hole = tight.hole = "shading";
    empty.hole = "empty";
    tight.hole_margin = 0;
    size_t column = 0;
    for (const cv::Mat& picture : {to_bgr(photo),
                                   to_bgr(mask),
                                   to_bgr(fill_hole(empty, photo, mask)),
                                   to_bgr(fill_hole(shading, photo, mask)),
                                   to_bgr(fill_hole(shading, repaint, mask)),
                                   to_bgr(fill_hole(tight, photo, mask)),
                                   to_bgr(repaint)})
      columns[column++].pictures.push_back(picture);
  }
  write_grid(path, columns);
}

}  // namespace limewash::data::study
