#include "launcher/training_job.h"

#include <functional>
#include <limits>
#include <optional>

#include <spdlog/spdlog.h>
#include <torch/torch.h>

#include "data/latent_cache.h"
#include "launcher/queue_watch.h"
#include "models/adapter_files.h"
#include "models/fingerprint.h"
#include "models/model_folder.h"
#include "models/precision.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/heartbeat.h"
#include "runtime/stop_signal.h"
#include "trainer/evaluation_queue.h"
#include "trainer/loss_networks.h"
#include "trainer/run_summary.h"
#include "trainer/trainer.h"

namespace limewash::launcher {

namespace {

/// What the launcher keeps in a run folder beside the run: the lock, the heartbeat, the ranks'
/// logs.
bool is_of_launcher(const std::filesystem::path& entry) {
  const auto name = entry.filename();
  return name == ".lock" || name == kHeartbeatName || name == kLogsName;
}

/// Whether the folder holds anything of a run.
bool holds_a_run(const std::filesystem::path& folder) {
  if (!std::filesystem::exists(folder)) return false;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!is_of_launcher(entry.path())) return true;
  }
  return false;
}

void clear_run(const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!is_of_launcher(entry.path())) std::filesystem::remove_all(entry.path());
  }
}

/// [N, 3, H, W] in [0, 1].
at::Tensor to_tensor(std::span<const data::Image> images) {
  std::vector<at::Tensor> rows;
  for (const auto& image : images) {
    auto* pixels = const_cast<uint8_t*>(image.pixels.data());
    rows.push_back(torch::from_blob(pixels, {image.height, image.width, 3}, torch::kByte)
                       .permute({2, 0, 1})
                       .to(torch::kFloat)
                       .div(255.0));
  }
  return torch::stack(rows);
}

void copy_out(const at::Tensor& tensor, float* out) {
  const auto contiguous = tensor.to(torch::kCPU).contiguous();
  std::copy_n(contiguous.data_ptr<float>(), contiguous.numel(), out);
}

data::Encoders make_encoders(models::BaseModel& base,
                             models::ReferenceFeatures features,
                             at::Device device) {
  torch::NoGradGuard no_grad;
  data::Encoders encoders;
  encoders.fingerprint = base.fingerprint;
  // The sizes are what the networks answer, so that no config key has to be trusted.
  const auto probe = models::encode_pixels(base, torch::zeros({1, 3, 64, 64}, device)).first;
  encoders.latent_channels = probe.size(1);
  encoders.downscale = 64 / probe.size(2);
  encoders.embedding_shape = models::encode_dropped_reference(base, features)[0].sizes().vec();
  encoders.embedding_kind = models::reference_features_name(features);
  encoders.encode_images = [&base, device](
                               std::span<const data::Image> images, float* mean, float* deviation) {
    torch::NoGradGuard inner;
    heartbeat();
    const auto [means, deviations] =
        models::encode_pixels(base, to_tensor(images).mul(2).sub(1).to(device));
    copy_out(means, mean);
    copy_out(deviations, deviation);
  };
  encoders.encode_references = [&base, features, device](std::span<const data::Image> swatches,
                                                         float* embeddings) {
    torch::NoGradGuard inner;
    heartbeat();
    copy_out(models::encode_reference(base, to_tensor(swatches).to(device), features), embeddings);
  };
  return encoders;
}

/// What a resumed run must have the same: the configuration that shapes the trajectory, and the
/// file that it starts from.
std::string identity_yaml(const Config& config) {
  std::string text = config.trajectory_yaml();
  if (!config.base.ip_adapter.empty()) {
    text +=
        "base.ip_adapter: " + models::fingerprint_files({{"ip_adapter", config.base.ip_adapter}}) +
        "\n";
  }
  if (!config.base.lora.empty()) {
    const auto file = models::locate_adapter(config.base.lora).lora;
    text += "base.lora: " + models::fingerprint_files({{"lora", file}}) + "\n";
  }
  return text + trainer::loss_networks_yaml(config.loss);
}

/// What goes into the exported files: the schedule only where it is not the base's own.
std::map<std::string, std::string> adapter_metadata(const Config& config,
                                                    const models::BaseModel& base) {
  std::map<std::string, std::string> metadata{{"limewash.hole", config.reference.hole},
                                              {"limewash.base", base.name}};
  if (config.base.prediction_type != "model")
    metadata["limewash.prediction_type"] = config.base.prediction_type;
  if (config.base.zero_terminal_snr != "model")
    metadata["limewash.zero_terminal_snr"] = config.base.zero_terminal_snr;
  if (config.base.timestep_spacing != "model")
    metadata["limewash.timestep_spacing"] = config.base.timestep_spacing;
  return metadata;
}

