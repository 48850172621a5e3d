// objective_steps FOLDER: trains the adapter in FOLDER/adapter with the objective of a real
// training, one optimizer step a batch, each in two micro-batches. objective_steps_test.py does the
// same with diffusers and peft.
//
// FOLDER: unet/, vae/, scheduler_config.json, adapter/, loss.yaml (the section `loss`),
// batches.safetensors: latent_to_rgb, and for each batch N z0_N, noise_N, mask_N, core_N,
// hole_latents_N, timesteps_N, quality_N, asked_lab_N, image_embeds_N, encoder_hidden_states_N.
// Writes FOLDER/outputs.safetensors: losses [steps], a column each of `terms` and `shares` for a
// term, `discriminators`, the draws (crops_N [n, 2], offset_N [n, C]), how the discriminators
// start, and all trained tensors.

#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>

#include <torch/torch.h>

#include "models/adapter.h"
#include "models/safetensors.h"
#include "models/unet.h"
#include "runtime/files.h"
#include "trainer/adamw.h"
#include "trainer/flat_parameters.h"
#include "trainer/loss_networks.h"
#include "trainer/loss_tail.h"
#include "trainer/noise_loss.h"
#include "trainer/trainer.h"

namespace {

using namespace limewash;

constexpr uint64_t kSeed = 7;
constexpr double kLearningRate = 1e-3;

struct StepBatch {
  trainer::MicroBatch batch;
  at::Tensor text, offset;
};

/// Rows [first, first + count) of batch `step`, with the offset noise that a training would draw.
StepBatch read_batch(const models::TensorMap& tensors,
                     int64_t step,
                     int64_t first,
                     int64_t count,
                     double offset_noise) {
  const auto rows = [&](const std::string& name) {
    return tensors.at(name + "_" + std::to_string(step)).narrow(0, first, count);
  };
  StepBatch result;
  auto& batch = result.batch;
  batch.z0 = rows("z0");
  batch.noise = rows("noise").clone();
  batch.mask = rows("mask");
  batch.core = rows("core");
  batch.hole_latents = rows("hole_latents");
  batch.timesteps = rows("timesteps");
  batch.quality = rows("quality");
  batch.asked_lab = rows("asked_lab");
  batch.told = torch::ones({count});
  batch.embeddings = rows("image_embeds");
  result.text = rows("encoder_hidden_states");
  const auto plain = batch.noise.clone();
  for (int64_t row = 0; row < count; ++row) {
    trainer::StreamSample sample;
    sample.id = static_cast<uint64_t>(100 * step + first + row);
    sample.timestep = batch.timesteps[row].item<int64_t>();
    sample.quality = double{batch.quality[row].item<float>()};
    sample.has_core = batch.core[row].sum().item<float>() > 0;
    batch.samples.push_back(sample);
    if (offset_noise <= 0) continue;
    auto noise = batch.noise[row];
    trainer::add_offset_noise({noise.data_ptr<float>(), static_cast<size_t>(noise.numel())},
                              static_cast<size_t>(noise[0].numel()),
                              offset_noise,
                              RandomStream(kSeed, Purpose::kOffsetNoise, 0, sample.id));
  }
  result.offset = (batch.noise - plain).mean(at::IntArrayRef{2, 3});
  return result;
}

void run(const std::filesystem::path& folder) {
  const models::TensorMap tensors =
      models::read_safetensors(folder / "batches.safetensors").tensors;
  trainer::LossOptions loss;
  config::Document::load((folder / "loss.yaml").string(), {}).read_into(loss);
  const models::NoiseSchedule schedule(
      models::NoiseScheduleConfig::from_json(folder / "scheduler_config.json"));
  auto unet = models::load_unet(folder / "unet", at::kFloat);
  const auto vae = models::load_autoencoder(folder / "vae");
  const auto adapter = models::load_adapter(unet, folder / "adapter");
  const auto networks = trainer::load_loss_networks(loss, *vae, at::kFloat);
  const auto map = tensors.at("latent_to_rgb").contiguous();
  const trainer::Objective objective(
      loss,
      {schedule,
       {map.const_data_ptr<float>(), map.const_data_ptr<float>() + map.numel()},
       kSeed,
       networks.decoder ? networks.decoder.get() : vae.get(),
       networks.lpips.get()});
  const trainer::LossTail tail(loss, objective.terms());
  const auto named = trainer::trained_parameters(*adapter, "joint");
  trainer::FlatParameters parameters(named, tail.size());
  trainer::OptimizerOptions options;
  options.learning_rate = kLearningRate;
  options.clip = 0;
  trainer::AdamW optimizer(options, parameters.values());
  auto* adversary = objective.adversary();

  models::TensorMap outputs;
  if (adversary != nullptr) {
    for (const auto& [name, tensor] : adversary->parameters())
      outputs.emplace("start." + name, tensor.detach().clone());
  }
  std::vector<at::Tensor> losses, terms_of_steps, shares_of_steps, discriminators_of_steps;
  for (int64_t step = 0; tensors.contains("z0_" + std::to_string(step)); ++step) {
    const int64_t count = tensors.at("z0_" + std::to_string(step)).size(0);
    const auto whole = read_batch(tensors, step, 0, count, loss.noise.offset_noise);
    const auto& mask = whole.batch.mask;
    const double noise_weight = ((mask * loss.noise.inside + (1 - mask) * loss.noise.outside) *
                                 whole.batch.quality.view({-1, 1, 1, 1}))
                                    .sum()
                                    .item<double>();
    const auto denominators =
        objective.scale(noise_weight, whole.batch.samples, step).denominators();
    parameters.zero();
    if (adversary != nullptr) adversary->zero();
    for (int64_t first = 0; first < count; first += count / 2) {
      const auto [batch, text, offset] =
          read_batch(tensors, step, first, count / 2, loss.noise.offset_noise);
      const auto z_t = schedule.add_noise(batch.z0, batch.noise, batch.timesteps);
      const auto output = unet->forward(torch::cat({z_t, batch.mask, batch.hole_latents}, 1),
                                        batch.timesteps,
                                        text,
                                        adapter->project_reference(batch.embeddings));
      const auto selection = objective.counted_terms(batch.samples, step);
      const auto terms = objective(batch, z_t, output, denominators, selection);
      const auto squares = objective.gradient_squares(terms, output);
      terms.total.backward();
      const auto discriminators = objective.teach(batch, z_t, output, denominators, selection);
      tail.add(parameters.tail(), terms, discriminators, squares);
    }
    optimizer.step(parameters.gradients(), kLearningRate);
    if (adversary != nullptr && step >= loss.adversarial.start_step) adversary->step();

    const auto came_to = tail.read(parameters.tail(), true);
    const auto row = [](const std::vector<trainer::StepLosses::Term>& terms, bool shares) {
      std::vector<double> values;
      for (const auto& term : terms) values.push_back(shares ? term.share.value_or(0) : term.value);
      return torch::tensor(values, torch::kDouble).to(torch::kFloat);
    };
    losses.push_back(torch::tensor(came_to.total, torch::kDouble).to(torch::kFloat));
    terms_of_steps.push_back(row(came_to.terms, false));
    shares_of_steps.push_back(row(came_to.terms, true));
    discriminators_of_steps.push_back(row(came_to.discriminators, false));
    outputs.emplace("offset_" + std::to_string(step), whole.offset);
    std::vector<int64_t> places;
    for (int64_t i = 0; i < count; ++i) {
      const auto place = trainer::crop_place(
          kSeed, whole.batch.samples[static_cast<size_t>(i)], whole.batch.core[i][0], loss.crop);
      places.insert(places.end(), {place.top, place.left});
    }
    outputs.emplace("crops_" + std::to_string(step), torch::tensor(places).view({-1, 2}));
  }
  outputs.emplace("losses", torch::stack(losses));
  outputs.emplace("terms", torch::stack(terms_of_steps));
  outputs.emplace("shares", torch::stack(shares_of_steps));
  outputs.emplace("discriminators", torch::stack(discriminators_of_steps));
  for (const auto& [name, tensor] : named) outputs.emplace(name, tensor.detach().clone());
  if (adversary != nullptr) {
    for (const auto& [name, tensor] : adversary->parameters())
      outputs.emplace(name, tensor.detach().clone());
  }
  models::write_safetensors(folder / "outputs.safetensors", outputs, {});
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: objective_steps FOLDER\n");
    return 2;
  }
  try {
    run(arguments[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "objective_steps: %s\n", error.what());
    return 1;
  }
  return 0;
}
