#include "tests/trainer/tiny_training.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

namespace limewash::trainer {

TinyTraining::TinyTraining() : threads_before(at::get_num_threads()) {
  at::set_num_threads(1);  // two ranks stand in one process
  models::BaseOptions options;
  options.model = LIMEWASH_SOURCE_DIR "/models/limewash-tiny";
  base = models::load_base_model(options);
  std::vector<data::ShardSample> samples;
  for (int i = 0; i < 3; ++i) samples.push_back(data::plain_sample(32, i));
  for (int i = 3; i < 5; ++i) samples.push_back(data::plain_sample(48, i));
  data::make_dataset(folder / "d", samples, 3);
  dataset = std::make_unique<data::Dataset>(folder / "d");
  adapter_options.lora.rank = 2;
  adapter = std::make_unique<models::Adapter>(base.unet, adapter_options, 64, 1);
  cache = data::LatentCache::open(*dataset, {1, 42, {}, 1}, encoders(), *alone);
}

TinyTraining::~TinyTraining() {
  at::set_num_threads(threads_before);
}

data::Encoders TinyTraining::encoders() {
  const auto probe = models::encode_pixels(base, torch::zeros({1, 3, 64, 64})).first;
  data::Encoders encoders;
  encoders.fingerprint = "test";
  encoders.latent_channels = probe.size(1);
  encoders.downscale = 64 / probe.size(2);
  encoders.embedding_shape = {64};
  encoders.swatch_size = 8;
  encoders.encode_images = [this, encoders](
                               std::span<const data::Image> batch, float* mean, float* deviation) {
    for (const auto& image : batch) {
      const int64_t count = encoders.latent_channels * (image.height / encoders.downscale) *
                            (image.width / encoders.downscale);
      for (int64_t i = 0; i < count; ++i) {
        *mean++ = static_cast<float>(image.pixels[static_cast<size_t>(i)]) / 128 - 1;
        *deviation++ = 0.1F;
      }
    }
  };
  encoders.encode_references = [](std::span<const data::Image> batch, float* out) {
    for (const auto& image : batch)
      for (size_t i = 0; i < 64; ++i) *out++ = static_cast<float>(image.pixels[i]) / 255;
  };
  return encoders;
}

}  // namespace limewash::trainer
