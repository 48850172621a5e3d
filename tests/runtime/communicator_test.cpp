// Ranks as threads, and the single process.

#include "runtime/communicator.h"

#include <cstdlib>
#include <functional>
#include <map>
#include <thread>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/random.h"

namespace limewash {
namespace {

using testing::ElementsAre;

void on_ranks(int size, const std::function<void(Communicator&)>& work) {
  auto ranks = make_thread_communicators(size);
  std::vector<std::thread> threads;
  for (auto& rank : ranks) threads.emplace_back([&work, &rank] { work(*rank); });
  for (std::thread& thread : threads) thread.join();
}

at::Tensor noise(int rank, int64_t count, at::ScalarType type) {
  at::Tensor values = at::empty({count}, at::kFloat);
  RandomStream random(1, Purpose::kNoise, 0, static_cast<uint64_t>(rank));
  random.fill_normal({values.data_ptr<float>(), static_cast<size_t>(count)});
  return values.to(type);
}

TEST(ThreadCommunicator, SumsByRankAndAlikeOnEveryRank) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    for (const int size : {1, 2, 3, 5}) {
      constexpr int64_t kCount = 10007;
      at::Tensor expected = at::zeros({kCount}, at::kDouble);
      for (int rank = 0; rank < size; ++rank) expected += noise(rank, kCount, type).to(at::kDouble);
      expected = expected.to(type);
      on_ranks(size, [&](Communicator& communicator) {
        for (int round = 0; round < 3; ++round) {
          at::Tensor values = noise(communicator.rank(), kCount, type);
          communicator.all_reduce_sum(values);
          EXPECT_TRUE(values.equal(expected)) << size << " ranks";
        }
      });
    }
  }
}

TEST(ThreadCommunicator, GathersAndBroadcastsBytes) {
  on_ranks(3, [](Communicator& communicator) {
    EXPECT_EQ(communicator.size(), 3);
    const std::string mine = "rank " + std::to_string(communicator.rank());
    EXPECT_THAT(communicator.all_gather(mine), ElementsAre("rank 0", "rank 1", "rank 2"));
    for (int root = 0; root < 3; ++root) {
      std::string bytes = communicator.rank() == root ? std::string("a\0b", 3) : "to be replaced";
      communicator.broadcast(bytes, root);
      EXPECT_EQ(bytes, std::string("a\0b", 3));
    }
    communicator.barrier();
  });
}

TEST(ThreadCommunicator, AgreesWhenAnyRankSaysYes) {
  on_ranks(3, [](Communicator& communicator) {
    EXPECT_FALSE(communicator.agree_any(false));
    EXPECT_TRUE(communicator.agree_any(communicator.rank() == 2));
    EXPECT_TRUE(communicator.agree_any(true));
  });
}

TEST(ThreadCommunicator, SplitsIntoGroupsThatTalkApart) {
  on_ranks(5, [](Communicator& all) {
    const auto group = all.split(all.rank() % 2);
    const auto members = group->all_gather(std::to_string(all.rank()));
    const std::vector<std::string> even{"0", "2", "4"}, odd{"1", "3"};
    EXPECT_EQ(members, all.rank() % 2 == 0 ? even : odd);
    EXPECT_EQ(group->rank(), all.rank() / 2);
    group->quiet_barrier();
    all.quiet_barrier();
  });
}

TEST(ThreadCommunicator, RefusesASumOfDifferentSizesOnEveryRank) {
  on_ranks(3, [](Communicator& communicator) {
    at::Tensor values = at::zeros({communicator.rank() == 1 ? 4 : 5});
    EXPECT_ANY_THROW(communicator.all_reduce_sum(values));
    communicator.barrier();
  });
}

TEST(Communicators, RefuseTensorsThatCantBeSummedInPlace) {
  const auto single = make_single_process_communicator();
  at::Tensor whole = at::zeros({4}, at::kLong);
  EXPECT_ANY_THROW(single->all_reduce_sum(whole));
  at::Tensor strided = at::zeros({4, 4}).t();
  EXPECT_ANY_THROW(single->all_reduce_sum(strided));
  at::Tensor undefined;
  EXPECT_ANY_THROW(single->all_reduce_sum(undefined));
  std::string bytes;
  EXPECT_ANY_THROW(single->broadcast(bytes, 1));
}

TEST(SingleProcessCommunicator, ChangesNothing) {
  const auto single = make_single_process_communicator();
  EXPECT_EQ(single->rank(), 0);
  EXPECT_EQ(single->size(), 1);
  at::Tensor values = noise(0, 100, at::kFloat);
  single->all_reduce_sum(values);
  EXPECT_TRUE(values.equal(noise(0, 100, at::kFloat)));
  std::string bytes = "mine";
  single->broadcast(bytes, 0);
  EXPECT_EQ(bytes, "mine");
  EXPECT_THAT(single->all_gather("x"), ElementsAre("x"));
  single->barrier();
  EXPECT_TRUE(single->agree_any(true));
  EXPECT_FALSE(single->agree_any(false));
}

// started_under_mpi() in an environment that holds only these of the launchers' variables.
bool under_mpi_with(const std::map<std::string, std::string>& variables) {
  for (const char* name :
       {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS"}) {
    ::unsetenv(name);
  }
  for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  const bool result = started_under_mpi();
  for (const auto& [name, value] : variables) ::unsetenv(name.c_str());
  return result;
}

TEST(StartedUnderMpi, KnowsMpirunAndSrunFromASingleProcess) {
  EXPECT_FALSE(under_mpi_with({}));
  EXPECT_TRUE(under_mpi_with({{"OMPI_COMM_WORLD_SIZE", "2"}, {"PMIX_RANK", "0"}}));
  EXPECT_FALSE(under_mpi_with({{"OMPI_COMM_WORLD_SIZE", "1"}, {"PMIX_RANK", "0"}}));
  EXPECT_TRUE(under_mpi_with({{"PMIX_RANK", "1"}, {"SLURM_NTASKS", "4"}}));
  EXPECT_TRUE(under_mpi_with({{"PMI_SIZE", "4"}}));
  // In a batch script, a single process stands beside the count of tasks.
  EXPECT_FALSE(under_mpi_with({{"SLURM_NTASKS", "4"}}));
  EXPECT_FALSE(
      under_mpi_with({{"PMIX_RANK", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_STEP_NUM_TASKS", "1"}}));
  EXPECT_FALSE(
      under_mpi_with({{"OMPI_COMM_WORLD_SIZE", "1"}, {"PMIX_RANK", "0"}, {"SLURM_NTASKS", "4"}}));
}

}  // namespace
}  // namespace limewash
