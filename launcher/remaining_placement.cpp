#include "launcher/remaining_placement.h"

#include <chrono>
#include <exception>

#include <spdlog/spdlog.h>

#include "runtime/host_info.h"
#include "runtime/stop_signal.h"
#include "runtime/time_limit.h"

namespace limewash::launcher {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPauseBetweenLooks{10};
/// Until too little is tried all the same: a host takes minutes to start again.
constexpr std::chrono::minutes kLongestWait{5};

PlacementRequest request_of(const Config& config, const Placement& configured) {
  PlacementRequest request{
      .wanted = configured,
      .micro_batches = config.training.global_batch / config.training.micro_batch,
      .min_trainers = config.launch.min_trainers,
      .device = config.run.device};
  request.wanted.hosts = hosts_of(config.launch.hosts, configured.ranks());
  return request;
}

void say_what_is_missing(const std::vector<HostState>& states, const std::string& device) {
  const bool on_gpus = compute_on_gpus(device, states);
  for (const auto& state : states) {
    if (!state.problem.empty()) {
      spdlog::warn("{} can't be reached: {}", state.host.name, state.problem);
    } else if (on_gpus && state.gpus < state.host.ranks) {
      spdlog::warn("{}: {} GPUs work, for {} ranks{}{}",
                   state.host.name,
                   state.gpus,
                   state.host.ranks,
                   state.gpu_problem.empty() ? "" : "; ",
                   state.gpu_problem);
    }
  }
}

Placement look_for_placement(const std::string& program, const Config& config) {
  const auto configured = configured_placement(config);
  const auto request = request_of(config, configured);
  // This host alone, without GPUs, has nothing to lose.
  if (request.wanted.hosts.empty() && config.run.device == "cpu") return configured;
  const auto begin = Clock::now();
  for (int look = 1;; ++look) {
    const auto states = examine_hosts(program, request.wanted.hosts, configured.ranks());
    if (stop_requested()) return configured;
    const auto left = fit_placement(request, states);
    if (left == request.wanted) return configured;
    if (look == 2) say_what_is_missing(states, request.device);
    if (look >= 2 && left) {
      spdlog::warn("going on with {} of {} trainers and {} of {} evaluators on {}",
                   left->trainers,
                   configured.trainers,
                   left->evaluators,
                   configured.evaluators,
                   left->hosts.empty() ? host_name() : host_argument(left->hosts));
      return *left;
    }
    if (look == 2) {
      spdlog::warn("too little is left for launch.min_trainers = {}; waiting for {} min at most",
                   request.min_trainers,
                   kLongestWait.count());
    }
    if (Clock::now() - begin >= kLongestWait) return configured;
    sleep_unless_stopped(kPauseBetweenLooks);
    if (stop_requested()) return configured;
  }
}

}  // namespace

Placement configured_placement(const Config& config) {
  const auto& launch = config.launch;
  Placement placement{.trainers = launch.trainers, .evaluators = launch.evaluators, .hosts = {}};
  placement.hosts = parse_hosts(launch.hosts, placement.ranks());
  return placement;
}

Placement remaining_placement(const std::string& program, const Config& config) {
  try {
    return look_for_placement(program, config);
  } catch (const std::exception& error) {
    spdlog::warn("can't tell whether a host is lost: {}", error.what());
    return configured_placement(config);
  }
}

}  // namespace limewash::launcher
