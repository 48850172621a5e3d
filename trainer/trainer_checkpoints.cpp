// How a Trainer's state reaches a checkpoint and comes back, and what it exports.

#include <set>
#include <utility>

#include <spdlog/spdlog.h>
#include <torch/torch.h>

#include "runtime/error.h"
#include "runtime/files.h"
#include "trainer/run_summary.h"
#include "trainer/trainer.h"

namespace limewash::trainer {

namespace {

const std::string kSettledPrefix = "settled.";

at::Tensor host_copy(const at::Tensor& tensor) {
  if (!tensor.defined()) return tensor;
  return tensor.detach().to(
      tensor.options().device(at::kCPU), /*non_blocking=*/false, /*copy=*/true);
}

/// A diffusers folder of the UNet alone.
void write_unet(const std::filesystem::path& folder,
                const std::vector<models::NamedParameter>& parameters,
                const std::string& config) {
  std::filesystem::create_directory(folder);
  models::write_parameters(
      folder / "diffusion_pytorch_model.safetensors", parameters, {{"format", "pt"}});
  write_file_atomically(folder / "config.json", config);
}

std::vector<models::NamedParameter> parameters_of(models::UNet2DConditionModel& unet) {
  std::vector<models::NamedParameter> parameters;
  for (const auto& item : unet->named_parameters())
    parameters.push_back({item.key(), item.value()});
  return parameters;
}

}  // namespace

int64_t Trainer::resume() {
  const auto folder = parts_.run_folder / "checkpoints";
  const auto steps = complete_checkpoints(folder);
  if (steps.empty()) return 0;
  const auto state = read_checkpoint(folder, steps.back(), identity_);
  const auto path = checkpoint_path(folder, state.step);
  if (state.stage < 0 || state.stage >= static_cast<int64_t>(stages_.size())) {
    throw InputError((path / "state.json").string() + ": stage " + std::to_string(state.stage) +
                     ", but the run has " + std::to_string(stages_.size()));
  }
  torch::NoGradGuard no_grad;
  begin_stage(static_cast<size_t>(state.stage));
  parameters_.values().copy_(state.values);
  optimizer_.exp_avg.copy_(state.exp_avg);
  optimizer_.exp_avg_sq.copy_(state.exp_avg_sq);
  if (optimizer_.ema.defined() && state.ema.defined()) optimizer_.ema.copy_(state.ema);
  optimizer_.set_updates(state.updates);
  for (auto& [name, tensor] : settled_parameters()) {
    const auto found = state.extra.find(kSettledPrefix + name);
    if (found == state.extra.end())
      throw InputError(path.string() + ": no weights of an earlier stage: '" + name + "'");
    tensor.copy_(found->second);
  }
  if (objective_.adversary() != nullptr) objective_.adversary()->load_state(state.extra);
  guard_.restore(state.recent_losses, state.loss_spikes);
  skipped_in_a_row_ = state.skipped_in_a_row;
  seconds_ = state.seconds;
  step_ = saved_step_ = state.step;
  if (is_writer()) {
    const auto changes = setting_changes(folder, step_, parts_.config_yaml);
    spdlog::info(
        "going on from {}{}", path.string(), changes.empty() ? "" : "; changed: " + changes);
  }
  return step_;
}

std::vector<models::NamedParameter> Trainer::settled_parameters() {
  std::set<std::string> known;
  for (const auto& parameter : all_parameters(trained_)) known.insert(parameter.name);
  std::vector<models::NamedParameter> settled;
  for (size_t place = 0; place < stage_; ++place) {
    const auto parts = parts_of(parts_.adapter, parts_.base.unet, stages_[place].name);
    for (const auto& parameter : all_parameters(parts)) {
      if (known.insert(parameter.name).second) settled.push_back(parameter);
    }
  }
  return settled;
}

TrainingState Trainer::state_now() {
  TrainingState state;
  state.step = step_;
  state.stage = static_cast<int64_t>(stage_);
  state.updates = optimizer_.updates();
  state.skipped_in_a_row = skipped_in_a_row_;
  state.seconds = seconds_;
  state.recent_losses = guard_.losses();
  state.loss_spikes = guard_.spikes();
  state.values = host_copy(parameters_.values());
  state.exp_avg = host_copy(optimizer_.exp_avg);
  state.exp_avg_sq = host_copy(optimizer_.exp_avg_sq);
  state.ema = host_copy(optimizer_.ema);
  for (const auto& [name, tensor] : settled_parameters())
    state.extra[kSettledPrefix + name] = host_copy(tensor);
  if (objective_.adversary() != nullptr) {
    for (const auto& [name, tensor] : objective_.adversary()->state())
      state.extra[name] = host_copy(tensor);
  }
  state.identity = identity_;
  return state;
}

void Trainer::save_if_due() {
  const auto every = options_.checkpoint.every;
  // A second save of this step would wait for the first.
  if (every > 0 && step_ % every == 0 && saved_step_ != step_) save();
}

void Trainer::save(const std::function<void()>& afterwards) {
  if (!is_writer()) return;
  checkpoints_.wait();
  const auto folder = parts_.run_folder / "checkpoints";
  // Evaluators read those that they have not measured yet.
  auto finish = [this, folder, afterwards, keep = handed_over_]() mutable {
    if (options_.checkpoint.keep_best) {
      if (const auto best = best_evaluated_step(parts_.run_folder)) keep.insert(*best);
    }
    prune_checkpoints(folder, options_.checkpoint.keep_last, keep);
    if (afterwards) afterwards();
  };
  if (saved_step_ == step_) return checkpoints_.start(finish);
  saved_step_ = step_;
  models::AdapterSnapshot adapter;
  std::vector<models::NamedParameter> unet;
  with_averaged_weights([&] {
    adapter = parts_.adapter.snapshot();
    if (!trains_unet()) return;
    unet = parameters_of(parts_.base.unet);
    for (auto& parameter : unet) parameter.tensor = host_copy(parameter.tensor);
  });
  checkpoints_.start([this, folder, finish, adapter, unet, state = state_now()]() mutable {
    // What the checkpoint is past will not be computed again: it must be on disk first.
    loss_log_->sync();
    if (parts_.recorder != nullptr) parts_.recorder->flush();
    write_checkpoint(folder, state, parts_.config_yaml, [&](const std::filesystem::path& target) {
      adapter.save(target, parts_.adapter_metadata);
      if (!unet.empty()) write_unet(target / "unet", unet, parts_.unet_config);
    });
    finish();
  });
}

bool Trainer::trains_unet() const {
  for (const auto& stage : stages_)
    if (trains(stage.name, "unet")) return true;
  return false;
}

void Trainer::export_weights(const std::filesystem::path& adapter,
                             const std::filesystem::path& unet) {
  require_run_folder(parts_.run_folder);
  parts_.adapter.save(adapter, parts_.adapter_metadata);
  if (trains_unet()) write_unet(unet, parameters_of(parts_.base.unet), parts_.unet_config);
}

}  // namespace limewash::trainer
