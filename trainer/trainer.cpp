#include "trainer/trainer.h"

#include <chrono>
#include <cmath>
#include <set>
#include <sstream>

#include <spdlog/spdlog.h>
#include <torch/torch.h>

#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/stop_signal.h"
#include "trainer/run_summary.h"

namespace limewash::trainer {

namespace {

/// What is summed over ranks together with the gradients.
enum TailSlot : int64_t { kStop, kLosses };  // kLosses: as LossTail has them

/// Steps in a row without a finite gradient that end a run.
constexpr int64_t kMostSkippedSteps = 10;

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Whose masks the rows of a micro-batch get.
std::vector<models::DropoutKey> dropout_keys(const std::vector<StreamSample>& samples) {
  std::vector<models::DropoutKey> keys;
  for (const auto& sample : samples) keys.push_back({sample.epoch, sample.id});
  return keys;
}

}  // namespace

std::vector<models::NamedParameter> trained_parameters(models::Adapter& adapter,
                                                       const std::string& stage) {
  std::vector<models::NamedParameter> parameters;
  const auto append = [&](std::vector<models::NamedParameter> more, bool trained) {
    for (auto& parameter : more) {
      parameter.tensor.set_requires_grad(trained);
      if (trained) parameters.push_back(std::move(parameter));
    }
  };
  append(adapter.lora_parameters(), stage != "ip_adapter");
  append(adapter.ip_adapter_parameters(), stage != "lora");
  if (parameters.empty()) {
    throw ConfigError("training.stage = " + stage +
                      ": nothing to train; see adapter.lora.rank and adapter.ip_adapter.kind");
  }
  return parameters;
}

Trainer::Trainer(const TrainerOptions& options, TrainerParts parts)
    : options_(options),
      parts_(std::move(parts)),
      objective_(options.loss,
                 {parts_.base.schedule,
                  parts_.cache.latent_to_rgb(),
                  parts_.seed,
                  parts_.loss_decoder ? parts_.loss_decoder.get() : parts_.base.vae.get(),
                  parts_.lpips.get()}),
      loss_tail_(options.loss, objective_.terms()),
      parameters_(trained_parameters(parts_.adapter, options.training.stage),
                  kLosses + loss_tail_.size()),
      optimizer_(options.optimizer, parameters_.values()),
      source_(
          {parts_.dataset,
           parts_.cache,
           models::encode_dropped_reference(parts_.base, parts_.adapter.reference_features())[0],
           parts_.base.schedule.config(),
           parts_.recolorings,
           parts_.seed,
           parts_.communicator.rank(),
           parts_.communicator.size(),
           options.loader,
           parts_.base.unet->parameters().front().is_cuda(),
           options.loss.noise.offset_noise},
          options.training,
          options.loss.quality_weight),
      text_(models::encode_empty_prompt(parts_.base)),
      identity_{parts_.dataset.fingerprint(),
                parts_.base.fingerprint,
                parameters_.layout(),
                parts_.identity_yaml} {
  parts_.base.unet->set_gradient_checkpointing(options.training.gradient_checkpointing);
  const auto micro_batches = options.training.global_batch / options.training.micro_batch;
  if (micro_batches % parts_.communicator.size() != 0) {
    throw ConfigError("training.global_batch = " + std::to_string(options.training.global_batch) +
                      " in " + std::to_string(micro_batches) +
                      " micro-batches: can't be shared by " +
                      std::to_string(parts_.communicator.size()) + " ranks; expected a multiple");
  }
}

Trainer::~Trainer() = default;

int64_t Trainer::resume() {
  const auto folder = parts_.run_folder / "checkpoints";
  const auto steps = complete_checkpoints(folder);
  if (steps.empty()) return 0;
  const auto state = read_checkpoint(folder, steps.back(), identity_);
  torch::NoGradGuard no_grad;
  parameters_.values().copy_(state.values);
  optimizer_.exp_avg.copy_(state.exp_avg);
  optimizer_.exp_avg_sq.copy_(state.exp_avg_sq);
  if (optimizer_.ema.defined() && state.ema.defined()) optimizer_.ema.copy_(state.ema);
  optimizer_.updates = state.updates;
  if (objective_.adversary() != nullptr) objective_.adversary()->load_state(state.extra);
  skipped_in_a_row_ = state.skipped_in_a_row;
  seconds_ = state.seconds;
  step_ = state.step;
  if (is_writer()) spdlog::info("going on from {}", checkpoint_path(folder, step_).string());
  return step_;
}

TrainStatus Trainer::train() {
  if (is_writer()) {
    loss_log_ =
        std::make_unique<LossLog>(parts_.run_folder / "losses.csv", loss_tail_.columns(), step_);
  }
  source_.seek(step_);
  const bool whole = evaluate_if_due();
  progress_ =
      std::make_unique<Progress>("training", options_.training.steps, "steps", is_writer(), step_);
  while (whole && step_ < last_step() && !stop_agreed_) {
    train_step();
    save_if_due();
    if (!evaluate_if_due()) stop_agreed_ = true;
  }
  progress_->finish();
  save();

  const bool finished = step_ >= options_.training.steps && !stop_agreed_;
  const auto status = finished ? TrainStatus::kFinished : TrainStatus::kStopped;
  if (is_writer()) {
    with_averaged_weights([&] { export_adapter(parts_.run_folder / "adapter"); });
  }
  write_summary(status, finished);
  parts_.communicator.barrier();
  return status;
}

void Trainer::train_step() {
  const auto begin = std::chrono::steady_clock::now();
  // 1. The global batch: the same on every rank.
  const auto samples = source_.global_batch(step_);
  const auto scale = objective_.scale(source_, samples, step_);

  // 2. Forward and backward over this rank's micro-batches.
  parameters_.zero();
  if (objective_.adversary() != nullptr) objective_.adversary()->zero();
  const auto micro_batches = options_.training.global_batch / options_.training.micro_batch;
  for (int64_t i = parts_.communicator.rank(); i < micro_batches; i += parts_.communicator.size()) {
    forward_backward(scale);
  }

  // 3. One reduction: gradients, losses, and whether anyone was asked to stop.
  if (stop_requested()) parameters_.tail()[kStop].fill_(1.0);
  parts_.communicator.all_reduce_sum(parameters_.reduced());
  stop_agreed_ = parameters_.tail()[kStop].item<float>() > 0;

  // 4. Update. A gradient that is not finite is so on every rank: all of them skip.
  const double learning_rate = learning_rate_at(options_.optimizer, step_, options_.training.steps);
  const double norm = optimizer_.step(parameters_.gradients(), learning_rate);
  update_discriminators();
  skipped_in_a_row_ = std::isfinite(norm) ? 0 : skipped_in_a_row_ + 1;
  refuse_endless_skips(samples);
  ++step_;
  ++steps_this_attempt_;
  const double seconds = seconds_since(begin);
  seconds_ += seconds;
  seconds_this_attempt_ += seconds;

  // 5. Everything that follows is bookkeeping.
  record_step(norm, learning_rate);
}

void Trainer::forward_backward(const LossScale& scale) {
  const auto batch = source_.next();
  parts_.adapter.begin_dropout(parts_.seed, dropout_keys(batch.samples));
  const auto z_t = parts_.base.schedule.add_noise(batch.z0, batch.noise, batch.timesteps);
  const auto reference = parts_.adapter.project_reference(batch.embeddings);
  const auto text = text_.expand({z_t.size(0), -1, -1});
  const auto output = parts_.base.unet->forward(
      torch::cat({z_t, batch.mask, batch.hole_latents}, 1), batch.timesteps, text, reference);
  const auto terms = objective_(batch, batch.samples, 0, z_t, output, scale, step_);
  const auto squares =
      measures_shares(step_) ? objective_.gradient_squares(terms, output) : std::vector<double>{};
  terms.total.backward();
  parts_.adapter.end_dropout();
  const auto discriminators = objective_.adversary() != nullptr
                                  ? objective_.teach(batch, z_t, output, scale, step_)
                                  : Adversary::Losses{};
  loss_tail_.add(
      parameters_.tail().narrow(0, kLosses, loss_tail_.size()), terms, discriminators, squares);
}

void Trainer::update_discriminators() {
  if (objective_.adversary() == nullptr) return;
  parts_.communicator.all_reduce_sum(objective_.adversary()->reduced());
  if (options_.loss.adversarial.learning().start_step <= step_) objective_.adversary()->step();
}

bool Trainer::measures_shares(int64_t step) const {
  const auto every = options_.loss.gradient_share_every;
  return every > 0 && step % every == 0;
}

void Trainer::refuse_endless_skips(const std::vector<StreamSample>& samples) const {
  if (skipped_in_a_row_ == 0) return;
  if (is_writer()) spdlog::warn("step {}: the gradient is not finite; skipped", step_ + 1);
  if (skipped_in_a_row_ < kMostSkippedSteps) return;
  std::string names;
  for (const auto& sample : samples)
    names += (names.empty() ? "" : ", ") + parts_.dataset.info(sample.index).id;
  throw InputError("no finite gradient in " + std::to_string(skipped_in_a_row_) +
                   " steps in a row; the last one saw " + names +
                   ". Lower optimizer.learning_rate, or look at these photos");
}

void Trainer::record_step(double gradient_norm, double learning_rate) {
  const auto losses = loss_tail_.read(parameters_.tail().narrow(0, kLosses, loss_tail_.size()),
                                      measures_shares(step_ - 1));
  last_loss_ = losses.total;
  if (!is_writer()) return;
  loss_log_->append({step_, loss_tail_.values(losses, learning_rate, gradient_norm)});
  if (parts_.recorder != nullptr) {
    auto& recorder = *parts_.recorder;
    recorder.metric("loss", losses.total, step_);
    for (const auto& term : losses.terms) {
      recorder.metric("loss/" + term.name, term.value, step_);
      recorder.metric("loss/" + term.name + "/weighted", term.weight * term.value, step_);
      if (term.share) recorder.metric("loss/" + term.name + "/share", *term.share, step_);
    }
    for (const auto& term : losses.discriminators)
      recorder.metric("loss/" + term.name, term.value, step_);
    recorder.metric("learning_rate", learning_rate, step_);
    recorder.metric("gradient_norm", gradient_norm, step_);
    recorder.metric("epoch", source_.epoch_at(step_), step_);
  }
  char note[64];
  std::snprintf(note, sizeof note, "loss %.4f", last_loss_);
  progress_->advance(1, note);
}

void Trainer::save_if_due() {
  const auto every = options_.checkpoint.every;
  if (every > 0 && step_ % every == 0) save();
}

void Trainer::save() {
  if (!is_writer()) return;
  loss_log_->sync();
  // What the checkpoint is past will not be computed again: it must be on disk first.
  if (parts_.recorder != nullptr) parts_.recorder->flush();
  const auto folder = parts_.run_folder / "checkpoints";
  TrainingState state{step_,
                      optimizer_.updates,
                      skipped_in_a_row_,
                      seconds_,
                      parameters_.values(),
                      optimizer_.exp_avg,
                      optimizer_.exp_avg_sq,
                      optimizer_.ema,
                      identity_,
                      {}};
  if (objective_.adversary() != nullptr) state.extra = objective_.adversary()->state();
  write_checkpoint(folder, state, parts_.config_yaml, [&](const std::filesystem::path& target) {
    with_averaged_weights([&] { parts_.adapter.save(target, parts_.adapter_metadata); });
  });
  const auto best =
      options_.checkpoint.keep_best ? best_evaluated_step(parts_.run_folder) : std::nullopt;
  prune_checkpoints(folder, options_.checkpoint.keep_last, best);
}

bool Trainer::evaluate_if_due() {
  if (parts_.evaluator == nullptr || options_.evaluate_every <= 0) return true;
  const bool due = step_ % options_.evaluate_every == 0 || step_ == options_.training.steps;
  if (!due) return true;
  // A resumed run may have this evaluation already; rank 0 knows.
  std::string there =
      is_writer() && std::filesystem::exists(evaluation_folder(step_) / "metrics.json") ? "yes"
                                                                                        : "no";
  parts_.communicator.broadcast(there, 0);
  return there == "yes" || evaluate();
}

bool Trainer::evaluate() {
  std::optional<eval::EvaluationResult> result;
  const bool base_alone = step_ == 0;
  parts_.adapter.set_enabled(!base_alone);
  with_averaged_weights([&] {
    result = parts_.evaluator->evaluate(
        step_, base_alone ? nullptr : &parts_.adapter, evaluation_folder(step_));
  });
  parts_.adapter.set_enabled(true);
  if (!result) return false;
  if (!is_writer()) return true;
  if (parts_.recorder != nullptr) {
    for (const auto& [name, value] : result->metrics.values) {
      if (value) parts_.recorder->metric("evaluation/" + name, *value, step_);
    }
    const auto folder = std::filesystem::relative(evaluation_folder(step_), parts_.run_folder);
    parts_.recorder->step_image("grid", folder / "grid.png", step_);
    parts_.recorder->artifact(folder / "grid.png", folder.string());
    parts_.recorder->artifact(folder / "metrics.json", folder.string());
  }
  const auto headline = result->metrics.get("delta_e_2000");
  const auto exact = result->metrics.get("delta_e_2000_exact");
  spdlog::info("step {}: delta_e_2000 {:.2f}, delta_e_2000_exact {:.2f} (medians of {})",
               step_,
               headline.value_or(NAN),
               exact.value_or(NAN),
               result->paintings);
  if (best_evaluated_step(parts_.run_folder) == step_ && step_ > 0) save();
  return true;
}

void Trainer::write_summary(TrainStatus status, bool with_controls) {
  std::optional<eval::Controls> controls;
  if (with_controls && parts_.evaluator != nullptr) {
    with_averaged_weights([&] { controls = parts_.evaluator->controls(parts_.adapter); });
  }
  const auto skipped = skipped_samples();
  if (!is_writer()) return;
  RunSummary summary;
  summary.bad_samples = static_cast<int64_t>(skipped.size());
  if (seconds_this_attempt_ > 0) {
    summary.data_share = source_.waited_seconds() / seconds_this_attempt_;
    spdlog::info("waited {:.2f} s for data: {:.2f} % of the training time",
                 source_.waited_seconds(),
                 100 * *summary.data_share);
  }
  if (!skipped.empty()) spdlog::warn("{} bad samples were skipped", skipped.size());
  if (parts_.recorder != nullptr && steps_this_attempt_ > 0) {
    parts_.recorder->metric("data_share", summary.data_share.value_or(0), step_);
    parts_.recorder->metric("bad_samples", static_cast<double>(skipped.size()), step_);
  }
  summary.status = status == TrainStatus::kFinished ? "finished" : "stopped";
  summary.steps = step_;
  summary.samples = step_ * options_.training.global_batch;
  summary.seconds = seconds_;
  summary.samples_per_second =
      seconds_this_attempt_ > 0
          ? static_cast<double>(steps_this_attempt_ * options_.training.global_batch) /
                seconds_this_attempt_
          : 0;
  summary.trainers = parts_.communicator.size();
  if (step_ > 0) {
    const auto losses = read_losses(parts_.run_folder / "losses.csv");
    if (!losses.records.empty()) summary.final_loss = losses.value(losses.records.back(), "loss");
    summary.checkpoint = checkpoint_path(std::filesystem::path("checkpoints"), step_).string();
  }
  write_run_summary(parts_.run_folder, summary, controls);
  write_run_report(parts_.run_folder);
}

std::vector<std::string> Trainer::skipped_samples() {
  std::string own;
  for (const auto& id : source_.skipped()) own += id + "\n";
  std::set<std::string> all;
  for (const auto& text : parts_.communicator.all_gather(own)) {
    std::istringstream lines(text);
    for (std::string id; std::getline(lines, id);) all.insert(id);
  }
  return {all.begin(), all.end()};
}

void Trainer::export_adapter(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  parts_.adapter.save(folder, parts_.adapter_metadata);
}

void Trainer::with_averaged_weights(const std::function<void()>& body) {
  if (!optimizer_.ema.defined()) return body();
  torch::NoGradGuard no_grad;
  const auto trained = parameters_.values().clone();
  parameters_.values().copy_(optimizer_.averaged());
  try {
    body();
  } catch (...) {
    parameters_.values().copy_(trained);
    throw;
  }
  parameters_.values().copy_(trained);
}

bool Trainer::is_writer() const {
  return parts_.communicator.rank() == 0;
}

int64_t Trainer::last_step() const {
  const auto& training = options_.training;
  return training.stop_at > 0 ? std::min(training.stop_at, training.steps) : training.steps;
}

std::filesystem::path Trainer::evaluation_folder(int64_t step) const {
  char name[32];
  std::snprintf(name, sizeof name, "step-%06lld", static_cast<long long>(step));
  return parts_.run_folder / "evaluations" / name;
}

}  // namespace limewash::trainer
