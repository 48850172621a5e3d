#include "trainer/color_loss.h"

#include <torch/torch.h>

#include "models/device_constant.h"

namespace limewash::trainer {

at::Tensor differentiable_rgb_to_lab(const at::Tensor& rgb) {
  // Both curves are continued beyond the gamut rather than clamped: a clamp would stop the gradient
  // that brings a colour back in. The inner clamps keep the branch that is not taken finite.
  const auto linear = torch::where(
      rgb <= 0.04045, rgb / 12.92, ((rgb.clamp_min(0.04045) + 0.055) / 1.055).pow(2.4));
  static const models::DeviceConstant kToXyz(
      torch::tensor(std::vector<float>{// Rows X, Y, Z over the D65 white point; columns R, G, B.
                                       0.412453F / 0.95047F,
                                       0.357580F / 0.95047F,
                                       0.180423F / 0.95047F,
                                       0.212671F,
                                       0.715160F,
                                       0.072169F,
                                       0.019334F / 1.08883F,
                                       0.119193F / 1.08883F,
                                       0.950227F / 1.08883F})
          .view({3, 3}));
  const auto matrix = kToXyz.on(rgb.device()).to(rgb.scalar_type());
  const auto xyz = torch::matmul(linear, matrix.t());
  const auto f = torch::where(
      xyz > 0.008856, xyz.clamp_min(0.008856).pow(1.0 / 3.0), 7.787 * xyz + 16.0 / 116.0);
  const auto fx = f.select(-1, 0), fy = f.select(-1, 1), fz = f.select(-1, 2);
  return torch::stack({116.0 * fy - 16.0, 500.0 * (fx - fy), 200.0 * (fy - fz)}, -1);
}

LatentColor::LatentColor(const std::vector<float>& latent_to_rgb, at::Device device) {
  const auto channels = static_cast<int64_t>(latent_to_rgb.size() / 3) - 1;
  const auto map = torch::tensor(latent_to_rgb).view({channels + 1, 3}).to(device);
  weight_ = map.narrow(0, 0, channels);
  bias_ = map.select(0, channels);
}

at::Tensor LatentColor::region_lab(const at::Tensor& latents, const at::Tensor& core) const {
  const auto area = core.sum({2, 3});                                      // [N, 1]
  const auto mean = (latents * core).sum({2, 3}) / area.clamp_min(1e-6);   // [N, C]
  return differentiable_rgb_to_lab(torch::matmul(mean, weight_) + bias_);  // [N, 3]
}

at::Tensor decoded_region_lab(const at::Tensor& pixels, const at::Tensor& core) {
  const auto weight = at::upsample_nearest2d(core, {pixels.size(2), pixels.size(3)});
  const auto lab = differentiable_rgb_to_lab(((pixels + 1) / 2).permute({0, 2, 3, 1}));
  const auto weighted = lab * weight.permute({0, 2, 3, 1});          // [N, H, W, 3]
  return weighted.sum({1, 2}) / weight.sum({2, 3}).clamp_min(1e-6);  // [N, 3]
}

at::Tensor color_distance(const at::Tensor& predicted, const at::Tensor& anchor) {
  return ((predicted - anchor) / 10.0).square().sum(1);
}

}  // namespace limewash::trainer
