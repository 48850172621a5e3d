#include "eval/svg_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include <spdlog/fmt/fmt.h>

#include "eval/report_page.h"

namespace limewash::eval {
namespace {

constexpr double kWidth = 620, kPlot = 228, kLeft = 58, kRight = 24, kTop = 58, kBottom = 44;
constexpr double kLegendLine = 19, kCharacter = 6.6;
constexpr size_t kMostPoints = 1200, kLegendCharacters = 34;
constexpr int kColors = 6;

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
  double top = kTop;
  double height() const {
    return top + kPlot + kBottom;
  }
  double column(double value) const {
    return kLeft + (value - x.low) / (x.high - x.low) * (kWidth - kLeft - kRight);
  }
  double row(double value) const {
    return top + kPlot - (value - y.low) / (y.high - y.low) * kPlot;
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
                       frame.top + kPlot + 18,
                       value,
                       frame.x.decimals);
  }
  return svg +
         fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='middle' class='label'>{}</text>\n",
                     (kLeft + kWidth - kRight) / 2,
                     frame.height() - 6,
                     shown_text(chart.x_label));
}

int color_of(const ChartSeries& series) {
  return std::abs(series.color) % kColors;
}

/// A dot of the series' own shape.
std::string mark(int shape, double x, double y) {
  switch (shape % 4) {
    case 1:
      return fmt::format(
          "<rect x='{:.1f}' y='{:.1f}' width='6.4' height='6.4' class='mark'>", x - 3.2, y - 3.2);
    case 2:
      return fmt::format("<path d='M{:.1f} {:.1f}l4.2 7.4h-8.4z' class='mark'>", x, y - 4.6);
    case 3:
      return fmt::format(
          "<path d='M{:.1f} {:.1f}l4.4 4.4l-4.4 4.4l-4.4 -4.4z' class='mark'>", x, y - 4.4);
    default:
      return fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='3.4' class='mark'>", x, y);
  }
}

const char* mark_end(int shape) {
  constexpr std::array<const char*, 4> kEnds = {"</circle>", "</rect>", "</path>", "</path>"};
  return kEnds[static_cast<size_t>(shape % 4)];
}

std::string line(const ChartSeries& series, const Frame& frame) {
  const int color = color_of(series);
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
    dots += fmt::format("{}<title>{}: {:.4g} at {:g}</title>{}",
                        mark(color, frame.column(x), frame.row(y)),
                        shown_text(series.name),
                        y,
                        x,
                        mark_end(color));
  }
  return fmt::format(
      "<g class='curve-{}'><path d='{}' class='curve' stroke-width='{}' opacity='{}'{}/>{}</g>\n",
      color,
      path,
      series.faint ? 1 : 2,
      series.faint ? 0.25 : 1,
      series.dashed ? " stroke-dasharray='6 4'" : "",
      dots);
}

/// The letters at the right ends of the lines, pushed apart where they would meet.
std::string letters(const Chart& chart, const Frame& frame) {
  struct Letter {
    double x, y;
    const ChartSeries* series;
  };
  std::vector<Letter> list;
  for (const ChartSeries& series : chart.series) {
    if (series.letter.empty()) continue;
    for (auto it = series.points.rbegin(); it != series.points.rend(); ++it) {
      if (!std::isfinite(it->first) || !std::isfinite(it->second)) continue;
      list.push_back({frame.column(it->first) + 8, frame.row(it->second) + 4, &series});
      break;
    }
  }
  std::stable_sort(
      list.begin(), list.end(), [](const Letter& a, const Letter& b) { return a.y < b.y; });
  std::string svg;
  for (size_t i = 0; i < list.size(); ++i) {
    if (i > 0) list[i].y = std::max(list[i].y, list[i - 1].y + 12);
    svg += fmt::format("<text x='{:.1f}' y='{:.1f}' class='mark curve-{}'>{}</text>\n",
                       list[i].x,
                       list[i].y,
                       color_of(*list[i].series),
                       escape_html(list[i].series->letter));
  }
  return svg;
}

struct Legend {
  std::string svg;
  int lines = 1;
};

Legend legend_of(const Chart& chart) {
  Legend legend;
  double x = kLeft, y = 42;
  for (const ChartSeries& series : chart.series) {
    if (series.points.empty() || series.faint) continue;
    const std::string name = (series.letter.empty() ? "" : series.letter + "  ") +
                             shortened(series.name, kLegendCharacters);
    const auto characters =
        std::count_if(name.begin(), name.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; });
    const double width = 24 + kCharacter * static_cast<double>(characters) + 18;
    if (x > kLeft && x + width > kWidth) {
      x = kLeft;
      y += kLegendLine;
      ++legend.lines;
    }
    legend.svg += fmt::format(
        "<g class='curve-{5}'><line x1='{0:.1f}' x2='{1:.1f}' y1='{2}' y2='{2}' class='curve' "
        "stroke-width='3'{3}/>{4}</g><text x='{6:.1f}' y='{7}'>{8}</text>\n",
        x,
        x + 18,
        y - 4,
        series.dashed ? " stroke-dasharray='6 4'" : "",
        series.markers ? mark(color_of(series), x + 9, y - 4) + mark_end(color_of(series)) : "",
        color_of(series),
        x + 24,
        y,
        escape_html(name));
    x += width;
  }
  return legend;
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
  const Legend legend = legend_of(chart);
  Frame frame = frame_of(chart);
  frame.top = kTop + kLegendLine * (legend.lines - 1);
  std::string svg = fmt::format(
      "<svg viewBox='0 0 {:g} {:g}' role='img' aria-label='{}'><text x='{:g}' y='18' "
      "class='title'>{}</text>\n",
      kWidth,
      frame.height(),
      shown_text(chart.title),
      2.0,
      shown_text(chart.title));
  svg += axes(chart, frame);
  for (const ChartSeries& series : chart.series) {
    if (!series.points.empty()) svg += line(series, frame);
  }
  return svg + letters(chart, frame) + legend.svg + "</svg>\n";
}

}  // namespace limewash::eval
