#include "models/embeddings.h"

#include <cmath>

#include <torch/torch.h>

namespace limewash::models {

at::Tensor timestep_embedding(const at::Tensor& timesteps,
                              int64_t size,
                              bool flip_sin_to_cos,
                              double freq_shift) {
  TORCH_CHECK(timesteps.dim() == 1, "timesteps: expected [N], got ", timesteps.sizes());
  constexpr double kMaxPeriod = 10000;
  const int64_t half = size / 2;
  const auto options = at::TensorOptions().dtype(at::kFloat).device(timesteps.device());
  const at::Tensor exponent =
      at::arange(half, options) * -std::log(kMaxPeriod) / (static_cast<double>(half) - freq_shift);
  const at::Tensor angles = timesteps.to(at::kFloat).unsqueeze(1) * at::exp(exponent).unsqueeze(0);
  const at::Tensor sine = at::sin(angles), cosine = at::cos(angles);
  const at::Tensor embedding =
      flip_sin_to_cos ? at::cat({cosine, sine}, 1) : at::cat({sine, cosine}, 1);
  return size % 2 == 1 ? at::constant_pad_nd(embedding, {0, 1}) : embedding;  // [N, size]
}

TimestepEmbeddingImpl::TimestepEmbeddingImpl(int64_t in_channels, int64_t time_embed_dim) {
  linear_1_ = register_module("linear_1", LoraLinear(in_channels, time_embed_dim));
  linear_2_ = register_module("linear_2", LoraLinear(time_embed_dim, time_embed_dim));
}

at::Tensor TimestepEmbeddingImpl::forward(const at::Tensor& sample) const {
  return linear_2_->forward(at::silu(linear_1_->forward(sample)));
}

}  // namespace limewash::models
