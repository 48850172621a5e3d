#include "eval/edge_error.h"

#include <algorithm>
#include <numeric>

namespace limewash::eval {

Pixels edge_band(const data::Mask& wall, int64_t reach) {
  data::Mask rest = wall;
  for (uint8_t& pixel : rest.pixels) pixel = pixel >= 128 ? 0 : 255;
  Pixels band = split_regions(wall, reach).ring;
  const Pixels inner = split_regions(rest, reach).ring;
  band.insert(band.end(), inner.begin(), inner.end());
  std::sort(band.begin(), band.end());
  return band;
}

std::optional<double> edge_error(const LabImage& output,
                                 const LabImage& exact,
                                 const data::Mask& wall) {
  const std::vector<double> values = delta_e_2000(output, edge_band(wall), exact);
  if (values.empty()) return std::nullopt;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace limewash::eval
