#include "trainer/loss_crop.h"

#include <algorithm>

#include <torch/torch.h>

#include "runtime/random.h"

namespace limewash::trainer {

CropPlace crop_place(uint64_t seed,
                     const StreamSample& sample,
                     const at::Tensor& core,
                     int64_t side) {
  const int64_t height = core.size(0), width = core.size(1);
  const auto plane = core.to(torch::kCPU).contiguous();
  const float* values = plane.const_data_ptr<float>();
  std::vector<int64_t> candidates;
  for (int64_t i = 0; i < height * width; ++i) {
    if (values[i] > 0) candidates.push_back(i);
  }
  RandomStream stream(seed, Purpose::kLossCrop, sample.epoch, sample.id);
  const int64_t centre =
      candidates.empty() ? static_cast<int64_t>(stream.below(static_cast<uint64_t>(height * width)))
                         : candidates[static_cast<size_t>(stream.below(candidates.size()))];
  const auto begin = [side](int64_t middle, int64_t length) {
    return std::clamp<int64_t>(middle - side / 2, 0, std::max<int64_t>(0, length - side));
  };
  return {begin(centre / width, height), begin(centre % width, width)};
}

at::Tensor cut_crops(const at::Tensor& tensor, const std::vector<CropPlace>& places, int64_t side) {
  const int64_t height = std::min(side, tensor.size(2)), width = std::min(side, tensor.size(3));
  std::vector<at::Tensor> rows;
  for (size_t row = 0; row < places.size(); ++row) {
    rows.push_back(tensor[static_cast<int64_t>(row)]
                       .narrow(1, places[row].top, height)
                       .narrow(2, places[row].left, width));
  }
  return torch::stack(rows);
}

at::Tensor decode_with_gradient(models::Autoencoder& decoder, const at::Tensor& latents) {
  return decoder.decode(latents / decoder.scaling_factor());
}

}  // namespace limewash::trainer
