#include "eval/picture_grid.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include <opencv2/imgproc.hpp>

#include "data/color.h"
#include "data/mask.h"
#include "data/mask_corruption.h"
#include "eval/palette.h"

namespace limewash::eval {
namespace {

constexpr int kLeastCell = 176, kMostCell = 256, kGap = 10, kMargin = 16;
constexpr int kTitle = 36, kHeader = 26, kRowTitle = 22, kCaption = 24, kRowGap = 14;
constexpr double kTextSize = 0.45;
constexpr int kNumColumns = 6;
constexpr std::array<const char*, kNumColumns> kColumns = {
    "source", "reference", "mask", "overlay", "target", "output"};
// The canvas is RGB, as data::Image is.
const cv::Scalar kPaper(255, 255, 255), kInk(34, 38, 46), kFaint(98, 104, 114),
    kLine(224, 226, 230);
const cv::Scalar kWall(230, 40, 140), kTooMuch(245, 150, 20), kLacking(30, 120, 240);
/// Stands for the Greek letter in texts: the font has none, so it is drawn.
constexpr char kDelta = '\x01';

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

int text_width(const std::string& text, double size) {
  int baseline = 0;
  return cv::getTextSize(text, cv::FONT_HERSHEY_SIMPLEX, size, 1, &baseline).width;
}

/// A triangle as high as a capital.
int draw_delta(cv::Mat& canvas, cv::Point at, double size, const cv::Scalar& ink) {
  const int height = static_cast<int>(std::lround(21 * size)), width = height;
  const std::vector<cv::Point> corners = {
      at + cv::Point(1, 0), at + cv::Point(1 + width, 0), at + cv::Point(1 + width / 2, -height)};
  cv::polylines(canvas, corners, true, ink, 1, cv::LINE_AA);
  return width + 3;
}

void write(
    cv::Mat& canvas, const std::string& text, cv::Point at, double size, const cv::Scalar& ink) {
  for (size_t begin = 0; begin < text.size();) {
    if (text[begin] == kDelta) {
      at.x += draw_delta(canvas, at, size, ink);
      ++begin;
      continue;
    }
    const std::string piece = text.substr(begin, text.find(kDelta, begin) - begin);
    cv::putText(canvas, piece, at, cv::FONT_HERSHEY_SIMPLEX, size, ink, 1, cv::LINE_AA);
    at.x += text_width(piece, size);
    begin += piece.size();
  }
}

/// The font knows ASCII only; long titles lose their beginning, since names differ at the end.
std::string printable(const std::string& text, size_t most) {
  std::string result;
  for (const char c : text) result += c >= 32 && c < 127 ? c : '?';
  return result.size() <= most ? result : "..." + result.substr(result.size() - most + 3);
}

std::string number(const char* format, double value) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string delta_e(const std::optional<double>& value, const std::string& after) {
  const std::string name = std::string(1, kDelta) + "E ";
  return name + (value ? number("%.2f", *value) : "missing") + after;
}

void tint(cv::Mat& picture, const cv::Mat& where, const cv::Scalar& color) {
  cv::Mat grey, mixed;
  cv::cvtColor(picture, grey, cv::COLOR_RGB2GRAY);
  cv::cvtColor(grey, grey, cv::COLOR_GRAY2RGB);
  cv::addWeighted(grey, 0.55, cv::Mat(grey.size(), CV_8UC3, color), 0.45, 0, mixed);
  mixed.copyTo(picture, where);
}

/// The wall in one tint over its grey picture, so that it stands out whatever its own colour; and
/// where the mask is wrong, in two others.
cv::Mat overlay(const GridRow& row) {
  cv::Mat tinted = view(row.source).clone();
  const cv::Mat mask = view(row.mask);
  if (!row.right_mask) {
    tint(tinted, mask, kWall);
    return tinted;
  }
  const cv::Mat right = view(*row.right_mask);
  tint(tinted, mask & right, kWall);
  tint(tinted, mask & ~right, kTooMuch);
  tint(tinted, right & ~mask, kLacking);
  return tinted;
}

/// Fit into a cell.
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

std::string mask_caption(const GridRow& row) {
  if (row.right_mask) return "IoU " + number("%.2f", data::mask_iou(row.mask, *row.right_mask));
  return "wall " + number("%.0f", 100 * data::wall_share(row.mask)) + " %";
}

/// What stands under each picture.
std::array<std::string, kNumColumns> captions(const GridRow& row) {
  const std::string lightness = number("%.0f", double{data::rgb_to_lab(row.reference)[0]});
  std::array<std::string, kNumColumns> texts = {
      delta_e(row.source_delta_e_2000, " to reference"),
      color_text(row.reference) + ", L " + lightness,
      mask_caption(row),
      row.right_mask ? "orange extra, blue lacking" : "",
      delta_e(row.target_delta_e_2000, row.exact ? ", exact repaint" : ", recoloured"),
      delta_e(row.delta_e_2000, "")};
  if (row.exact) {
    texts[5] += row.delta_e_2000_exact ? ", to target " + number("%.2f", *row.delta_e_2000_exact)
                                       : ", to target missing";
  }
  return texts;
}

void draw_row(cv::Mat& canvas, const GridRow& row, int top, cv::Size cell) {
  const auto left = [&](int column) { return kMargin + column * (cell.width + kGap); };
  const int pictures = top + kRowTitle;
  const auto slot = [&](int column) {
    return cv::Rect(left(column), pictures, cell.width, cell.height);
  };
  write(canvas, printable(row.title, 120), {kMargin, top + 14}, kTextSize, kFaint);
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
  place(canvas, overlay(row), slot(3));
  place(canvas, view(row.target), slot(4));
  if (row.output.pixels.empty()) {
    cv::rectangle(canvas, slot(5), kLine, 1);
    write(canvas, "not finite", slot(5).tl() + cv::Point(10, 24), kTextSize, kFaint);
  } else {
    place(canvas, view(row.output), slot(5));
  }
  const auto texts = captions(row);
  for (int column = 0; column < kNumColumns; ++column) {
    double size = kTextSize;
    while (size > 0.3 && text_width(texts[column], size) > cell.width) size -= 0.01;
    write(canvas, texts[column], {left(column), pictures + cell.height + 17}, size, kInk);
  }
}

/// Cells of one width for all rows; each row is as high as its photo asks for, within limits, so
/// that photos of several shapes stand in one grid.
int cell_width(const std::vector<GridRow>& rows) {
  int64_t width = kLeastCell;
  for (const GridRow& row : rows) width = std::max(width, row.source.width);
  return static_cast<int>(std::min<int64_t>(width, kMostCell));
}

int cell_height(const GridRow& row, int width) {
  const double sides = static_cast<double>(row.source.height) /
                       static_cast<double>(std::max<int64_t>(1, row.source.width));
  return std::clamp(static_cast<int>(std::lround(width * sides)), width / 3, 2 * width);
}

}  // namespace

data::Image render_grid(const std::string& title, const std::vector<GridRow>& rows) {
  const int width = cell_width(rows);
  const int header = kMargin + kTitle;
  int height = header + kHeader + kMargin;
  for (const GridRow& row : rows)
    height += kRowTitle + cell_height(row, width) + kCaption + kRowGap;
  if (rows.empty()) height += kCaption;
  cv::Mat canvas(
      height, 2 * kMargin + kNumColumns * width + (kNumColumns - 1) * kGap, CV_8UC3, kPaper);
  write(canvas, printable(title, 110), {kMargin, kMargin + 18}, 0.6, kInk);
  for (int column = 0; column < kNumColumns; ++column) {
    const cv::Point at(kMargin + column * (width + kGap), header + 14);
    write(canvas, kColumns[column], at, 0.5, kInk);
  }
  int top = header + kHeader;
  for (const GridRow& row : rows) {
    const cv::Size cell(width, cell_height(row, width));
    draw_row(canvas, row, top, cell);
    top += kRowTitle + cell.height + kCaption + kRowGap;
  }
  if (rows.empty()) write(canvas, "no painting", {kMargin, top + 14}, kTextSize, kFaint);

  data::Image image{canvas.rows, canvas.cols, {}};
  image.pixels.assign(canvas.data, canvas.data + canvas.total() * 3);
  return image;
}

}  // namespace limewash::eval