/// A LoRA that nothing trains and no file fills stays zero: it costs time and does nothing.
void warn_of_idle_lora(const Config& config) {
  if (config.adapter.lora.rank == 0 || !config.base.lora.empty()) return;
  for (const auto& stage : trainer::stages_of(config.training, config.optimizer))
    if (trainer::trains(stage.name, "lora")) return;
  spdlog::warn(
      "adapter.lora.rank = {}, but no stage trains a LoRA and base.lora is empty: it stays zero; "
      "set adapter.lora.rank = 0",
      config.adapter.lora.rank);
}

/// docs/ablation.md, "Reference and target": what such a training learns.
void warn_of_ignored_reference(const Config& config) {
  const auto& reference = config.reference;
  const bool asks_for_others = reference.strategy == "random" ||
                               (reference.strategy == "hybrid" && reference.random_probability > 0);
  const bool is_pulled = config.loss.color.weight > 0 && config.loss.color.anchor == "reference";
  if (reference.target != "original" || !asks_for_others || is_pulled) return;
  spdlog::warn(
      "reference.target = original with reference.strategy = {}: a target that does not show the "
      "colour asked for teaches the network to ignore it; set reference.target = recolored",
      reference.strategy);
}

void record_start(tracking::RunRecorder& recorder,
                  const Config& config,
                  const data::Dataset& train,
                  int ranks) {
  auto params = config::flatten(config);
  // Where the tracker stands, and what only other commands read, says nothing of the run.
  std::erase_if(params, [](const auto& param) {
    return param.first.starts_with("tracking.") || param.first.starts_with("synthesize.") ||
           param.first.starts_with("prepare.");
  });
  recorder.params(params);
  recorder.tag("limewash.trainers", std::to_string(ranks));
  recorder.tag("limewash.base", config.base.model);
  recorder.dataset(
      "training", train.folder().filename().string(), train.fingerprint(), train.folder().string());
}

/// Hears a stop that an evaluator alone was asked for, whatever the trainers are at.
std::function<bool()> stop_if_asked(const std::filesystem::path& folder) {
  return [queue = trainer::EvaluationQueue(folder)] {
    if (!queue.is_asked_to_stop()) return true;
    request_stop();
    return false;
  };
}

}  // namespace

std::filesystem::path run_folder_of(const Config& config) {
  return std::filesystem::path(config.run.output) / config.run.name;
}

void refuse_busy_run(const Config& config) {
  const auto folder = run_folder_of(config);
  if (std::filesystem::exists(folder)) const FolderLock lock(folder);
}

void overwrite_run(const Config& config) {
  const auto folder = run_folder_of(config);
  if (!std::filesystem::exists(folder)) return;
  const FolderLock lock(folder);
  clear_run(folder);
}

void check_run_folder(const Config& config, Begin begin) {
  if (begin == Begin::kNew && holds_a_run(run_folder_of(config))) {
    throw ConfigError(
        run_folder_of(config).string() +
        ": a run is there already; go on with it by --resume, replace it by --overwrite, or choose "
        "another run.name");
  }
}

