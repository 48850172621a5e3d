#include "trainer/trainer.h"

#include <chrono>
#include <cmath>

#include <spdlog/spdlog.h>
#include <torch/torch.h>

#include "runtime/error.h"
#include "runtime/heartbeat.h"
#include "runtime/stop_signal.h"
#include "trainer/cuda_graph.h"

namespace limewash::trainer {

namespace {

/// What is summed over ranks together with the gradients.
enum TailSlot : int64_t { kStop, kLosses };  // kLosses: as LossTail has them

/// Steps in a row without a finite gradient that end a run.
constexpr int64_t kMostSkippedSteps = 10;

/// Whose masks the rows of a micro-batch get.
std::vector<models::DropoutKey> dropout_keys(const std::vector<StreamSample>& samples) {
  std::vector<models::DropoutKey> keys;
  for (const auto& sample : samples) keys.push_back({sample.epoch, sample.id});
  return keys;
}

std::vector<int64_t> sizes_of(const std::vector<TrainedPart>& parts) {
  std::vector<int64_t> sizes;
  for (const auto& part : parts) {
    sizes.push_back(0);
    for (const auto& parameter : part.parameters) sizes.back() += parameter.tensor.numel();
  }
  return sizes;
}

/// nullptr where passes can't be recorded: masks of dropout are drawn, and crops are cut, on the
/// host for each sample.
std::unique_ptr<LaunchRecorder> pass_recorder(const TrainerOptions& options,
                                              TrainerParts& parts,
                                              at::Device device) {
  auto recorder = std::move(parts.pass_recorder);
  if (!recorder && options.training.cuda_graph) recorder = make_cuda_graph_recorder(device);
  if (!recorder) return nullptr;
  const bool drops_out = parts.adapter.options().lora.dropout > 0;
  if (!drops_out && !options.loss.decodes()) return recorder;
  if (parts.communicator.rank() == 0)
    spdlog::info("no CUDA graph: {}",
                 drops_out ? "adapter.lora.dropout is drawn for each sample"
                           : "the loss decodes another crop for each sample");
  return nullptr;
}

/// What all stages train.
std::string layout_of_stages(const std::vector<Stage>& stages,
                             models::Adapter& adapter,
                             const models::UNet2DConditionModel& unet) {
  std::string text;
  for (const auto& stage : stages) {
    if (stages.size() > 1) text += "stage " + stage.name + "\n";
    text += layout_of(all_parameters(parts_of(adapter, unet, stage.name)));
  }
  return text;
}

}  // namespace

Trainer::Trainer(const TrainerOptions& options, TrainerParts parts)
    : options_(options),
      parts_(std::move(parts)),
      stages_(stages_of(options.training, options.optimizer)),
      trained_(trained_parts(parts_.adapter, parts_.base.unet, stages_.front().name)),
      objective_(options.loss,
                 {parts_.base.schedule,
                  parts_.cache.latent_to_rgb(),
                  parts_.seed,
                  parts_.loss_decoder ? parts_.loss_decoder.get() : parts_.base.vae.get(),
                  parts_.lpips.get(),
                  parts_.base.unet->parameters().front().device()}),
      loss_tail_(options.loss, objective_.terms()),
      parameters_(all_parameters(trained_), kLosses + loss_tail_.size()),
      optimizer_(options.optimizer, parameters_.values(), sizes_of(trained_)),
      guard_(options.optimizer.spike_guard),
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
      passes_(text_.device(), pass_recorder(options, parts_, text_.device())),
      readings_(parts_.steps_behind.value_or(text_.is_cuda() ? 1 : 0)),
      identity_{parts_.dataset.fingerprint(),
                parts_.base.fingerprint,
                layout_of_stages(stages_, parts_.adapter, parts_.base.unet),
                parts_.identity_yaml,
                parts_.default_identity_yaml} {
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

TrainStatus Trainer::train() {
  const OwnStream stream(text_.device());
  if (is_writer()) {
    loss_log_ =
        std::make_unique<LossLog>(parts_.run_folder / "losses.csv", loss_tail_.columns(), step_);
  }
  if (is_writer() && parts_.validation != nullptr) {
    validation_log_ = std::make_unique<ValidationLog>(
        parts_.run_folder / "validation_losses.csv", parts_.validation->names(), step_);
  }
  if (is_writer() && parts_.evaluators > 0) {
    queue_.emplace(parts_.run_folder);
    const auto waiting = queue_->steps();
    handed_over_.insert(waiting.begin(), waiting.end());
  }
  source_.seek(step_);
  hand_over_if_due();
  stop_agreed_ = !validate_if_due() || !evaluate_if_due();
  progress_ =
      std::make_unique<Progress>("training", options_.training.steps, "steps", is_writer(), step_);
  while (step_ < last_step() && !stop_agreed_) {
    begin_stage_if_due();
    train_step();
    if (is_due_to_pause()) account_for_all();
    hand_over_if_due();
    save_if_due();
    if (!validate_if_due() || !evaluate_if_due()) stop_agreed_ = true;
  }
  account_for_all();
  progress_->finish();
  save();
  checkpoints_.wait();
  if (!stop_agreed_ && !await_evaluations()) stop_agreed_ = true;
  if (queue_) queue_->end();

  const bool finished = step_ >= options_.training.steps && !stop_agreed_;
  const auto status = finished ? TrainStatus::kFinished : TrainStatus::kStopped;
  if (is_writer()) {
    with_averaged_weights(
        [&] { export_weights(parts_.run_folder / "adapter", parts_.run_folder / "unet"); });
  }
  write_summary(status, finished);
  if (queue_ && finished) queue_->settle(step_);
  parts_.communicator.barrier();
  return status;
}

void Trainer::begin_stage(size_t place) {
  const Stage& stage = stages_[place];
  passes_.forget();
  const int64_t tail = parameters_.tail().numel();
  trained_ = trained_parts(parts_.adapter, parts_.base.unet, stage.name);
  parameters_.give_back_frozen();
  parameters_ = FlatParameters(all_parameters(trained_), tail);
  optimizer_ = AdamW(stage.optimizer, parameters_.values(), sizes_of(trained_));
  stage_ = place;
}

void Trainer::begin_stage_if_due() {
  const size_t place = stage_after(stages_, step_);
  if (place == stage_) return;
  if (optimizer_.ema.defined()) {
    torch::NoGradGuard no_grad;
    parameters_.values().copy_(optimizer_.averaged());
  }
  begin_stage(place);
  if (is_writer())
    spdlog::info(
        "step {}: stage {} of {}, {}", step_, place + 1, stages_.size(), stages_[place].name);
}

bool Trainer::judge_loss(int64_t step, double loss) {
  const auto verdict = guard_.judge(loss);
  if (verdict.spike && is_writer()) {
    spdlog::warn(
        "step {}: the loss {:.4g} stands out from the median {:.4g} by {:.1f} deviations{}",
        step + 1,
        loss,
        verdict.median,
        (loss - verdict.median) / verdict.deviation,
        verdict.skip ? "; skipped" : "");
  }
  return verdict.skip;
}

at::Tensor Trainer::update(const std::vector<double>& learning_rates) {
  // The one case in which the loss has to be known before the update.
  if (guard_.skips()) {
    const double loss = parameters_.tail()[kLosses].item<float>();  // LossTail has the total first
    if (judge_loss(step_, loss)) return parameters_.gradients().norm();
  }
  return optimizer_.step(parameters_.gradients(), learning_rates);
}

void Trainer::train_step() {
  const auto begin = std::chrono::steady_clock::now();
  checkpoints_.check();
  // 1. The global batch: the same on every rank.
  const auto samples = source_.global_batch(step_);
  const auto denominators =
      objective_.scale(source_.noise_weight_total(samples, options_.loss.noise), samples, step_)
          .denominators(/*pinned=*/text_.is_cuda());

  // 2. Forward and backward over this rank's micro-batches.
  parameters_.zero();
  if (objective_.adversary() != nullptr) objective_.adversary()->zero();
  const auto micro_batches = options_.training.global_batch / options_.training.micro_batch;
  for (int64_t i = parts_.communicator.rank(); i < micro_batches; i += parts_.communicator.size()) {
    forward_backward(denominators);
  }

  // 3. One reduction: gradients, losses, and whether anyone was asked to stop.
  if (stop_requested()) parameters_.tail()[kStop].fill_(1.0);
  parts_.communicator.all_reduce_sum(parameters_.reduced());

  // 4. Update. A gradient that is not finite is so on every rank: all of them skip.
  const auto rates = learning_rates(stages_[stage_], trained_, step_);
  const auto norm = update(rates);
  update_discriminators();

  // 5. Everything that follows is bookkeeping: on a GPU that of the step before, whose figures are
  // there by now.
  readings_.begin(
      {step_, samples, rates.front(), measures_shares(step_)}, parameters_.tail(), norm);
  ++step_;
  ++steps_this_attempt_;
  while (const auto reading = readings_.due()) account_for(*reading);
  add_seconds_since(begin);
}

void Trainer::add_seconds_since(std::chrono::steady_clock::time_point begin) {
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  seconds_ += seconds;
  seconds_this_attempt_ += seconds;
}

void Trainer::forward_backward(const at::Tensor& denominators) {
  heartbeat();
  const auto batch = source_.next();
  const bool with_shares = measures_shares(step_);
  const auto selection = passes_.records() ? objective_.started_terms(step_)
                                           : objective_.counted_terms(batch.samples, step_);
  parts_.adapter.begin_dropout(parts_.seed, dropout_keys(batch.samples));
  passes_.run(selection.names() + (with_shares ? " with shares" : ""),
              {batch, denominators},
              [this, selection, with_shares](const PassInputs& inputs) {
                pass(inputs, selection, with_shares);
              });
  parts_.adapter.end_dropout();
}

void Trainer::pass(const PassInputs& inputs, const TermSelection& selection, bool with_shares) {
  const auto& batch = inputs.batch;
  const auto z_t = parts_.base.schedule.add_noise(batch.z0, batch.noise, batch.timesteps);
  const auto reference = parts_.adapter.project_reference(batch.embeddings);
  const auto text = text_.expand({z_t.size(0), -1, -1});
  const auto output = parts_.base.unet->forward(
      torch::cat({z_t, batch.mask, batch.hole_latents}, 1), batch.timesteps, text, reference);
  const auto terms = objective_(batch, z_t, output, inputs.denominators, selection);
  const auto squares =
      with_shares ? objective_.gradient_squares(terms, output) : std::vector<at::Tensor>{};
  terms.total.backward();
  const auto discriminators = objective_.teach(batch, z_t, output, inputs.denominators, selection);
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

void Trainer::account_for(const StepReading& reading) {
  if (reading.tail[kStop].item<float>() > 0) stop_agreed_ = true;
  if (!guard_.skips()) judge_loss(reading.step.number, reading.tail[kLosses].item<float>());
  skipped_in_a_row_ = std::isfinite(reading.gradient_norm) ? 0 : skipped_in_a_row_ + 1;
  refuse_endless_skips(reading.step);
  record_step(reading);
}

void Trainer::account_for_all() {
  const auto begin = std::chrono::steady_clock::now();
  while (const auto reading = readings_.oldest()) account_for(*reading);
  add_seconds_since(begin);
}

bool Trainer::is_due_to_pause() const {
  const auto is_due = [this](int64_t every) { return every > 0 && step_ % every == 0; };
  return is_due(options_.checkpoint.every) || is_due(options_.training.validation.every) ||
         evaluation_is_due() || step_ == options_.training.steps ||
         stage_after(stages_, step_) != stage_;
}

void Trainer::refuse_endless_skips(const LaunchedStep& step) const {
  if (skipped_in_a_row_ == 0) return;
  if (is_writer()) spdlog::warn("step {}: the gradient is not finite; skipped", step.number + 1);
  if (skipped_in_a_row_ < kMostSkippedSteps) return;
  std::string names;
  for (const auto& sample : step.samples)
    names += (names.empty() ? "" : ", ") + parts_.dataset.info(sample.index).id;
  throw InputError("no finite gradient in " + std::to_string(skipped_in_a_row_) +
                   " steps in a row; the last one saw " + names +
                   ". Lower optimizer.learning_rate, or look at these photos");
}

void Trainer::record_step(const StepReading& reading) {
  const auto& [launched, tail, gradient_norm] = reading;
  const auto losses =
      loss_tail_.read(tail.narrow(0, kLosses, loss_tail_.size()), launched.with_shares);
  last_loss_ = losses.total;
  if (!is_writer()) return;
  const int64_t step = launched.number + 1;
  loss_log_->append({step, loss_tail_.values(losses, launched.learning_rate, gradient_norm)});
  if (parts_.recorder != nullptr) {
    auto& recorder = *parts_.recorder;
    recorder.metric("loss", losses.total, step);
    for (const auto& term : losses.terms) {
      recorder.metric("loss/" + term.name, term.value, step);
      recorder.metric("loss/" + term.name + "/weighted", term.weight * term.value, step);
      if (term.share) recorder.metric("loss/" + term.name + "/share", *term.share, step);
    }
    for (const auto& term : losses.discriminators)
      recorder.metric("loss/" + term.name, term.value, step);
    recorder.metric("learning_rate", launched.learning_rate, step);
    recorder.metric("gradient_norm", gradient_norm, step);
    recorder.metric("epoch", source_.epoch_at(step), step);
  }
  char note[64];
  std::snprintf(note, sizeof note, "loss %.4f", last_loss_);
  progress_->advance(1, note);
}

bool Trainer::is_writer() const {
  return parts_.communicator.rank() == 0;
}

int64_t Trainer::last_step() const {
  const auto& training = options_.training;
  return training.stop_at > 0 ? std::min(training.stop_at, training.steps) : training.steps;
}

}  // namespace limewash::trainer
