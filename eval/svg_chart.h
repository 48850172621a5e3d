#pragma once
// A line chart as inline SVG: no script, no server.

#include <string>
#include <utility>
#include <vector>

namespace limewash::eval {

struct ChartSeries {
  std::string name;
  std::vector<std::pair<double, double>>
      points;  ///< (x, y) by rising x; a y that is not finite is a gap
  bool dashed = false;
  bool markers = false;  ///< a dot a point
  bool faint = false;    ///< thin and pale: what lies under a smoothed line; no legend entry
  int color = 0;         ///< index into the palette of report_style.h; also the shape of its dots
  std::string letter = {};  ///< at the line's right end, so that colour is not all that tells
};

struct Chart {
  std::string title, x_label;
  std::vector<ChartSeries> series;
  bool from_zero = true;  ///< the y axis starts at 0
};

/// <svg> of 620 x 330, higher when the legend takes several lines, that scales with its place. Its
/// colours are classes of report_style.h. Long series are thinned to a few points a pixel, long
/// names in the legend lose their middle.
std::string render_svg(const Chart& chart);

/// The series smoothed by an exponential moving average over about a thirtieth of its points.
ChartSeries smoothed(const ChartSeries& series);

/// Text for HTML and SVG.
std::string escape_html(const std::string& text);

}  // namespace limewash::eval