int run_training_job(const Config& config, Begin begin, const RankGroup& ranks) {
  config.validate_training();
  Communicator& communicator = ranks.own;
  const bool writer = communicator.rank() == 0;
  const auto folder = run_folder_of(config);
  std::unique_ptr<FolderLock> lock;
  if (writer) {
    check_run_folder(config, begin);
    warn_of_idle_lora(config);
    warn_of_ignored_reference(config);
    std::filesystem::create_directories(folder);
    lock = std::make_unique<FolderLock>(folder);
    if (begin == Begin::kOverwrite) clear_run(folder);
    write_file_atomically(folder / "config.yaml", config::to_yaml(config));
    if (ranks.evaluators > 0) trainer::EvaluationQueue(folder).begin();
  }
  std::optional<QueueWatch> watch;
  if (writer && ranks.evaluators > 0) watch.emplace(stop_if_asked(folder));
  communicator.barrier();
  // All ranks can be asked to stop from here on.
  set_heartbeat_file(folder / kHeartbeatName);
  heartbeat();

  const data::Dataset train(config.data.train, "train");
  std::unique_ptr<tracking::RunRecorder> recorder;
  if (writer) {
    recorder = std::make_unique<tracking::RunRecorder>(config.tracking, folder, config.run.name);
    record_start(*recorder, config, train, communicator.size());
    recorder->artifact("config.yaml", "");
  }

  auto base = models::load_base_model(config.base, models::compute_type(config.run.precision));
  const auto features = config.adapter.ip_adapter.reference_features();
  const at::Device device = models::compute_device(config.run.device);
  models::move_to(base, device);
  const auto encoders = make_encoders(base, features, device);
  const auto seed = static_cast<uint64_t>(config.run.seed);
  models::Adapter adapter(base.unet, config.adapter, encoders.embedding_shape.back(), seed);
  if (!config.base.ip_adapter.empty()) adapter.load_ip_adapter(config.base.ip_adapter);
  if (!config.base.lora.empty()) adapter.load_lora(config.base.lora);
  const auto cache = data::LatentCache::open(
      train,
      {config.data.recolorings, seed, config.reference, config.data.variants},
      encoders,
      communicator);
  const auto stopped_early = [&] {
    if (writer) trainer::mark_run(folder, "stopped");
    if (recorder) recorder->close(tracking::RunStatus::kKilled);
    // Evaluators wait to hear of the queue.
    if (ranks.evaluators > 0) {
      if (writer) {
        trainer::EvaluationQueue queue(folder);
        queue.open(std::numeric_limits<int64_t>::max());
        queue.end();
      }
      ranks.all.quiet_barrier();
    }
    return kExitStopped;
  };
  if (communicator.agree_any(cache == nullptr)) return stopped_early();

  std::unique_ptr<data::Dataset> validation;
  std::unique_ptr<eval::Evaluator> evaluator;
  const bool evaluates = config.evaluation.every > 0,
             validates = config.training.validation.every > 0;
  if (!config.data.validation.empty() && (evaluates || validates)) {
    validation = std::make_unique<data::Dataset>(config.data.validation,
                                                 data::validation_split(config.data.validation));
  }
  if (validation && evaluates && ranks.evaluators == 0) {
    evaluator = std::make_unique<eval::Evaluator>(
        base, *validation, config.reference, config.evaluation, communicator);
  }
  if (validation && evaluates && recorder) {
    recorder->dataset("validation",
                      validation->folder().filename().string(),
                      validation->fingerprint(),
                      validation->folder().string());
  }

  std::unique_ptr<data::LatentCache> validation_cache;
  std::unique_ptr<trainer::ValidationLoss> validation_loss;
  if (validation && validates) {
    // Seeds of the evaluation: runs that differ in theirs are measured alike.
    const auto fixed_seed = static_cast<uint64_t>(config.evaluation.seed);
    validation_cache = data::LatentCache::open(
        *validation, {1, fixed_seed, config.reference, 1}, encoders, communicator);
    if (communicator.agree_any(validation_cache == nullptr)) return stopped_early();
    validation_loss = std::make_unique<trainer::ValidationLoss>(base,
                                                                *validation,
                                                                *validation_cache,
                                                                communicator,
                                                                config.training.validation,
                                                                config.training.micro_batch,
                                                                fixed_seed);
  }

  const auto networks = trainer::load_loss_networks(
      config.loss, *base.vae, models::compute_type(config.run.precision), device);
  data::LoaderOptions loader;
  loader.workers = config.data.workers;
  loader.skip_bad_samples = config.data.on_bad_sample == "skip";
  trainer::Trainer trainer(
      {config.training,
       config.loss,
       config.optimizer,
       config.checkpoint,
       config.evaluation.every,
       loader},
      {base,
       adapter,
       train,
       *cache,
       communicator,
       evaluator.get(),
       validation_loss.get(),
       recorder.get(),
       folder,
       config::to_yaml(config),
       identity_yaml(config),
       Config().trajectory_yaml(),
       adapter_metadata(config, base),
       config.data.recolorings,
       seed,
       read_file(models::folder_of_part(models::resolve_model_folder(config.base.model), "unet") /
                 "config.json"),
       networks.decoder,
       networks.lpips,
       ranks.evaluators});
  const int64_t step = begin == Begin::kResume ? trainer.resume() : 0;
  if (ranks.evaluators == 0) {
    // What waited for evaluators of an earlier attempt.
    if (writer) std::filesystem::remove_all(folder / trainer::EvaluationQueue::kFolder);
  } else {
    if (writer) trainer::EvaluationQueue(folder).open(step);
    ranks.all.quiet_barrier();
  }
  const auto status = trainer.train();
  const bool finished = status == trainer::TrainStatus::kFinished;
  if (recorder) {
    for (const char* file : {"summary.json",
                             "losses.csv",
                             "report.html",
                             "adapter/pytorch_lora_weights.safetensors",
                             "adapter/ip_adapter.safetensors"}) {
      const std::filesystem::path path(file);
      if (std::filesystem::exists(folder / path))
        recorder->artifact(path, path.parent_path().string());
    }
    recorder->close(finished ? tracking::RunStatus::kFinished : tracking::RunStatus::kKilled);
  }
  return finished ? kExitDone : kExitStopped;
}

}  // namespace limewash::launcher
