#include "trainer/bench_training.h"

#include <chrono>
#include <cmath>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include "models/autoencoder_tiny.h"
#include "models/base_model.h"
#include "models/model_folder.h"
#include "models/precision.h"
#include "models/random_weights.h"
#include "models/training_flops.h"
#include "runtime/error.h"
#include "runtime/random.h"
#include "trainer/cuda_graph.h"
#include "trainer/flat_parameters.h"
#include "trainer/objective.h"
#include "trainer/pass_launcher.h"
#include "trainer/trainer.h"

namespace limewash::trainer {

namespace {

constexpr uint64_t kSeed = 0;
constexpr int64_t kTextTokens = 77;

/// What the samples are like that a base's encoders make.
struct SampleShape {
  int64_t downscale = 8;
  /// CLIP ViT-H for IP-Adapter Plus: a class token and 16 x 16 patches.
  int64_t patches = 257, patch_width = 1280;
};

SampleShape sample_shape(const TrainBenchOptions& options) {
  SampleShape shape;
  if (options.model.empty()) return shape;
  const auto folder = models::resolve_model_folder(options.model);
  const auto vae = folder / "vae";
  shape.downscale = models::is_autoencoder_tiny(vae)
                        ? models::AutoencoderTinyConfig::from_json(vae / "config.json").downscale()
                        : models::AutoencoderKLConfig::from_json(vae / "config.json").downscale();
  const auto encoder = folder / "image_encoder" / "config.json";
  if (!std::filesystem::exists(encoder)) return shape;
  const auto config = models::CLIPVisionConfig::from_json(encoder);
  const int64_t side = config.image_size / config.patch_size;
  shape.patches = side * side + 1;
  shape.patch_width = config.encoder.hidden_size;
  return shape;
}

/// sample_shape, before the networks are made, of samples that can be had.
SampleShape checked_shape(const TrainBenchOptions& options) {
  const auto shape = sample_shape(options);
  if (options.size % shape.downscale != 0) {
    throw ConfigError("--size: " + std::to_string(options.size) + ", expected a multiple of " +
                      std::to_string(shape.downscale));
  }
  return shape;
}

models::AdapterOptions adapter_options(int64_t rank) {
  models::AdapterOptions options;
  options.lora.rank = rank;
  options.lora.alpha = 2.0 * static_cast<double>(rank);
  options.ip_adapter.kind = "plus";
  return options;
}

models::UNet2DConditionModel make_unet(const TrainBenchOptions& options) {
  const auto type = models::compute_type(options.precision, "--precision");
  models::UNet2DConditionModel unet{nullptr};
  if (options.model.empty()) {
    unet = models::UNet2DConditionModel(models::stable_diffusion_inpainting_config());
    models::set_random_weights(*unet, type, kSeed);
  } else {
    unet = models::load_unet(models::resolve_model_folder(options.model) / "unet", type);
  }
  unet->to(models::compute_device(options.device));
  return unet;
}

models::NoiseSchedule make_schedule(const TrainBenchOptions& options) {
  if (options.model.empty()) return models::NoiseSchedule(models::NoiseScheduleConfig{});
  return models::NoiseSchedule(models::NoiseScheduleConfig::from_json(
      models::resolve_model_folder(options.model) / "scheduler/scheduler_config.json"));
}

}  // namespace

/// The parts of a training, wired as Trainer wires them, on samples that are drawn in memory.
class BenchTraining::Impl {
 public:
  Impl(const TrainBenchOptions& options, Communicator& communicator)
      : options_(options),
        samples_(checked_shape(options)),
        unet_(make_unet(options)),
        schedule_(make_schedule(options)),
        adapter_(unet_, adapter_options(options.rank), samples_.patch_width, kSeed),
        parameters_(trained_parameters(adapter_, "joint"), /*tail=*/1),
        optimizer_(OptimizerOptions{}, parameters_.values()),
        objective_(LossOptions{}, {schedule_, latent_to_rgb(), kSeed, nullptr, nullptr, device()}),
        stream_(device()),
        passes_(device(), options.cuda_graph ? make_cuda_graph_recorder(device()) : nullptr),
        communicator_(&communicator) {
    const auto& config = unet_->config();
    if (config.in_channels != 2 * config.out_channels + 1) {
      throw InputError(options.model + ": its UNet takes " + std::to_string(config.in_channels) +
                       " channels: expected one for inpainting, with " +
                       std::to_string(2 * config.out_channels + 1));
    }
    unet_->set_gradient_checkpointing(options.gradient_checkpointing);
    text_ = normal({1, kTextTokens, config.cross_attention_dim[0]}, "text", 0).to(device());
  }

  StepSeconds step(int64_t number) {
    StepSeconds seconds;
    auto begin = std::chrono::steady_clock::now();
    const auto lap = [&begin, this] {
      if (device().is_cuda()) torch::cuda::synchronize();
      const auto now = std::chrono::steady_clock::now();
      return std::chrono::duration<double>(now - std::exchange(begin, now)).count();
    };
    PassInputs inputs{make_batch(number), {}};
    inputs.denominators = LossScale{static_cast<double>(inputs.batch.mask.numel())}.denominators();
    seconds.data = lap();

    parameters_.zero();
    const bool in_one = passes_.records();
    passes_.run("", inputs, [this, in_one, &seconds, &lap](const PassInputs& now) {
      const auto terms = forward(now);
      if (!in_one) seconds.forward = lap();
      terms.total.backward();
      parameters_.tail().add_(terms.total.detach());
    });
    (in_one ? seconds.forward_backward : seconds.backward) = lap();

    communicator_->all_reduce_sum(parameters_.reduced());
    seconds.communication = lap();

    const double norm =
        optimizer_.step(parameters_.gradients(), OptimizerOptions{}.learning_rate).item<double>();
    loss_ = parameters_.tail().item<double>();
    if (!std::isfinite(norm)) throw InputError("bench train: the gradient is not finite");
    seconds.optimizer = lap();
    return seconds;
  }

