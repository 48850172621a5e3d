#include "models/onednn.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "runtime/stop_signal.h"

namespace limewash::models {
namespace {

at::Tensor drawn(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed));
}

// oneDNN's float32 product points the stack register into the heap (see stop_signal.h). Handled on
// the computing thread, one signal in some hundred wrote over other tensors.
TEST(OneDnn, SignalsToTheProcessChangeNothing) {
  install_stop_signals();
  const at::Tensor rows = drawn({32, 864}, 1), weight = drawn({96, 864}, 2);
  const at::Tensor wanted = onednn_linear(rows, weight, {});
  std::atomic<bool> done{false};
  std::thread sender([&] {
    while (!done) {
      ::kill(::getpid(), SIGUSR1);
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  });
  int64_t wrong = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < end) {
    const at::Tensor beside = at::ones({32, 96});
    wrong += !at::equal(onednn_linear(rows, weight, {}), wanted);
    wrong += !at::equal(beside, at::ones_like(beside));
  }
  done = true;
  sender.join();
  EXPECT_TRUE(stop_requested());
  request_stop(false);
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace limewash::models
