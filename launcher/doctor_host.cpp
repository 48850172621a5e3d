// Cores, memory, instruction set, GPUs, NCCL, limits, clock.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sys/resource.h>

#include "launcher/doctor.h"
#include "launcher/hosts.h"
#include "runtime/error.h"
#include "runtime/host_info.h"

namespace limewash::launcher {

namespace {

using nlohmann::json;

json optional_json(const std::optional<int64_t>& value) {
  return value ? json(*value) : json();
}

std::string cores_text(double cores) {
  char text[32];
  std::snprintf(text, sizeof text, cores == std::floor(cores) ? "%.0f" : "%.1f", cores);
  return text;
}

/// The busiest host's: the configured hosts are taken to be like this one.
int64_t most_ranks_on_a_host(const Config& config) {
  const int64_t ranks = config.launch.trainers + config.launch.evaluators;
  int64_t most = 0;
  try {
    for (const auto& host : parse_hosts(config.launch.hosts, ranks))
      most = std::max(most, host.ranks);
  } catch (const ConfigError&) {  // has a finding of its own
  }
  return most > 0 ? std::min(most, ranks) : ranks;
}

Finding examine_cores(const Config& config) {
  const auto cores = read_core_limits();
  Finding finding{.topic = "cores", .found = std::to_string(cores.usable()) + " to use"};
  finding.found += " (" + std::to_string(cores.online) + " online, " +
                   std::to_string(cores.allowed) + " by affinity, " +
                   (cores.quota ? "control group grants " + cores_text(*cores.quota)
                                : "no control group quota") +
                   ")";
  finding.details = {{"usable", cores.usable()},
                     {"online", cores.online},
                     {"affinity", cores.allowed},
                     {"quota", cores.quota ? json(*cores.quota) : json()}};
  const int64_t threads = std::max<int64_t>(1, config.run.threads) * most_ranks_on_a_host(config);
  if (threads > cores.usable()) {
    finding.health = Health::kNote;
    finding.found += "; the configuration starts " + std::to_string(threads) + " threads or more";
    finding.advice = "ranks will wait for each other: lower launch.trainers or run.threads";
  }
  return finding;
}

Finding examine_memory() {
  const auto memory = read_memory_limits();
  Finding finding{.topic = "memory"};
  finding.found = bytes_text(memory.usable()) + " free of " + bytes_text(memory.total);
  finding.found += memory.group_limit ? "; control group limit " + bytes_text(*memory.group_limit)
                                      : "; no control group limit";
  finding.details = {{"total_bytes", memory.total},
                     {"free_bytes", memory.available},
                     {"usable_bytes", memory.usable()},
                     {"control_group_limit_bytes", optional_json(memory.group_limit)},
                     {"address_space_limit_bytes", optional_json(memory.address_space)}};
  if (memory.address_space) {
    finding.health = Health::kNote;
    finding.found += "; address space limited to " + bytes_text(*memory.address_space);
    finding.advice = "weights are mapped into the address space: ulimit -v unlimited";
  }
  return finding;
}

Finding examine_torch(const Config& config, const DeviceInfo& devices) {
  const auto& cpu = devices.cpu;
  std::string sets;
  for (const auto& [has, name] : {std::pair{cpu.avx2, "avx2"},
                                  std::pair{cpu.avx512, "avx512"},
                                  std::pair{cpu.avx512_bf16, "avx512_bf16"},
                                  std::pair{cpu.amx_bf16, "amx_bf16"}}) {
    if (has) sets += (sets.empty() ? "" : ", ") + std::string(name);
  }
  Finding finding{.topic = "libtorch"};
  finding.found = devices.torch + " computing with " + cpu.instructions + " on " +
                  (cpu.model.empty() ? "an unnamed processor" : cpu.model) + " (" +
                  (sets.empty() ? "none of avx2, avx512, amx" : sets) + ")";
  finding.details = {{"version", devices.torch},
                     {"instructions", cpu.instructions},
                     {"processor", cpu.model},
                     {"avx2", cpu.avx2},
                     {"avx512", cpu.avx512},
                     {"avx512_bf16", cpu.avx512_bf16},
                     {"amx_bf16", cpu.amx_bf16}};
  if (config.run.precision == "bf16" && !cpu.avx512_bf16 && !cpu.amx_bf16) {
    finding.health = Health::kNote;
    finding.advice =
        "this processor has no bf16 arithmetic: run.precision = bf16 saves memory here, not time";
  }
  return finding;
}

Finding examine_gpus(const DeviceInfo& devices) {
  Finding finding{.topic = "gpu"};
  finding.details = {{"gpus", json::array()},
                     {"driver", devices.gpu_driver.empty() ? json() : json(devices.gpu_driver)},
                     {"cuda", devices.cuda.empty() ? json() : json(devices.cuda)}};
  for (const auto& gpu : devices.gpus) {
    finding.found += (finding.found.empty() ? "" : ", ") + gpu.name + " (" +
                     bytes_text(gpu.free_bytes) + " free of " + bytes_text(gpu.total_bytes) +
                     ", compute capability " + std::to_string(gpu.major) + "." +
                     std::to_string(gpu.minor) + ")";
    finding.details["gpus"].push_back({{"name", gpu.name},
                                       {"total_bytes", gpu.total_bytes},
                                       {"free_bytes", gpu.free_bytes},
                                       {"major", gpu.major},
                                       {"minor", gpu.minor}});
  }
  const std::string versions = "; driver " +
                               (devices.gpu_driver.empty() ? "none" : devices.gpu_driver) +
                               ", CUDA " + (devices.cuda.empty() ? "none" : devices.cuda);
  if (!devices.gpus.empty()) {
    finding.health = Health::kNote;
    finding.found += versions;
    finding.advice = "training runs on the processor's cores; the GPU is left idle";
  } else if (devices.gpu_present) {
    finding.health = Health::kNote;
    finding.found = "there is one, but CUDA does not start: " + devices.gpu_problem + versions;
    finding.advice = "check nvidia-smi, the driver's version, and CUDA_VISIBLE_DEVICES";
  } else {
    finding.found = "none; training runs on the processor's cores";
  }
  return finding;
}

Finding examine_limits(const Config& config) {
  constexpr int64_t kFewFiles = 1024;
  const auto files = soft_limit(RLIMIT_NOFILE), core = soft_limit(RLIMIT_CORE),
             locked = soft_limit(RLIMIT_MEMLOCK);
  const auto text = [](const std::optional<int64_t>& limit, bool bytes) {
    if (!limit) return std::string("unlimited");
    if (*limit == 0) return std::string("none");
    return bytes ? bytes_text(*limit) : std::to_string(*limit);
  };
  Finding finding{.topic = "limits"};
  finding.found = "open files " + text(files, false) + ", core files " + text(core, true) +
                  ", locked memory " + text(locked, true);
  finding.details = {{"open_files", optional_json(files)},
                     {"core_bytes", optional_json(core)},
                     {"locked_memory_bytes", optional_json(locked)}};
  if (files && *files < kFewFiles) {
    finding.health = Health::kNote;
    finding.advice = "a large dataset's shards and caches may need more: ulimit -n 4096";
  }
  constexpr int64_t kLittleLocked = int64_t{64} << 20;
  if (config.launch.trainers > 1 && locked && *locked < kLittleLocked) {
    finding.advice += std::string(finding.advice.empty() ? "" : "; ") +
                      "InfiniBand between nodes needs ulimit -l unlimited (one host does not)";
  }
  return finding;
}

Finding examine_clock() {
  const auto clock = read_clock_info();
  Finding finding{.topic = "clock"};
  finding.details = {{"plausible", clock.plausible}, {"synchronized", clock.synchronized}};
  finding.found = clock.synchronized ? "kept right by the system" : "nothing keeps it right";
  if (!clock.plausible) {
    finding.health = Health::kNote;
    finding.found += "; it is years behind";
    finding.advice = "set the system's clock: TLS and the dashboard's times depend on it";
  } else if (!clock.synchronized) {
    finding.health = Health::kNote;
    finding.advice = "with several nodes start NTP (chrony): times in journals would not agree";
  }
  return finding;
}

}  // namespace

std::vector<Finding> examine_host(const DoctorRequest& request, const DeviceInfo& devices) {
  Finding nccl{.topic = "nccl", .found = devices.nccl + ", bundled with LibTorch"};
  nccl.details = {{"version", devices.nccl}};
  return {examine_cores(request.config),
          examine_memory(),
          examine_torch(request.config, devices),
          examine_gpus(devices),
          nccl,
          examine_limits(request.config),
          examine_clock()};
}

}  // namespace limewash::launcher
