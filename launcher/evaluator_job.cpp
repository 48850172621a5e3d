#include "launcher/evaluator_job.h"

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>

#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "data/dataset.h"
#include "eval/evaluator.h"
#include "launcher/queue_watch.h"
#include "launcher/training_job.h"
#include "models/adapter.h"
#include "models/precision.h"
#include "models/weights.h"
#include "runtime/error.h"
#include "runtime/heartbeat.h"
#include "runtime/stop_signal.h"
#include "trainer/checkpoint.h"
#include "trainer/evaluation_queue.h"
#include "trainer/run_files.h"

namespace limewash::launcher {

namespace {

using trainer::EvaluationQueue;

constexpr std::chrono::milliseconds kPauseBetweenLooks{50};

/// Sleep until there is something to measure or to end for.
void await_work(const EvaluationQueue& queue, int64_t done) {
  while (!stop_requested() && !queue.is_asked_to_stop() && !queue.next(done)) {
    std::this_thread::sleep_for(kPauseBetweenLooks);
  }
}

/// What all evaluators measure next, as rank 0 sees it; nullopt: they end.
std::optional<EvaluationQueue::Entry> agree_on_next(EvaluationQueue& queue,
                                                    int64_t done,
                                                    Communicator& evaluators) {
  await_work(queue, done);
  // This evaluator may end before its watch looks again.
  if (stop_requested() && !queue.has_ended()) queue.ask_to_stop();
  nlohmann::json choice;
  if (evaluators.rank() == 0 && !stop_requested() && !queue.is_asked_to_stop()) {
    if (const auto entry = queue.next(done)) choice = {entry->step, entry->last};
  }
  std::string bytes = choice.dump();
  evaluators.quiet_barrier();
  evaluators.broadcast(bytes, 0);
  choice = nlohmann::json::parse(bytes);
  if (choice.is_null()) return std::nullopt;
  return EvaluationQueue::Entry{choice[0].get<int64_t>(), choice[1].get<bool>()};
}

/// The weights of a checkpoint into these networks.
void load_checkpoint(const std::filesystem::path& folder,
                     models::BaseModel& base,
                     models::Adapter& adapter,
                     at::Device device) {
  const auto& options = adapter.options();
  if (options.lora.rank > 0 || options.ip_adapter.kind != "none") adapter.load(folder);
  if (!std::filesystem::exists(folder / "unet")) return;
  models::load_weights(*base.unet,
                       models::find_weights(folder / "unet", "diffusion_pytorch_model"));
  base.unet->to(device);
}

}  // namespace

int run_evaluator_job(const Config& config, const RankGroup& ranks) {
  config.validate_training();
  const auto folder = run_folder_of(config);
  const data::Dataset validation(config.data.validation,
                                 data::validation_split(config.data.validation));
  auto base = models::load_base_model(config.base, models::compute_type(config.run.precision));
  const at::Device device = models::compute_device(config.run.device);
  models::move_to(base, device);
  const auto features = config.adapter.ip_adapter.reference_features();
  models::Adapter adapter(base.unet,
                          config.adapter,
                          models::encode_dropped_reference(base, features)[0].size(-1),
                          static_cast<uint64_t>(config.run.seed));
  eval::Evaluator evaluator(base, validation, config.reference, config.evaluation, ranks.own);
  evaluator.hide_progress();

  EvaluationQueue queue(folder);
  std::atomic<bool> trainers_are_ready{false};
  const QueueWatch watch([&] {
    // An evaluation that is under way when the trainers have ended is for nobody.
    if (trainers_are_ready && queue.has_ended()) {
      request_stop();
      return false;
    }
    // Whoever was asked alone tells the others, and the trainers, which may still be encoding.
    if (stop_requested() && !queue.is_asked_to_stop()) queue.ask_to_stop();
    return true;
  });
  ranks.all.quiet_barrier();
  trainers_are_ready = true;
  set_heartbeat_file(folder / kHeartbeatName);
  int64_t done = -1;
  while (const auto entry = agree_on_next(queue, done, ranks.own)) {
    const bool base_alone = entry->step == 0;
    if (!base_alone) {
      load_checkpoint(
          trainer::checkpoint_path(folder / "checkpoints", entry->step), base, adapter, device);
    }
    adapter.set_enabled(!base_alone);
    if (ranks.own.rank() == 0) trainer::make_evaluations_folder(folder);
    const auto result = evaluator.evaluate(entry->step,
                                           base_alone ? nullptr : &adapter,
                                           trainer::evaluation_folder(folder, entry->step));
    adapter.set_enabled(true);
    if (!result) continue;  // asked to stop: the others agree
    nlohmann::json controls;
    if (entry->last) {
      const auto measured = evaluator.controls(adapter);
      if (!measured) continue;
      controls = measured->to_json();
    }
    if (ranks.own.rank() == 0) queue.mark_measured(entry->step, controls);
    done = entry->step;
    // The others must not look for work before this is marked.
    ranks.own.barrier();
  }
  return kExitDone;
}

}  // namespace limewash::launcher
