// Run by mpirun; every rank runs every test. With the argument "abort", rank 1 ends
// the job while rank 0 waits for it.

#include "tests/runtime/mpi_session.h"

#include <chrono>
#include <cstring>
#include <ctime>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "runtime/communicator.h"
#include "runtime/device_info.h"
#include "runtime/error.h"

namespace limewash {

MpiSession* mpi_session = nullptr;

namespace {

// Numbers of many magnitudes, so that another order of the sum would show.
at::Tensor values_of(int rank, int64_t count, at::ScalarType type) {
  return at::arange(count, at::kDouble).add(rank).sin().mul_(rank + 0.1).exp_().to(type);
}

TEST(MpiSession, KnowsItsRanks) {
  const auto world = mpi_session->world();
  EXPECT_TRUE(started_under_mpi());
  EXPECT_GE(world->size(), 2);
  EXPECT_EQ(mpi_session->local_size(), world->size());
  EXPECT_EQ(mpi_session->local_rank(), world->rank());
}

TEST(MpiSession, SumsByRankAndAlikeOnEveryRank) {
  const auto world = mpi_session->world();
  for (const auto type : {at::kFloat, at::kDouble}) {
    // Sizes around the number of ranks, and one beyond a slice of the reduction.
    for (const int64_t count : {0, 1, 2, 3, 4, 10007, (1 << 22) + 5}) {
      at::Tensor expected = at::zeros({count}, at::kDouble);
      for (int rank = 0; rank < world->size(); ++rank) {
        expected.add_(values_of(rank, count, type).to(at::kDouble));
      }
      at::Tensor values = values_of(world->rank(), count, type);
      world->all_reduce_sum(values);
      EXPECT_TRUE(values.equal(expected.to(type))) << count;
    }
  }
}

TEST(MpiSession, RefusesASumOfDifferentSizes) {
  const auto world = mpi_session->world();
  at::Tensor values = at::zeros({4 + world->rank()});
  EXPECT_ANY_THROW(world->all_reduce_sum(values));
  at::Tensor types = at::zeros({4}, world->rank() == 0 ? at::kFloat : at::kDouble);
  EXPECT_ANY_THROW(world->all_reduce_sum(types));
  world->barrier();
}

TEST(MpiSession, GathersAndBroadcastsBytes) {
  const auto world = mpi_session->world();
  const auto bytes_of = [](int rank) {
    return rank == 0 ? std::string("a\0b", 3)
                     : std::string(100000 * static_cast<size_t>(rank), 'x');
  };
  std::vector<std::string> expected;
  for (int rank = 0; rank < world->size(); ++rank) expected.push_back(bytes_of(rank));
  EXPECT_EQ(world->all_gather(bytes_of(world->rank())), expected);
  for (int root = 0; root < world->size(); ++root) {
    std::string bytes = world->rank() == root ? bytes_of(root) : "to be replaced";
    world->broadcast(bytes, root);
    EXPECT_EQ(bytes, bytes_of(root));
  }
  std::string empty = world->rank() == 0 ? "" : "x";
  world->broadcast(empty, 0);
  EXPECT_EQ(empty, "");
}

TEST(MpiSession, AgreesWhenAnyRankSaysYes) {
  const auto world = mpi_session->world();
  EXPECT_FALSE(world->agree_any(false));
  EXPECT_TRUE(world->agree_any(world->rank() == 1));
}

TEST(MpiSession, SplitsIntoGroupsThatTalkApart) {
  const auto world = mpi_session->world();
  const int color = world->rank() == 0 ? 1 : 0;  // the others come first
  const auto group = world->split(color);
  const auto members = group->all_gather(std::to_string(world->rank()));
  std::vector<std::string> expected;
  if (color == 1) expected = {"0"};
  for (int rank = 1; color == 0 && rank < world->size(); ++rank)
    expected.push_back(std::to_string(rank));
  EXPECT_EQ(members, expected);
  EXPECT_EQ(group->size(), static_cast<int>(expected.size()));
  auto sum = at::ones({3});
  group->all_reduce_sum(sum);
  EXPECT_EQ(sum[0].item<float>(), static_cast<float>(group->size()));
}

TEST(MpiSession, WaitsForTheLastRankWithoutTakingACore) {
  const auto world = mpi_session->world();
  // The clock is the host's: its times can be compared between ranks.
  const auto now = [] { return std::chrono::steady_clock::now().time_since_epoch().count(); };
  const std::clock_t used = std::clock();
  if (world->rank() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const auto came = now();
  world->quiet_barrier();
  const auto left = now();
  EXPECT_LT(static_cast<double>(std::clock() - used) / CLOCKS_PER_SEC, 0.25);
  EXPECT_GE(left, std::stoll(world->all_gather(std::to_string(came)).front()));
}

TEST(MpiSession, GivesRanksOnGpusNcclAndSaysOnEveryRankWhereThereIsNone) {
  const bool enough =
      read_device_info().gpus.size() >= static_cast<size_t>(mpi_session->local_size());
  if (enough) {
    const auto world = mpi_session->world(RankDevice::kGpu);
    at::Tensor values = values_of(world->rank(), 10007, at::kFloat).cuda();
    world->all_reduce_sum(values);
    at::Tensor expected = at::zeros({10007}, at::kDouble);
    for (int rank = 0; rank < world->size(); ++rank) {
      expected.add_(values_of(rank, 10007, at::kFloat).to(at::kDouble));
    }
    EXPECT_TRUE(values.cpu().allclose(expected.to(at::kFloat)));
    world->shut_down();
    return;
  }
  try {
    mpi_session->world(RankDevice::kGpu);
    FAIL() << "expected an error";
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("GPU"), std::string::npos) << error.what();
  }
  // Nobody is left waiting, so the ranks could go on.
  mpi_session->world()->barrier();
}

TEST(MpiSession, IsOnlyOnceInAProcess) {
  EXPECT_THROW(MpiSession(), std::logic_error);
}

}  // namespace
}  // namespace limewash

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  limewash::MpiSession session;
  limewash::mpi_session = &session;
  if (argc > 1 && std::strcmp(argv[1], "abort") == 0) {
    const auto world = session.world();
    if (world->rank() == 1) session.abort(3);
    world->barrier();
    std::cout << "the waiting rank came back" << std::endl;
    return 0;
  }
  const int failed = RUN_ALL_TESTS();
  session.finalize();
  return failed;
}
