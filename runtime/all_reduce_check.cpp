#include "runtime/all_reduce_check.h"

#include <algorithm>
#include <chrono>

#include <ATen/ATen.h>

namespace limewash {

namespace {

/// Seconds of the fastest of `rounds` sums of `numbers` numbers; `exact` turns false at a wrong
/// one.
double fastest_sum(Communicator& communicator, int64_t numbers, int rounds, bool& exact) {
  const double ranks = communicator.size();
  double fastest = 1e9;
  for (int round = 0; round < rounds; ++round) {
    const double share = communicator.rank() + 1;
    at::Tensor tensor = at::full({numbers}, share, at::kFloat);
    communicator.barrier();
    const auto begin = std::chrono::steady_clock::now();
    communicator.all_reduce_sum(tensor);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    fastest = std::min(fastest, seconds.count());
    exact = exact && tensor.eq(ranks * (ranks + 1) / 2).all().item<bool>();
  }
  return fastest;
}

}  // namespace

AllReduceCheck check_all_reduce(Communicator& communicator) {
  constexpr int64_t kNumbers = int64_t{1} << 20;
  constexpr int kRounds = 8;
  AllReduceCheck check;
  check.exact = true;
  check.bytes = kNumbers * static_cast<int64_t>(sizeof(float));
  check.latency_seconds = fastest_sum(communicator, 1, kRounds, check.exact);
  const double seconds = fastest_sum(communicator, kNumbers, kRounds, check.exact);
  check.bytes_per_second = static_cast<double>(check.bytes) / seconds;
  return check;
}

}  // namespace limewash
