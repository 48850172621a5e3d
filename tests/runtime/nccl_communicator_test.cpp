// What of NCCL's ranks works without a GPU: their errors, who asks for them, how they meet. With
// one, a single rank sums on it; several ranks are in mpi_session_test.cpp.

#include "runtime/nccl_communicator.h"

#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "runtime/device_info.h"
#include "runtime/error.h"
#include "runtime/rank_store.h"

namespace limewash {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::SizeIs;

using Ranks = std::vector<std::unique_ptr<Communicator>>;

void on_ranks(Ranks& ranks, const std::function<void(std::unique_ptr<Communicator>&)>& work) {
  std::vector<std::thread> threads;
  for (auto& rank : ranks) threads.emplace_back([&work, &rank] { work(rank); });
  for (std::thread& thread : threads) thread.join();
}

bool has_gpu() {
  return !read_device_info().gpus.empty();
}

TEST(NcclCommunicator, SaysOnEveryRankThatThereIsNoGpuForOne) {
  // Threads of one process are shown the same GPUs, so three have one GPU at most or would share
  // one.
  if (read_device_info().gpus.size() >= 3) return;
  auto ranks = make_thread_communicators(3);
  std::mutex mutex;
  std::multiset<std::string> errors;
  on_ranks(ranks, [&](std::unique_ptr<Communicator>& rank) {
    const int number = rank->rank();
    try {
      make_nccl_communicator(std::move(rank), {.local_rank = number});
    } catch (const InputError& error) {
      const std::lock_guard lock(mutex);
      errors.insert(error.what());
    }
  });
  ASSERT_THAT(errors, SizeIs(3));
  EXPECT_THAT(errors, AllOf(Each(HasSubstr("GPU")), Each(*errors.begin())));
  if (!has_gpu()) {
    EXPECT_THAT(*errors.begin(), HasSubstr("rank 0 on"));
    EXPECT_THAT(*errors.begin(), HasSubstr("no GPU"));
  }
}

TEST(NcclCommunicator, SumsAndShutsDownWhereThereIsAGpu) {
  const auto make = [] { return make_nccl_communicator(make_single_process_communicator(), {}); };
  if (!has_gpu()) {
    EXPECT_THROW(make(), InputError);
    return;
  }
  const auto rank = make();
  at::Tensor values = at::ones({5}).cuda();
  rank->all_reduce_sum(values);
  EXPECT_TRUE(values.cpu().equal(at::ones({5})));
  rank->shut_down();
}

TEST(SingleProcessCommunicator, WantsAGpuOnlyWhereItIsToComputeOnOne) {
  EXPECT_NO_THROW(make_single_process_communicator());
  if (has_gpu()) {
    EXPECT_NO_THROW(make_single_process_communicator(RankDevice::kGpu));
  } else {
    EXPECT_THROW(make_single_process_communicator(RankDevice::kGpu), InputError);
  }
}

TEST(RankStore, IsOneStoreForAllRanks) {
  auto ranks = make_thread_communicators(3);
  on_ranks(ranks, [](std::unique_ptr<Communicator>& rank) {
    // Only rank 0 knows the host.
    const auto store =
        make_rank_store(*rank, rank->rank() == 0 ? "127.0.0.1" : "elsewhere.invalid");
    store->set("rank" + std::to_string(rank->rank()), std::vector<uint8_t>{7});
    for (int other = 0; other < rank->size(); ++other) {
      EXPECT_EQ(store->get("rank" + std::to_string(other)), std::vector<uint8_t>{7});
    }
    rank->barrier();
  });
}

}  // namespace
}  // namespace limewash
