#include "runtime/all_reduce_check.h"

#include <thread>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace limewash {
namespace {

TEST(AllReduceCheck, RanksThatSumRightAreExactAndTimed) {
  auto ranks = make_thread_communicators(3);
  std::vector<AllReduceCheck> checks(ranks.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < ranks.size(); ++i) {
    threads.emplace_back([&, i] { checks[i] = check_all_reduce(*ranks[i]); });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& check : checks) {
    EXPECT_TRUE(check.exact);
    EXPECT_GT(check.latency_seconds, 0);
    EXPECT_GT(check.bytes_per_second, 0);
  }
}

/// Claims to be two ranks, and adds nothing of the other one.
class Deaf final : public Communicator {
 public:
  int rank() const override {
    return 0;
  }
  int size() const override {
    return 2;
  }
  void all_reduce_sum(at::Tensor& /*tensor*/) override {}
  void broadcast(std::string& /*bytes*/, int /*root*/) override {}
  std::vector<std::string> all_gather(const std::string& bytes) override {
    return {bytes, bytes};
  }
  void barrier() override {}
  void quiet_barrier(const std::function<void()>&) override {}
  bool agree_any(bool flag) override {
    return flag;
  }
  std::unique_ptr<Communicator> split(int /*color*/) override {
    return nullptr;
  }
};

TEST(AllReduceCheck, AWrongSumIsSeen) {
  Deaf deaf;
  EXPECT_FALSE(check_all_reduce(deaf).exact);
}

}  // namespace
}  // namespace limewash
