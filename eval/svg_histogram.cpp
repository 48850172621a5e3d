#include "eval/svg_histogram.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include <spdlog/fmt/fmt.h>

#include "eval/svg_chart.h"

namespace limewash::eval {
namespace {

constexpr double kWidth = 620, kHeight = 250, kLeft = 58, kRight = 16, kTop = 44, kBottom = 30;
constexpr size_t kBins = 25;

double column(double value) {
  return kLeft + value * (kWidth - kLeft - kRight);
}

double row(double share) {
  return kHeight - kBottom - share * (kHeight - kTop - kBottom);
}

double median_of(std::vector<float> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return std::clamp(static_cast<double>(*middle), 0.0, 1.0);
}

}  // namespace

std::string render_histogram(const std::string& title,
                             const std::string& note,
                             const std::vector<float>& values) {
  std::array<int64_t, kBins> counts{};
  std::vector<float> finite;
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    finite.push_back(value);
    const double place = std::clamp(static_cast<double>(value), 0.0, 1.0) * kBins;
    ++counts[std::min(kBins - 1, static_cast<size_t>(place))];
  }
  const int64_t most = std::max<int64_t>(1, *std::max_element(counts.begin(), counts.end()));
  std::string svg = fmt::format(
      "<svg viewBox='0 0 {} {}' role='img' aria-label='{}'><text x='{}' y='20' class='title'>{}"
      "</text><text x='{}' y='20' text-anchor='end'>{}</text>\n",
      kWidth,
      kHeight,
      escape_html(title),
      kLeft - 42,
      escape_html(title),
      kWidth - kRight,
      escape_html(note));
  for (const double share : {0.0, 0.5, 1.0})
    svg += fmt::format(
        "<line x1='{:.1f}' x2='{:.1f}' y1='{:.1f}' y2='{:.1f}' class='grid'/><text x='{:.1f}' "
        "y='{:.1f}' text-anchor='end'>{}</text>\n",
        kLeft,
        kWidth - kRight,
        row(share),
        row(share),
        kLeft - 8,
        row(share) + 4,
        share == 0.5 && most % 2 != 0 ? ""
                                      : fmt::format("{:g}", share * static_cast<double>(most)));
  for (size_t bin = 0; bin < kBins; ++bin) {
    if (counts[bin] == 0) continue;
    const double low = static_cast<double>(bin) / kBins,
                 high = static_cast<double>(bin + 1) / kBins;
    const double top = row(static_cast<double>(counts[bin]) / static_cast<double>(most));
    svg += fmt::format(
        "<rect x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' fill='#2f6fb3'><title>{:.2f} - "
        "{:.2f}: {}</title></rect>\n",
        column(low) + 1,
        top,
        column(high) - column(low) - 2,
        row(0) - top,
        low,
        high,
        counts[bin]);
  }
  for (const double value : {0.0, 0.2, 0.4, 0.6, 0.8, 1.0})
    svg += fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='middle'>{:g}</text>\n",
                       column(value),
                       kHeight - kBottom + 18,
                       value);
  if (!finite.empty()) {
    const double place = column(median_of(finite));
    svg += fmt::format(
        "<line x1='{0:.1f}' x2='{0:.1f}' y1='{1:.1f}' y2='{2:.1f}' stroke='#d1762c' "
        "stroke-width='2' stroke-dasharray='5 4'><title>median</title></line>\n",
        place,
        row(1),
        row(0));
  }
  return svg + "</svg>\n";
}

}  // namespace limewash::eval
