// What a Trainer measures between its steps, and what it says of the run at the end.

#include <chrono>
#include <cmath>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

#include <spdlog/spdlog.h>
#include <torch/torch.h>

#include "runtime/files.h"
#include "runtime/stop_signal.h"
#include "trainer/run_summary.h"
#include "trainer/trainer.h"

namespace limewash::trainer {

namespace {

/// Of a rank that waits for evaluations.
constexpr std::chrono::milliseconds kPauseBetweenLooks{50};

}  // namespace

bool Trainer::evaluation_is_due() const {
  const auto every = options_.evaluate_every;
  return every > 0 && (step_ % every == 0 || step_ == options_.training.steps);
}

bool Trainer::evaluate_if_due() {
  if (parts_.evaluator == nullptr || !evaluation_is_due()) return true;
  // A resumed run may have this evaluation already; rank 0 knows.
  std::string there =
      is_writer() &&
              std::filesystem::exists(evaluation_folder(parts_.run_folder, step_) / "metrics.json")
          ? "yes"
          : "no";
  parts_.communicator.broadcast(there, 0);
  return there == "yes" || evaluate();
}

bool Trainer::validate_if_due() {
  const auto every = options_.training.validation.every;
  if (parts_.validation == nullptr || every <= 0) return true;
  if (step_ % every != 0 && step_ != options_.training.steps) return true;
  std::string there = is_writer() && validation_log_->has(step_) ? "yes" : "no";
  parts_.communicator.broadcast(there, 0);
  if (there == "yes") return true;
  std::optional<ValidationLosses> losses;
  with_averaged_weights([&] { losses = parts_.validation->measure(parts_.adapter, step_); });
  if (!losses) return false;
  if (!is_writer()) return true;
  validation_log_->append(*losses);
  spdlog::info("step {}: validation loss {:.4f}", step_, losses->loss);
  if (parts_.recorder == nullptr) return true;
  parts_.recorder->metric("validation/loss", losses->loss, step_);
  const auto names = parts_.validation->names();
  for (size_t bin = 0; bin < names.size(); ++bin)
    parts_.recorder->metric("validation/loss_" + names[bin], losses->bins[bin], step_);
  return true;
}

bool Trainer::evaluate() {
  std::optional<eval::EvaluationResult> result;
  const bool base_alone = step_ == 0;
  if (is_writer()) make_evaluations_folder(parts_.run_folder);
  parts_.adapter.set_enabled(!base_alone);
  with_averaged_weights([&] {
    result = parts_.evaluator->evaluate(
        step_, base_alone ? nullptr : &parts_.adapter, evaluation_folder(parts_.run_folder, step_));
  });
  parts_.adapter.set_enabled(true);
  if (!result) return false;
  if (!is_writer()) return true;
  report_evaluation(step_);
  if (best_evaluated_step(parts_.run_folder) == step_ && step_ > 0) save();
  return true;
}

void Trainer::hand_over_if_due() {
  if (!queue_) return;
  take_evaluations();
  if (!evaluation_is_due() || handed_over_.contains(step_)) return;
  // A resumed run may have this evaluation already.
  if (std::filesystem::exists(evaluation_folder(parts_.run_folder, step_) / "metrics.json")) return;
  handed_over_.insert(step_);
  const EvaluationQueue::Entry entry{step_, step_ == options_.training.steps};
  const auto add = [this, entry] { queue_->add(entry); };
  // Step 0 is the base alone, whose weights are no checkpoint's.
  if (step_ == 0) return add();
  save(add);
}

void Trainer::take_evaluations() {
  if (!queue_) return;
  const auto waiting = handed_over_;
  for (const int64_t step : waiting) {
    if (!handed_over_.contains(step) || !queue_->is_measured(step)) continue;
    // A network disk may show it later than the mark that was written after it.
    if (!std::filesystem::exists(evaluation_folder(parts_.run_folder, step) / "metrics.json"))
      continue;
    report_evaluation(step);
    // The journal has to hold the figures before the queue forgets them, and the summary the
    // controls.
    if (auto controls = queue_->controls(step); !controls.is_null()) {
      controls_ = std::move(controls);
    } else {
      if (parts_.recorder != nullptr) parts_.recorder->flush();
      queue_->settle(step);
    }
    handed_over_.erase(handed_over_.begin(), handed_over_.upper_bound(step));
  }
}

bool Trainer::await_evaluations() {
  if (parts_.evaluators == 0) return true;
  if (queue_) {
    while (!handed_over_.empty() && !stop_requested()) {
      std::this_thread::sleep_for(kPauseBetweenLooks);
      take_evaluations();
    }
  }
  // Nothing waits for its measurement any more: what only that has kept can go.
  save();
  checkpoints_.wait();
  // Ranks that only wait leave their cores to those that evaluate. One that is asked to stop tells
  // rank 0, which waits for the evaluators.
  bool told = is_writer();
  parts_.communicator.quiet_barrier([&] {
    if (told || !stop_requested()) return;
    EvaluationQueue(parts_.run_folder).ask_to_stop();
    told = true;
  });
  return !parts_.communicator.agree_any(stop_requested());
}

void Trainer::report_evaluation(int64_t step) {
  const auto path = evaluation_folder(parts_.run_folder, step) / "metrics.json";
  const auto document = nlohmann::json::parse(read_file(path));
  const auto metrics = eval::metrics_from_json(document.at("metrics"));
  if (parts_.recorder != nullptr) {
    for (const auto& [name, value] : metrics.values) {
      if (value) parts_.recorder->metric("evaluation/" + name, *value, step);
    }
    const auto folder =
        std::filesystem::relative(evaluation_folder(parts_.run_folder, step), parts_.run_folder);
    parts_.recorder->step_image("grid", folder / "grid.png", step);
    parts_.recorder->artifact(folder / "grid.png", folder.string());
    parts_.recorder->artifact(folder / "metrics.json", folder.string());
  }
  spdlog::info("step {}: delta_e_2000 {:.2f}, delta_e_2000_exact {:.2f} (medians of {})",
               step,
               metrics.get("delta_e_2000").value_or(NAN),
               metrics.get("delta_e_2000_exact").value_or(NAN),
               document.at("paintings").get<int64_t>());
}

nlohmann::json Trainer::measured_controls() {
  if (parts_.evaluators > 0) return controls_;
  if (parts_.evaluator == nullptr) return nullptr;
  std::optional<eval::Controls> controls;
  with_averaged_weights([&] { controls = parts_.evaluator->controls(parts_.adapter); });
  return controls ? controls->to_json() : nlohmann::json();
}

void Trainer::write_summary(TrainStatus status, bool with_controls) {
  const auto controls = with_controls ? measured_controls() : nlohmann::json();
  const auto skipped = skipped_samples();
  if (!is_writer()) return;
  RunSummary summary;
  summary.loss_spikes = guard_.spikes();
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
  summary.evaluators = parts_.evaluators;
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

}  // namespace limewash::trainer
