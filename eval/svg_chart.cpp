#include "eval/svg_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include <spdlog/fmt/fmt.h>

namespace limewash::eval {
namespace {

constexpr double kWidth = 620, kHeight = 330, kLeft = 58, kRight = 16, kTop = 58, kBottom = 44;
constexpr size_t kMostPoints = 1200;
constexpr std::array<const char*, 6> kColors = {
    "#2f6fb3", "#d1762c", "#3a8f5c", "#8a5aa8", "#b03a48", "#6b7280"};

struct Axis {
  double low = 0, high = 1, step = 0.2;
  int decimals = 1;
};

/// Ends on round numbers with four to eight steps of 1, 2 or 5 times a power of ten.
Axis round_axis(double low, double high) {
  if (!(high > low)) high = low + std::max(1.0, std::abs(low) * 0.1);
  const double rough = (high - low) / 5;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double ratio = rough / power;
  Axis axis;
  axis.step = (ratio < 1.5 ? 1 : ratio < 3.5 ? 2 : ratio < 7.5 ? 5 : 10) * power;
  axis.low = std::floor(low / axis.step + 1e-9) * axis.step;
  axis.high = std::ceil(high / axis.step - 1e-9) * axis.step;
  axis.decimals = std::max(0, static_cast<int>(-std::floor(std::log10(axis.step) + 1e-9)));
  return axis;
}

std::vector<std::pair<double, double>> thinned(
    const std::vector<std::pair<double, double>>& points) {
  if (points.size() <= kMostPoints) return points;
  std::vector<std::pair<double, double>> result;
  const size_t stride = (points.size() + kMostPoints - 1) / kMostPoints;
  for (size_t i = 0; i < points.size(); i += stride) result.push_back(points[i]);
  if (result.back() != points.back()) result.push_back(points.back());
  return result;
}

struct Frame {
  Axis x, y;
  double column(double value) const {
    return kLeft + (value - x.low) / (x.high - x.low) * (kWidth - kLeft - kRight);
  }
  double row(double value) const {
    return kHeight - kBottom - (value - y.low) / (y.high - y.low) * (kHeight - kTop - kBottom);
  }
};

Frame frame_of(const Chart& chart) {
  double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
  for (const ChartSeries& series : chart.series) {
    for (const auto& [x, y] : series.points) {
      if (!std::isfinite(x) || !std::isfinite(y)) continue;
      x_low = std::min(x_low, x);
      x_high = std::max(x_high, x);
      y_low = std::min(y_low, y);
      y_high = std::max(y_high, y);
    }
  }
  if (!(x_high >= x_low)) return {};
  if (chart.from_zero) y_low = std::min(0.0, y_low);
  return {round_axis(x_low, x_high), round_axis(y_low, y_high)};
}

std::string axes(const Chart& chart, const Frame& frame) {
  std::string svg;
  for (int64_t i = 0;; ++i) {
    const double value = frame.y.low + static_cast<double>(i) * frame.y.step;
    if (value > frame.y.high + 0.5 * frame.y.step) break;
    svg += fmt::format(
        "<line x1='{:.1f}' x2='{:.1f}' y1='{:.1f}' y2='{:.1f}' class='grid'/>"
        "<text x='{:.1f}' y='{:.1f}' text-anchor='end'>{:.{}f}</text>\n",
        kLeft,
        kWidth - kRight,
        frame.row(value),
        frame.row(value),
        kLeft - 8,
        frame.row(value) + 4,
        value,
        frame.y.decimals);
  }
  for (int64_t i = 0;; ++i) {
    const double value = frame.x.low + static_cast<double>(i) * frame.x.step;
    if (value > frame.x.high + 0.5 * frame.x.step) break;
    svg += fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='middle'>{:.{}f}</text>\n",
                       frame.column(value),
                       kHeight - kBottom + 18,
                       value,
                       frame.x.decimals);
  }
  return svg +
         fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='middle' class='label'>{}</text>\n",
                     (kLeft + kWidth - kRight) / 2,
                     kHeight - 6,
                     escape_html(chart.x_label));
}

std::string line(const ChartSeries& series, const Frame& frame) {
  const char* color = kColors[static_cast<size_t>(series.color) % kColors.size()];
  std::string path, dots;
  bool down = false;
  for (const auto& [x, y] : thinned(series.points)) {
    if (!std::isfinite(x) || !std::isfinite(y)) {
      down = false;
      continue;
    }
    path += fmt::format("{}{:.1f} {:.1f}", down ? "L" : "M", frame.column(x), frame.row(y));
    down = true;
    if (!series.markers) continue;
    dots += fmt::format(
        "<circle cx='{:.1f}' cy='{:.1f}' r='3.2' fill='{}'><title>{}: {:.4g} at "
        "{:g}</title></circle>",
        frame.column(x),
        frame.row(y),
        color,
        escape_html(series.name),
        y,
        x);
  }
  return fmt::format("<path d='{}' fill='none' stroke='{}' stroke-width='{}' opacity='{}'{}/>{}\n",
                     path,
                     color,
                     series.faint ? 1 : 2,
                     series.faint ? 0.25 : 1,
                     series.dashed ? " stroke-dasharray='6 4'" : "",
                     dots);
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

ChartSeries smoothed(const ChartSeries& series) {
  ChartSeries result = series;
  const double length = std::max(1.0, static_cast<double>(series.points.size()) / 30);
  const double keep = 1 - 1 / length;
  double sum = 0, weight = 0;
  for (auto& [x, y] : result.points) {
    if (!std::isfinite(y)) continue;
    sum = keep * sum + (1 - keep) * y;
    weight = keep * weight + (1 - keep);
    y = sum / weight;  // the weights of the first points do not add up to 1 yet
  }
  return result;
}

std::string render_svg(const Chart& chart) {
  const Frame frame = frame_of(chart);
  std::string svg = fmt::format(
      "<svg viewBox='0 0 {:g} {:g}' role='img'><text x='{:g}' y='18' class='title'>{}</text>\n",
      kWidth,
      kHeight,
      2.0,
      escape_html(chart.title));
  svg += axes(chart, frame);
  double legend = kLeft;
  for (const ChartSeries& series : chart.series) {
    if (series.points.empty()) continue;
    svg += line(series, frame);
    if (series.faint) continue;
    svg += fmt::format(
        "<line x1='{0:.1f}' x2='{1:.1f}' y1='38' y2='38' stroke='{2}' stroke-width='3'{3}/>"
        "<text x='{4:.1f}' y='42'>{5}</text>\n",
        legend,
        legend + 18,
        kColors[static_cast<size_t>(series.color) % kColors.size()],
        series.dashed ? " stroke-dasharray='6 4'" : "",
        legend + 24,
        escape_html(series.name));
    legend += 24 + 6.6 * static_cast<double>(series.name.size()) + 18;
  }
  return svg + "</svg>\n";
}

}  // namespace limewash::eval
