#include "models/lora_dropout.h"

#include <cmath>
#include <utility>

#include <torch/torch.h>

#include "models/parallel.h"
#include "runtime/random.h"

namespace limewash::models {

LoraDropout::LoraDropout(double probability) : probability_(probability) {
  TORCH_CHECK(probability >= 0 && probability < 1,
              "LoRA dropout: the probability is ",
              probability,
              ": expected 0 or more and less than 1");
}

void LoraDropout::begin(uint64_t seed, std::vector<DropoutKey> keys) {
  seed_ = seed;
  keys_ = std::move(keys);
  active_ = probability_ > 0;
}

void LoraDropout::end() {
  active_ = false;
}

at::Tensor LoraDropout::apply(const at::Tensor& input, uint64_t layer) const {
  if (!active_) return input;
  const auto rows = static_cast<int64_t>(keys_.size());
  TORCH_CHECK(input.dim() > 0 && input.size(0) == rows,
              "LoRA dropout: the input is ",
              input.sizes(),
              ", and there are keys of ",
              rows,
              " samples");
  at::Tensor dropped = at::empty(input.sizes(), at::kBool);
  bool* values = dropped.data_ptr<bool>();
  const int64_t count = rows > 0 ? input.numel() / rows : 0;
  const auto threshold = static_cast<uint64_t>(std::llround(std::ldexp(probability_, 32)));
  parallel_for(0, rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const DropoutKey& key = keys_[static_cast<size_t>(row)];
      RandomStream stream(seed_, Purpose::kDropout, key.epoch, key.sample ^ layer);
      for (int64_t i = 0; i < count; ++i) values[row * count + i] = stream.next_u32() < threshold;
    }
  });
  return input.masked_fill(dropped.to(input.device()), 0) / (1 - probability_);
}

}  // namespace limewash::models
