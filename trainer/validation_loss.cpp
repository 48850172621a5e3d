#include "trainer/validation_loss.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <torch/torch.h>

#include "runtime/error.h"
#include "runtime/heartbeat.h"
#include "runtime/random.h"
#include "runtime/stop_signal.h"

namespace limewash::trainer {

namespace {

/// `count` photos evenly spread over the set; all when it is 0 or more than there are.
std::vector<int64_t> spread_photos(int64_t size, int64_t count) {
  if (count == 0) count = size;
  count = std::min(count, size);
  std::vector<int64_t> photos;
  for (int64_t i = 0; i < count; ++i) photos.push_back(i * size / count);
  return photos;
}

/// The first timestep of bin `bin`.
int64_t bin_begin(int64_t bin, int64_t bins, int64_t timesteps) {
  return bin * timesteps / bins;
}

at::Tensor stacked(const std::vector<std::span<const float>>& rows,
                   const std::vector<int64_t>& shape) {
  std::vector<int64_t> sizes{static_cast<int64_t>(rows.size())};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  auto tensor = torch::empty(sizes);
  auto* out = tensor.data_ptr<float>();
  for (const auto& row : rows) out = std::copy(row.begin(), row.end(), out);
  return tensor;
}

}  // namespace

std::vector<std::string> bin_names(int64_t bins, int64_t timesteps) {
  std::vector<std::string> names;
  for (int64_t bin = 0; bin < bins; ++bin) {
    char name[64];
    std::snprintf(name,
                  sizeof name,
                  "t%03lld_%03lld",
                  static_cast<long long>(bin_begin(bin, bins, timesteps)),
                  static_cast<long long>(bin_begin(bin + 1, bins, timesteps)));
    names.emplace_back(name);
  }
  return names;
}

ValidationLoss::ValidationLoss(models::BaseModel& base,
                               const data::Dataset& dataset,
                               const data::LatentCache& cache,
                               Communicator& communicator,
                               const ValidationLossOptions& options,
                               int64_t batch,
                               uint64_t seed)
    : base_(base),
      dataset_(dataset),
      cache_(cache),
      communicator_(communicator),
      options_(options),
      seed_(seed),
      text_(models::encode_empty_prompt(base)) {
  const int64_t timesteps = base.schedule.config().num_train_timesteps;
  if (options.bins > timesteps) {
    throw ConfigError("training.validation.bins = " + std::to_string(options.bins) +
                      ": expected at most the schedule's " + std::to_string(timesteps) +
                      " timesteps");
  }
  const auto chosen = spread_photos(dataset.size(), options.photos);
  for (const auto& bucket : dataset.buckets()) {
    std::vector<Draw> rows;
    for (const int64_t index : bucket.samples) {
      if (!std::binary_search(chosen.begin(), chosen.end(), index)) continue;
      for (int64_t bin = 0; bin < options.bins; ++bin) {
        const int64_t begin = bin_begin(bin, options.bins, timesteps);
        const int64_t width = bin_begin(bin + 1, options.bins, timesteps) - begin;
        RandomStream stream(seed,
                            Purpose::kValidationLoss,
                            static_cast<uint64_t>(bin),
                            dataset.info(index).stable_id);
        rows.push_back(
            {index, bin, begin + static_cast<int64_t>(stream.below(static_cast<uint64_t>(width)))});
      }
    }
    for (size_t first = 0; first < rows.size(); first += static_cast<size_t>(batch)) {
      const size_t end = std::min(rows.size(), first + static_cast<size_t>(batch));
      batches_.emplace_back(rows.begin() + static_cast<int64_t>(first),
                            rows.begin() + static_cast<int64_t>(end));
    }
  }
}

std::vector<std::string> ValidationLoss::names() const {
  return bin_names(options_.bins, base_.schedule.config().num_train_timesteps);
}

at::Tensor ValidationLoss::errors_of(models::Adapter& adapter,
                                     const std::vector<Draw>& rows) const {
  const int64_t height = cache_.latent_height(rows.front().index);
  const int64_t width = cache_.latent_width(rows.front().index);
  std::vector<data::CachedSample> samples;
  for (const Draw& row : rows) samples.push_back(cache_.sample(row.index, 0));
  const auto gather = [&](auto member, const std::vector<int64_t>& shape) {
    std::vector<std::span<const float>> spans;
    for (const auto& sample : samples) spans.push_back(sample.*member);
    return stacked(spans, shape);
  };
  const int64_t channels =
      static_cast<int64_t>(samples.front().target_mean.size()) / (height * width);
  const std::vector<int64_t> latents{channels, height, width};
  auto z0 = gather(&data::CachedSample::target_mean, latents);
  auto noise = torch::empty_like(z0);
  auto timesteps = torch::empty({z0.size(0)}, torch::kLong);
  for (int64_t i = 0; i < z0.size(0); ++i) {
    const Draw& row = rows[static_cast<size_t>(i)];
    timesteps.data_ptr<int64_t>()[i] = row.timestep;
    // Bins draw their timesteps from the numbers below.
    const auto place = static_cast<uint64_t>(options_.bins + row.bin);
    RandomStream stream(seed_, Purpose::kValidationLoss, place, dataset_.info(row.index).stable_id);
    const auto count = static_cast<size_t>(z0[i].numel());
    stream.fill_normal({noise[i].data_ptr<float>(), count});
  }
  const at::Device device = text_.device();
  z0 = z0.to(device);
  noise = noise.to(device);
  timesteps = timesteps.to(device);
  const auto z_t = base_.schedule.add_noise(z0, noise, timesteps);
  const auto reference = adapter.project_reference(
      gather(&data::CachedSample::embedding, cache_.embedding_shape()).to(device));
  const auto input = torch::cat({z_t,
                                 gather(&data::CachedSample::mask, {1, height, width}).to(device),
                                 gather(&data::CachedSample::hole, latents).to(device)},
                                1);
  const auto output =
      base_.unet->forward(input, timesteps, text_.expand({z_t.size(0), -1, -1}), reference);
  const auto target = base_.schedule.training_target(z0, noise, timesteps);
  return (output - target).to(torch::kDouble).square().mean({1, 2, 3});
}

std::optional<ValidationLosses> ValidationLoss::measure(models::Adapter& adapter, int64_t step) {
  torch::NoGradGuard no_grad;
  const auto ranks = static_cast<size_t>(communicator_.size());
  const auto rank = static_cast<size_t>(communicator_.rank());
  size_t rows = 0;
  for (const auto& batch : batches_) rows += batch.size();
  // Each row has a place of its own, so that the sum's order is that of one rank.
  auto errors = torch::zeros({static_cast<int64_t>(rows)}, torch::kDouble);
  int64_t place = 0;
  for (size_t i = 0; i < batches_.size(); ++i) {
    if (i % ranks == 0 && communicator_.agree_any(stop_requested())) return std::nullopt;
    heartbeat();
    const auto count = static_cast<int64_t>(batches_[i].size());
    if (i % ranks == rank) errors.narrow(0, place, count).copy_(errors_of(adapter, batches_[i]));
    place += count;
  }
  communicator_.all_reduce_sum(errors);

  ValidationLosses losses{step, 0, std::vector<double>(static_cast<size_t>(options_.bins), 0.0)};
  std::vector<int64_t> counts(losses.bins.size(), 0);
  const auto* error = errors.data_ptr<double>();
  for (const auto& batch : batches_) {
    for (const Draw& row : batch) {
      losses.bins[static_cast<size_t>(row.bin)] += *error++;
      ++counts[static_cast<size_t>(row.bin)];
    }
  }
  for (size_t bin = 0; bin < counts.size(); ++bin) {
    losses.bins[bin] /= static_cast<double>(counts[bin]);
    losses.loss += losses.bins[bin] / static_cast<double>(counts.size());
  }
  return losses;
}

}  // namespace limewash::trainer
