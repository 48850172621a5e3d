#include "eval/picture_grid.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>

#include <opencv2/imgproc.hpp>

#include "eval/palette.h"

namespace limewash::eval {
namespace {

constexpr int kLeastCell = 176, kGap = 8, kMargin = 14, kTitle = 34, kHeader = 24, kCaption = 26;
constexpr std::array<const char*, 6> kColumns = {
    "source", "reference", "mask", "overlay", "target", "output"};
// The canvas is RGB, as data::Image is.
const cv::Scalar kPaper(255, 255, 255), kInk(34, 38, 46), kFaint(108, 114, 124),
    kLine(224, 226, 230);

cv::Mat view(const data::Image& image) {
  return cv::Mat(static_cast<int>(image.height),
                 static_cast<int>(image.width),
                 CV_8UC3,
                 const_cast<uint8_t*>(image.pixels.data()));
}

cv::Mat view(const data::Mask& mask) {
  return cv::Mat(static_cast<int>(mask.height),
                 static_cast<int>(mask.width),
                 CV_8UC1,
                 const_cast<uint8_t*>(mask.pixels.data()));
}

void write(
    cv::Mat& canvas, const std::string& text, cv::Point at, double size, const cv::Scalar& ink) {
  cv::putText(canvas, text, at, cv::FONT_HERSHEY_SIMPLEX, size, ink, 1, cv::LINE_AA);
}

int text_width(const std::string& text, double size) {
  int baseline = 0;
  return cv::getTextSize(text, cv::FONT_HERSHEY_SIMPLEX, size, 1, &baseline).width;
}

/// The font knows ASCII only; long titles lose their beginning, since names differ at the end.
std::string printable(const std::string& text, size_t most) {
  std::string result;
  for (const char c : text) result += c >= 32 && c < 127 ? c : '?';
  return result.size() <= most ? result : "..." + result.substr(result.size() - most + 3);
}

std::string figure(const std::optional<double>& value) {
  if (!value) return "missing";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", *value);
  return text;
}

/// The wall in one tint over its grey picture, so that it stands out whatever its own colour.
cv::Mat overlay(const data::Image& source, const data::Mask& mask) {
  cv::Mat tinted = view(source).clone(), grey, mixed;
  cv::cvtColor(tinted, grey, cv::COLOR_RGB2GRAY);
  cv::cvtColor(grey, grey, cv::COLOR_GRAY2RGB);
  cv::addWeighted(
      grey, 0.55, cv::Mat(grey.size(), CV_8UC3, cv::Scalar(230, 40, 140)), 0.45, 0, mixed);
  mixed.copyTo(tinted, view(mask));
  return tinted;
}

/// Fit into a cell; sharp pixels when enlarged.
void place(cv::Mat& canvas, const cv::Mat& picture, cv::Rect cell) {
  const double scale = std::min(static_cast<double>(cell.width) / picture.cols,
                                static_cast<double>(cell.height) / picture.rows);
  const cv::Size size(std::max(1, static_cast<int>(std::lround(picture.cols * scale))),
                      std::max(1, static_cast<int>(std::lround(picture.rows * scale))));
  cv::Mat scaled;
  cv::resize(picture, scaled, size, 0, 0, scale < 1 ? cv::INTER_AREA : cv::INTER_CUBIC);
  const cv::Point corner(cell.x + (cell.width - size.width) / 2,
                         cell.y + (cell.height - size.height) / 2);
  scaled.copyTo(canvas(cv::Rect(corner, size)));
  cv::rectangle(canvas, cv::Rect(corner, size), kLine, 1);
}

void draw_row(cv::Mat& canvas, const GridRow& row, int top, cv::Size cell) {
  const auto slot = [&](int column) {
    return cv::Rect(kMargin + column * (cell.width + kGap), top, cell.width, cell.height);
  };
  place(canvas, view(row.source), slot(0));
  const cv::Mat swatch(cell,
                       CV_8UC3,
                       cv::Scalar(std::lround(row.reference[0] * 255),
                                  std::lround(row.reference[1] * 255),
                                  std::lround(row.reference[2] * 255)));
  place(canvas, swatch, slot(1));
  cv::Mat mask;
  cv::cvtColor(view(row.mask), mask, cv::COLOR_GRAY2RGB);
  place(canvas, mask, slot(2));
  place(canvas, overlay(row.source, row.mask), slot(3));
  place(canvas, view(row.target), slot(4));
  if (row.output.pixels.empty()) {
    cv::rectangle(canvas, slot(5), kLine, 1);
    write(canvas, "not finite", slot(5).tl() + cv::Point(10, 24), 0.45, kFaint);
  } else {
    place(canvas, view(row.output), slot(5));
  }

  const int baseline = top + cell.height + 17;
  std::string figures = "Delta E 2000 to reference " + figure(row.delta_e_2000) + ",  exact " +
                        figure(row.delta_e_2000_exact);
  const int right = kMargin + 6 * cell.width + 5 * kGap;
  const int left_of_figures = right - text_width(figures, 0.45);
  const std::string request = "asked " + color_text(row.reference) +
                              "   target: " + (row.exact ? "exact repaint" : "recoloured");
  const auto room = static_cast<size_t>(std::max(8, (left_of_figures - kMargin - 30) / 8 - 40));
  write(canvas, printable(row.title, room) + "   " + request, {kMargin, baseline}, 0.42, kFaint);
  write(canvas, figures, {left_of_figures, baseline}, 0.45, kInk);
}

}  // namespace

data::Image render_grid(const std::string& title, const std::vector<GridRow>& rows) {
  int height = kLeastCell, width = kLeastCell;
  if (!rows.empty()) {
    const double sides = static_cast<double>(rows.front().source.height) /
                         static_cast<double>(rows.front().source.width);
    const auto least =
        static_cast<int>(std::min(rows.front().source.height, rows.front().source.width));
    const int shorter = std::clamp(least, kLeastCell, 256);
    height = sides >= 1 ? static_cast<int>(std::lround(shorter * sides)) : shorter;
    width = sides >= 1 ? shorter : static_cast<int>(std::lround(shorter / sides));
  }
  const cv::Size cell(width, height);
  const int canvas_width = 2 * kMargin + 6 * cell.width + 5 * kGap;
  const int row_height = cell.height + kCaption + kGap;
  const int canvas_height =
      kMargin + kTitle + kHeader + std::max<int>(1, static_cast<int>(rows.size())) * row_height;
  cv::Mat canvas(canvas_height, canvas_width, CV_8UC3, kPaper);
  write(canvas, printable(title, 110), {kMargin, kMargin + 18}, 0.6, kInk);

  const int header = kMargin + kTitle;
  for (int column = 0; column < 6; ++column) {
    write(canvas,
          kColumns[column],
          {kMargin + column * (cell.width + kGap), header + 14},
          0.48,
          kInk);
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    draw_row(canvas, rows[i], header + kHeader + static_cast<int>(i) * row_height, cell);
  }
  if (rows.empty()) write(canvas, "no painting", {kMargin, header + kHeader + 24}, 0.5, kFaint);

  data::Image image{canvas.rows, canvas.cols, {}};
  image.pixels.assign(canvas.data, canvas.data + canvas.total() * 3);
  return image;
}

}  // namespace limewash::eval
