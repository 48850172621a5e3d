#pragma once
// How many ranks of each role an attempt of `launch` has, and where; and what is left of that when
// hosts or GPUs are lost.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launcher/hosts.h"

namespace limewash::launcher {

struct Placement {
  int64_t trainers = 1;
  int64_t evaluators = 0;
  std::vector<Host> hosts;  ///< empty: this one
  int64_t ranks() const {
    return trainers + evaluators;
  }
  bool operator==(const Placement&) const = default;
};

/// What is to run, and what may be made of it.
struct PlacementRequest {
  Placement wanted;
  int64_t micro_batches = 1;  ///< of a step: trainers share them evenly
  int64_t min_trainers = 1;
  std::string device = "cpu";  ///< run.device: auto | cpu | cuda
};

/// What run.device comes to on these hosts: `auto` means GPUs where any of them has one.
bool compute_on_gpus(const std::string& device, const std::vector<HostState>& states);

/// `wanted` on the places that `states` still offer, those of request.wanted.hosts: a place is a
/// rank's on a host that can be reached, on GPUs with a GPU for it. As many trainers as share the
/// micro-batches evenly, then evaluators, at least one where there were any unless that takes the
/// place of a trainer that must be. Nothing: fewer trainers than allowed are left.
std::optional<Placement> fit_placement(const PlacementRequest& request,
                                       const std::vector<HostState>& states);

}  // namespace limewash::launcher