  int64_t warm_up_steps() const {
    constexpr int64_t kRecordedAndReplayed = 2;
    return passes_.records() ? PassLauncher::kWarmUp + kRecordedAndReplayed : 0;
  }

  void sum_over(Communicator& communicator) {
    communicator_ = &communicator;
  }

  double flops() const {
    models::TrainingStepShape shape;
    shape.batch = options_.batch;
    shape.latent_height = shape.latent_width = options_.size / samples_.downscale;
    shape.text_tokens = kTextTokens;
    shape.reference_tokens = adapter_.options().ip_adapter.token_count();
    shape.lora_rank = options_.rank;
    return models::training_step_flops(unet_->config(), shape);
  }

  int64_t trainable_parameters() const {
    return parameters_.size();
  }

  double loss() const {
    return loss_;
  }

  at::Device device() const {
    return unet_->parameters().front().device();
  }

 private:
  LossTerms forward(const PassInputs& inputs) {
    const auto& batch = inputs.batch;
    const auto z_t = schedule_.add_noise(batch.z0, batch.noise, batch.timesteps);
    const auto reference = adapter_.project_reference(batch.embeddings);
    const auto output = unet_->forward(torch::cat({z_t, batch.mask, batch.hole_latents}, 1),
                                       batch.timesteps,
                                       text_.expand({z_t.size(0), -1, -1}),
                                       reference);
    return objective_(batch, z_t, output, inputs.denominators, {});
  }

  /// A map that no term reads: the colour loss is off.
  std::vector<float> latent_to_rgb() const {
    return std::vector<float>(static_cast<size_t>(unet_->config().out_channels + 1) * 3, 0.0F);
  }

  static at::Tensor normal(std::vector<int64_t> sizes, const char* name, int64_t step) {
    auto tensor = torch::empty(sizes);
    RandomStream(kSeed, Purpose::kNoise, static_cast<uint64_t>(step), stable_id(name))
        .fill_normal({tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())});
    return tensor;
  }

  MicroBatch make_batch(int64_t step) const {
    const int64_t side = options_.size / samples_.downscale;
    const std::vector<int64_t> latents{options_.batch, unet_->config().out_channels, side, side};
    MicroBatch batch;
    batch.z0 = normal(latents, "z0", step);
    batch.noise = normal(latents, "noise", step);
    batch.hole_latents = normal(latents, "hole", step);
    batch.mask = torch::ones({options_.batch, 1, side, side});
    batch.core = batch.mask;
    batch.embeddings =
        normal({options_.batch, samples_.patches, samples_.patch_width}, "reference", step);
    batch.quality = torch::ones({options_.batch});
    batch.told = torch::ones({options_.batch});
    batch.asked_lab = torch::zeros({options_.batch, 3});
    batch.timesteps = torch::empty({options_.batch}, torch::kLong);
    RandomStream draws(kSeed, Purpose::kTimestep, static_cast<uint64_t>(step), 0);
    for (int64_t row = 0; row < options_.batch; ++row) {
      StreamSample sample;
      sample.index = row;
      sample.timestep = static_cast<int64_t>(
          draws.below(static_cast<uint64_t>(schedule_.config().num_train_timesteps)));
      batch.timesteps.data_ptr<int64_t>()[row] = sample.timestep;
      batch.samples.push_back(sample);
    }
    return batch;
  }

  TrainBenchOptions options_;
  SampleShape samples_;
  models::UNet2DConditionModel unet_;
  models::NoiseSchedule schedule_;
  models::Adapter adapter_;
  FlatParameters parameters_;
  AdamW optimizer_;
  Objective objective_;
  OwnStream stream_;
  PassLauncher passes_;
  Communicator* communicator_;
  at::Tensor text_;  // [1, L, D], the same prompt for all
  double loss_ = 0;
};

void check_bench_options(const TrainBenchOptions& options) {
  options.validate();
  checked_shape(options);
}

BenchTraining::BenchTraining(const TrainBenchOptions& options, Communicator& communicator)
    : impl_(std::make_unique<Impl>(options, communicator)) {}

BenchTraining::~BenchTraining() = default;

StepSeconds BenchTraining::step(int64_t number) {
  return impl_->step(number);
}

int64_t BenchTraining::warm_up_steps() const {
  return impl_->warm_up_steps();
}

void BenchTraining::sum_over(Communicator& communicator) {
  impl_->sum_over(communicator);
}

double BenchTraining::flops() const {
  return impl_->flops();
}

int64_t BenchTraining::trainable_parameters() const {
  return impl_->trainable_parameters();
}

double BenchTraining::loss() const {
  return impl_->loss();
}

at::Device BenchTraining::device() const {
  return impl_->device();
}

}  // namespace limewash::trainer
