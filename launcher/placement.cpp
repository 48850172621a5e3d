#include "launcher/placement.h"

#include <algorithm>

namespace limewash::launcher {

namespace {

/// The most trainers, `limit` at most, that share `micro_batches` evenly; 0 for none.
int64_t most_trainers(int64_t limit, int64_t micro_batches) {
  int64_t trainers = std::min(limit, micro_batches);
  while (trainers > 0 && micro_batches % trainers != 0) --trainers;
  return std::max<int64_t>(trainers, 0);
}

}  // namespace

bool compute_on_gpus(const std::string& device, const std::vector<HostState>& states) {
  const auto has_gpu = [](const HostState& state) { return state.gpus > 0; };
  return device == "cuda" ||
         (device == "auto" && std::any_of(states.begin(), states.end(), has_gpu));
}

std::optional<Placement> fit_placement(const PlacementRequest& request,
                                       const std::vector<HostState>& states) {
  const bool on_gpus = compute_on_gpus(request.device, states);
  Placement left = request.wanted;
  left.hosts.clear();
  int64_t places = 0;
  for (const auto& state : states) {
    if (!state.problem.empty()) continue;
    const int64_t ranks = on_gpus ? std::min(state.host.ranks, state.gpus) : state.host.ranks;
    if (ranks == 0) continue;
    places += ranks;
    left.hosts.push_back({state.host.name, ranks});
  }
  if (request.wanted.hosts.empty()) left.hosts.clear();
  if (places < request.wanted.ranks()) {
    // Trainers evaluate themselves where there is no place for anybody else.
    for (const int64_t evaluators : {std::min<int64_t>(request.wanted.evaluators, 1), int64_t{0}}) {
      left.trainers = most_trainers(std::min(request.wanted.trainers, places - evaluators),
                                    request.micro_batches);
      if (left.trainers >= request.min_trainers) break;
    }
    left.evaluators = std::min(request.wanted.evaluators, places - left.trainers);
  }
  if (left.trainers < std::max<int64_t>(request.min_trainers, 1)) return std::nullopt;
  return left;
}

}  // namespace limewash::launcher
