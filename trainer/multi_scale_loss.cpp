#include "trainer/multi_scale_loss.h"

#include <algorithm>

#include <torch/torch.h>

namespace limewash::trainer {

at::Tensor multi_scale_distance(const at::Tensor& a, const at::Tensor& b, int64_t levels) {
  // The pyramid is linear: that of the difference is the difference of both.
  at::Tensor rest = a - b;
  at::Tensor sum;
  int64_t bands = 0;
  const auto add = [&](const at::Tensor& band) {
    const auto mean = band.abs().mean(at::IntArrayRef{1, 2, 3});
    sum = sum.defined() ? sum + mean : mean;
    ++bands;
  };
  for (int64_t level = 0; level < levels && std::min(rest.size(2), rest.size(3)) >= 4; ++level) {
    const auto smaller = at::avg_pool2d(rest,
                                        {2, 2},
                                        {2, 2},
                                        {0, 0},
                                        /*ceil_mode=*/true,
                                        /*count_include_pad=*/false);
    add(rest -
        at::upsample_bilinear2d(smaller, {rest.size(2), rest.size(3)}, /*align_corners=*/false));
    rest = smaller;
  }
  add(rest);
  return sum / bands;
}

}  // namespace limewash::trainer
