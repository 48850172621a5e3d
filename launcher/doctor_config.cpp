// What a configuration names, and what its training takes.

#include <algorithm>

#include "data/dataset.h"
#include "launcher/doctor.h"
#include "launcher/training_memory.h"
#include "runtime/error.h"
#include "runtime/host_info.h"

namespace limewash::launcher {

namespace {

using nlohmann::json;

Finding problem(const std::string& topic, const std::string& found, const std::string& advice) {
  return {.topic = topic, .health = Health::kProblem, .found = found, .advice = advice};
}

Finding examine_dataset(const char* key, const std::string& folder) {
  const std::string topic = std::string("data.") + key;
  try {
    const data::Dataset dataset(folder);
    Finding finding{.topic = topic};
    finding.found = folder + ": " + std::to_string(dataset.size()) + " samples of " +
                    std::to_string(dataset.width()) + " x " + std::to_string(dataset.height()) +
                    (dataset.buckets().size() > 1
                         ? " and other sizes (" + std::to_string(dataset.buckets().size()) + ")"
                         : "");
    finding.details = {{"folder", folder}, {"samples", dataset.size()}};
    return finding;
  } catch (const std::exception& error) {
    return problem(topic, error.what(), "make it with: limewash prepare --out " + folder);
  }
}

/// The least of what machine, control group and process allow.
int64_t free_memory(const MemoryLimits& limits, int64_t ranks) {
  int64_t free = limits.usable();
  if (limits.address_space) free = std::min(free, *limits.address_space * ranks);
  return free;
}

Finding examine_memory(const Config& config, const TrainingSizes& sizes) {
  const auto memory = estimate_memory(sizes, config);
  const auto savings = memory_savings(sizes, config);
  const int64_t free = free_memory(read_memory_limits(), memory.ranks);
  const auto& rank = memory.rank;
  Finding finding{.topic = "training memory"};
  finding.found = "estimated " + memory_text(memory) + "; free " + bytes_text(free);
  finding.details = {{"rank_bytes", rank.total()},
                     {"weights_bytes", rank.weights},
                     {"shared_weights_bytes", memory.shared},
                     {"trained_bytes", rank.training},
                     {"activation_bytes", rank.activations},
                     {"inference_bytes", rank.inference},
                     {"cache_bytes", rank.caches},
                     {"program_bytes", rank.program},
                     {"ranks", memory.ranks},
                     {"host_bytes", memory.host()},
                     {"free_bytes", free},
                     {"savings", json::array()}};
  for (const auto& saving : savings) {
    finding.details["savings"].push_back(
        {{"setting", saving.setting}, {"host_bytes", saving.host}});
  }
  if (memory.host() > free) {
    finding.health = Health::kProblem;
    finding.advice = savings.empty() ? "take smaller pictures (prepare.size), or a larger machine"
                                     : "lower it: " + savings_text(savings);
  } else if (memory.host() > free - free / 5) {
    // The estimate is within a quarter of what was measured.
    finding.health = Health::kNote;
    finding.advice = "that is close: " + savings_text(savings);
  }
  return finding;
}

Finding examine_disk(const Config& config, const TrainingSizes& sizes) {
  // The last ones, the best one, and the one that is being written.
  const int64_t checkpoints = config.checkpoint.keep_last + (config.checkpoint.keep_best ? 2 : 1);
  const int64_t needed = checkpoints * checkpoint_bytes(sizes, config);
  const auto output = nearest_existing_folder(config.run.output);
  const auto here = read_storage_info(output), there = read_storage_info(config.data.train);
  Finding finding{.topic = "disk"};
  finding.found = "checkpoints take up to " + bytes_text(needed) + " of " +
                  bytes_text(here.free_bytes) + " in " + output.string() +
                  ", encoded samples up to " + bytes_text(sizes.cache_bytes) + " of " +
                  bytes_text(there.free_bytes) + " in " + config.data.train;
  finding.details = {{"checkpoint_bytes", needed},
                     {"cache_bytes", sizes.cache_bytes},
                     {"output_free_bytes", here.free_bytes},
                     {"dataset_free_bytes", there.free_bytes}};
  if (needed > here.free_bytes) {
    finding.health = Health::kProblem;
    finding.advice = "free some, lower checkpoint.keep_last, or set run.output elsewhere";
  } else if (sizes.cache_bytes > there.free_bytes) {
    finding.health = Health::kProblem;
    finding.advice = "free some, lower data.recolorings, or put the dataset elsewhere";
  }
  return finding;
}

}  // namespace

std::vector<Finding> examine_config(const DoctorRequest& request) {
  if (!request.has_config) return {};
  const Config& config = request.config;
  std::vector<Finding> findings;
  try {
    config.validate_training();
    Finding finding{.topic = "base.model", .found = config.base.model};
    finding.details = {{"folder", config.base.model}};
    findings.push_back(finding);
  } catch (const ConfigError& error) {
    findings.push_back(problem("configuration", error.what(), "correct that key"));
    return findings;
  }
  findings.push_back(examine_dataset("train", config.data.train));
  if (!config.data.validation.empty()) {
    findings.push_back(examine_dataset("validation", config.data.validation));
  }
  if (findings[1].health != Health::kOk) return findings;
  try {
    const auto sizes = read_training_sizes(config);
    findings.front().found += ": " + std::to_string(sizes.parameters) + " parameters, " +
                              std::to_string(sizes.adapter.lora + sizes.adapter.ip_adapter) +
                              " of the adapter";
    findings.front().details["parameters"] = sizes.parameters;
    findings.front().details["adapter_parameters"] = sizes.adapter.lora + sizes.adapter.ip_adapter;
    findings.push_back(examine_memory(config, sizes));
    findings.push_back(examine_disk(config, sizes));
  } catch (const std::exception& error) {
    findings.front() = problem(
        "base.model", error.what(), "expected a diffusers folder; 'limewash model info' says more");
  }
  return findings;
}

}  // namespace limewash::launcher
