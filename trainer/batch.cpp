#include "trainer/batch.h"

#include <cstring>
#include <numeric>

#include <torch/torch.h>

#include "data/color.h"
#include "data/sample_order.h"
#include "runtime/random.h"

namespace limewash::trainer {

BatchSource::BatchSource(const data::Dataset& dataset,
                         const data::LatentCache& cache,
                         const at::Tensor& dropped_embedding,
                         const models::NoiseScheduleConfig& schedule,
                         const TrainingOptions& options,
                         bool quality_weight,
                         int64_t recolorings,
                         uint64_t seed)
    : dataset_(dataset),
      cache_(cache),
      dropped_embedding_(dropped_embedding.to(torch::kCPU, torch::kFloat).contiguous()),
      num_train_timesteps_(schedule.num_train_timesteps),
      options_(options),
      quality_weight_(quality_weight),
      recolorings_(recolorings),
      seed_(seed) {
  TORCH_CHECK(dropped_embedding.sizes() == at::IntArrayRef(cache.embedding_shape()),
              "dropped embedding: expected ",
              at::IntArrayRef(cache.embedding_shape()),
              ", got ",
              dropped_embedding.sizes());
  for (int64_t index = 0; index < dataset.size(); ++index) {
    const auto sample = cache.sample(index, 0);
    hole_area_.push_back(std::accumulate(sample.mask.begin(), sample.mask.end(), 0.0));
    core_area_.push_back(std::accumulate(sample.core.begin(), sample.core.end(), 0.0));
  }
}

std::vector<StreamSample> BatchSource::global_batch(int64_t step) const {
  std::vector<StreamSample> samples;
  samples.reserve(static_cast<size_t>(options_.global_batch));
  for (int64_t i = 0; i < options_.global_batch; ++i) {
    const auto position = data::sample_at(seed_, dataset_.size(), step * options_.global_batch + i);
    const auto& info = dataset_.info(position.index);
    StreamSample sample;
    sample.index = position.index;
    sample.id = info.stable_id;
    sample.epoch = position.epoch;
    sample.recoloring = data::recoloring_of(seed_, sample.epoch, sample.id, recolorings_);
    sample.timestep =
        static_cast<int64_t>(RandomStream(seed_, Purpose::kTimestep, sample.epoch, sample.id)
                                 .below(static_cast<uint64_t>(num_train_timesteps_)));
    sample.drop_reference = RandomStream(seed_, Purpose::kDrop, sample.epoch, sample.id).uniform() <
                            options_.drop_reference;
    sample.quality = quality_weight_ ? info.quality : 1.0;
    samples.push_back(sample);
  }
  return samples;
}

MicroBatch BatchSource::micro_batch(const std::vector<StreamSample>& samples,
                                    int64_t first,
                                    int64_t count) const {
  const int64_t height = cache_.latent_height(), width = cache_.latent_width(),
                area = height * width;
  const auto example = cache_.sample(samples.at(static_cast<size_t>(first)).index, 0);
  const int64_t channels = static_cast<int64_t>(example.hole.size()) / area;

  MicroBatch batch;
  batch.z0 = torch::empty({count, channels, height, width});
  batch.noise = torch::empty_like(batch.z0);
  batch.hole_latents = torch::empty_like(batch.z0);
  batch.mask = torch::empty({count, 1, height, width});
  batch.core = torch::empty_like(batch.mask);
  batch.embeddings = dropped_embedding_.unsqueeze(0).repeat_interleave(count, 0);
  batch.timesteps = torch::empty({count}, torch::kLong);
  batch.quality = torch::empty({count});
  batch.asked_lab = torch::empty({count, 3});

  const auto copy_to = [](at::Tensor& tensor, int64_t row, std::span<const float> values) {
    std::memcpy(tensor.data_ptr<float>() + row * static_cast<int64_t>(values.size()),
                values.data(),
                values.size_bytes());
  };
  std::vector<float> deviation_noise(static_cast<size_t>(channels * area));
  for (int64_t row = 0; row < count; ++row) {
    const auto& sample = samples.at(static_cast<size_t>(first + row));
    const auto cached = cache_.sample(sample.index, sample.recoloring);
    float* z0 = batch.z0.data_ptr<float>() + row * channels * area;
    RandomStream(seed_, Purpose::kVaeSample, sample.epoch, sample.id).fill_normal(deviation_noise);
    for (int64_t i = 0; i < channels * area; ++i) {
      const auto at = static_cast<size_t>(i);
      z0[i] = cached.target_mean[at] + cached.target_deviation[at] * deviation_noise[at];
    }
    RandomStream(seed_, Purpose::kNoise, sample.epoch, sample.id)
        .fill_normal({batch.noise.data_ptr<float>() + row * channels * area,
                      static_cast<size_t>(channels * area)});
    copy_to(batch.hole_latents, row, cached.hole);
    copy_to(batch.mask, row, cached.mask);
    copy_to(batch.core, row, cached.core);
    if (!sample.drop_reference) copy_to(batch.embeddings, row, cached.embedding);
    batch.timesteps.data_ptr<int64_t>()[row] = sample.timestep;
    batch.quality.data_ptr<float>()[row] = static_cast<float>(sample.quality);
    const auto lab = data::rgb_to_lab(cached.color);
    copy_to(batch.asked_lab, row, lab);
  }
  return batch;
}

double BatchSource::noise_weight_total(const std::vector<StreamSample>& samples,
                                       const NoiseLossOptions& options) const {
  const double area = static_cast<double>(cache_.latent_height() * cache_.latent_width());
  double total = 0;
  for (const auto& sample : samples) {
    const double hole = hole_area_.at(static_cast<size_t>(sample.index));
    total += sample.quality * (options.inside * hole + options.outside * (area - hole));
  }
  return total;
}

bool BatchSource::has_core(const StreamSample& sample) const {
  return core_area_.at(static_cast<size_t>(sample.index)) > 0;
}

double BatchSource::epoch_at(int64_t step) const {
  return static_cast<double>(step * options_.global_batch) / static_cast<double>(dataset_.size());
}

}  // namespace limewash::trainer
