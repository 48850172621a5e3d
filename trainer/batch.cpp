#include "trainer/batch.h"

#include <any>
#include <cstring>
#include <sstream>
#include <utility>

#include <torch/torch.h>

#include "data/color.h"
#include "data/variant.h"
#include "runtime/random.h"
#include "trainer/noise_loss.h"

namespace limewash::trainer {

namespace {

/// Memory that LibTorch owns: it keeps a pinned block until the copies from it are done.
data::AllocateBatch tensor_memory(bool pinned) {
  return [pinned](int64_t bytes) {
    const auto floats = (bytes + 3) / 4;
    auto tensor = torch::empty({floats}, torch::TensorOptions().pinned_memory(pinned));
    data::BatchMemory memory;
    memory.data = reinterpret_cast<std::byte*>(tensor.data_ptr<float>());
    memory.bytes = bytes;
    memory.owner = std::move(tensor);
    return memory;
  };
}

/// What a pass computes with.
constexpr auto kComputedWith = {&MicroBatch::z0,
                                &MicroBatch::noise,
                                &MicroBatch::mask,
                                &MicroBatch::core,
                                &MicroBatch::hole_latents,
                                &MicroBatch::embeddings,
                                &MicroBatch::timesteps,
                                &MicroBatch::quality,
                                &MicroBatch::told,
                                &MicroBatch::asked_lab};

}  // namespace

MicroBatch MicroBatch::to(at::Device device) const {
  MicroBatch moved = *this;
  for (const auto member : kComputedWith)
    moved.*member = (this->*member).to(device, /*non_blocking=*/true);
  return moved;
}

MicroBatch MicroBatch::empty_on(at::Device device) const {
  MicroBatch empty;
  for (const auto member : kComputedWith)
    empty.*member = torch::empty_like(this->*member, torch::TensorOptions(device));
  return empty;
}

void MicroBatch::copy_from(const MicroBatch& batch) {
  samples = batch.samples;
  for (const auto member : kComputedWith) {
    TORCH_CHECK((this->*member).sizes() == (batch.*member).sizes(),
                "micro-batch: expected ",
                (this->*member).sizes(),
                ", got ",
                (batch.*member).sizes());
    (this->*member).copy_(batch.*member, /*non_blocking=*/true);
  }
}

std::string MicroBatch::shapes() const {
  std::ostringstream text;
  for (const auto member : kComputedWith) text << (this->*member).sizes();
  return text.str();
}

BatchSource::BatchSource(BatchSourceParts parts,
                         const TrainingOptions& options,
                         bool quality_weight)
    : parts_(std::move(parts)),
      options_(options),
      quality_weight_(quality_weight),
      order_(parts_.seed, options.global_batch, data::bucket_members(parts_.dataset)) {
  parts_.dropped_embedding = parts_.dropped_embedding.to(torch::kCPU, torch::kFloat).contiguous();
  TORCH_CHECK(parts_.dropped_embedding.sizes() == at::IntArrayRef(parts_.cache.embedding_shape()),
              "dropped embedding: expected ",
              at::IntArrayRef(parts_.cache.embedding_shape()),
              ", got ",
              parts_.dropped_embedding.sizes());
  auto loader = parts_.loader;
  loader.allocate = tensor_memory(parts_.pinned);
  loader_ = std::make_unique<data::CachedLoader>(
      parts_.dataset,
      parts_.cache,
      order_,
      [this](int64_t number) { return plan(number); },
      parts_.seed,
      parts_.recolorings,
      loader,
      [this](data::CachedBatch& batch) { make_draws(batch); });
}

BatchSource::~BatchSource() = default;

StreamSample BatchSource::draw(const data::StreamPosition& position) const {
  const auto& info = parts_.dataset.info(position.index);
  StreamSample sample;
  sample.index = position.index;
  sample.id = info.stable_id;
  sample.epoch = position.epoch;
  sample.timestep =
      static_cast<int64_t>(RandomStream(parts_.seed, Purpose::kTimestep, sample.epoch, sample.id)
                               .below(static_cast<uint64_t>(parts_.schedule.num_train_timesteps)));
  sample.drop_reference =
      RandomStream(parts_.seed, Purpose::kDrop, sample.epoch, sample.id).uniform() <
      options_.drop_reference;
  sample.has_core = parts_.cache.core_area(sample.index, variant_of(sample)) > 0;
  sample.quality = quality_weight_ ? info.quality : 1.0;
  return sample;
}

std::vector<StreamSample> BatchSource::global_batch(int64_t step) const {
  const auto plan = order_.step(step);
  std::vector<StreamSample> samples;
  samples.reserve(static_cast<size_t>(options_.global_batch));
  for (int64_t i = 0; i < options_.global_batch; ++i)
    samples.push_back(draw(order_.at(plan.bucket, plan.first + i)));
  return samples;
}

data::BatchPlan BatchSource::plan(int64_t number) const {
  const int64_t of_step = options_.global_batch / options_.micro_batch / parts_.ranks;
  const auto step = order_.step(number / of_step);
  const int64_t micro_batch = number % of_step * parts_.ranks + parts_.rank;
  return {step.bucket, step.first + micro_batch * options_.micro_batch, options_.micro_batch};
}

void BatchSource::seek(int64_t step) {
  loader_->seek(step * (options_.global_batch / options_.micro_batch / parts_.ranks));
}

void BatchSource::make_draws(data::CachedBatch& batch) const {
  const size_t count = batch.samples.size(), size = batch.target_mean.size() / count;
  for (size_t row = 0; row < count; ++row) {
    const auto sample = draw(batch.samples[row]);
    const auto z0 = batch.target_mean.subspan(row * size, size);
    const auto noise = batch.target_deviation.subspan(row * size, size);
    RandomStream deviation_noise(parts_.seed, Purpose::kVaeSample, sample.epoch, sample.id);
    for (size_t i = 0; i < size; ++i) z0[i] = z0[i] + noise[i] * deviation_noise.normal();
    RandomStream(parts_.seed, Purpose::kNoise, sample.epoch, sample.id).fill_normal(noise);
    if (parts_.offset_noise > 0) {
      add_offset_noise(noise,
                       size / static_cast<size_t>(batch.channels),
                       parts_.offset_noise,
                       RandomStream(parts_.seed, Purpose::kOffsetNoise, sample.epoch, sample.id));
    }
    if (sample.drop_reference && !batch.embedding.empty()) {
      const size_t width = batch.embedding.size() / count;
      std::memcpy(batch.embedding.data() + row * width,
                  parts_.dropped_embedding.data_ptr<float>(),
                  width * sizeof(float));
    }
    const auto color = batch.color.subspan(row * 3, 3);
    const auto lab = data::rgb_to_lab({color[0], color[1], color[2]});
    std::copy(lab.begin(), lab.end(), color.begin());
  }
}

MicroBatch BatchSource::next() {
  const auto loaded = loader_->next();
  const auto memory = std::any_cast<at::Tensor>(loaded.memory.owner);
  const auto count = static_cast<int64_t>(loaded.samples.size());
  const auto view = [&](std::span<const float> values, std::vector<int64_t> shape) {
    const auto offset = values.data() - memory.data_ptr<float>();
    return memory.narrow(0, offset, static_cast<int64_t>(values.size())).view(shape);
  };
  const std::vector<int64_t> latents{count, loaded.channels, loaded.height, loaded.width};
  const std::vector<int64_t> plane{count, 1, loaded.height, loaded.width};
  auto embeddings = parts_.cache.embedding_shape();
  embeddings.insert(embeddings.begin(), count);

  MicroBatch batch;
  batch.z0 = view(loaded.target_mean, latents);
  batch.noise = view(loaded.target_deviation, latents);
  batch.hole_latents = view(loaded.hole, latents);
  batch.mask = view(loaded.mask, plane);
  batch.core = view(loaded.core, plane);
  batch.embeddings =
      loaded.embedding.empty() ? torch::empty(embeddings) : view(loaded.embedding, embeddings);
  batch.asked_lab = view(loaded.color, {count, 3});
  batch.core_on_host = batch.core;
  const auto host = torch::TensorOptions().pinned_memory(parts_.pinned);
  batch.timesteps = torch::empty({count}, host.dtype(torch::kLong));
  batch.quality = torch::empty({count}, host);
  batch.told = torch::empty({count}, host);
  for (int64_t row = 0; row < count; ++row) {
    const auto sample = draw(loaded.samples[static_cast<size_t>(row)]);
    batch.timesteps.data_ptr<int64_t>()[row] = sample.timestep;
    batch.quality.data_ptr<float>()[row] = static_cast<float>(sample.quality);
    batch.told.data_ptr<float>()[row] = sample.drop_reference ? 0.0F : 1.0F;
    batch.samples.push_back(sample);
  }
  return batch;
}

int64_t BatchSource::variant_of(const StreamSample& sample) const {
  return data::variant_of(
      parts_.seed, sample.epoch, sample.id, parts_.recolorings, parts_.cache.variants());
}

double BatchSource::noise_weight_total(const std::vector<StreamSample>& samples,
                                       const NoiseLossOptions& options) const {
  double total = 0;
  for (const auto& sample : samples) {
    const double area = static_cast<double>(parts_.cache.latent_height(sample.index) *
                                            parts_.cache.latent_width(sample.index));
    const double hole = parts_.cache.hole_area(sample.index, variant_of(sample));
    total += sample.quality * (options.inside * hole + options.outside * (area - hole));
  }
  return total;
}

double BatchSource::epoch_at(int64_t step) const {
  return static_cast<double>(step * options_.global_batch) /
         static_cast<double>(parts_.dataset.size());
}

double BatchSource::waited_seconds() const {
  return loader_->waited_seconds();
}

std::vector<std::string> BatchSource::skipped() const {
  return loader_->skipped();
}

}  // namespace limewash::trainer
