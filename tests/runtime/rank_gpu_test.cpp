#include "runtime/rank_gpu.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/device_info.h"

namespace limewash {
namespace {

using testing::AllOf;
using testing::HasSubstr;

RankGpu gpu(const std::string& host, int64_t visible, const std::string& identity) {
  return {.host = host, .visible = visible, .index = 0, .identity = identity, .problem = ""};
}

TEST(RankGpu, GivesGpusOneAfterTheOther) {
  EXPECT_EQ(gpu_of_local_rank(0, 4), 0);
  EXPECT_EQ(gpu_of_local_rank(3, 4), 3);
  // A process that is shown one GPU has that one, whatever its place.
  EXPECT_EQ(gpu_of_local_rank(3, 1), 0);
  EXPECT_EQ(gpu_of_local_rank(2, 0), 0);
}

TEST(RankGpu, FindsNoProblemWhereEveryRankHasItsOwn) {
  EXPECT_EQ(gpu_problem(std::vector{gpu("a", 2, "x"), gpu("a", 2, "y"), gpu("b", 1, "z")}), "");
  EXPECT_EQ(gpu_problem({}), "");
}

TEST(RankGpu, NamesTheRankWithoutAGpu) {
  auto none = gpu("b", 0, "");
  EXPECT_THAT(gpu_problem(std::vector{gpu("a", 1, "x"), none}),
              AllOf(HasSubstr("rank 1 on b has no GPU"), HasSubstr("CUDA_VISIBLE_DEVICES")));
  none.problem = "the driver is too old";
  EXPECT_THAT(gpu_problem(std::vector{none}),
              AllOf(HasSubstr("rank 0 on b"), HasSubstr("the driver is too old")));
}

TEST(RankGpu, NamesRanksThatWouldShareAGpu) {
  const std::vector ranks{gpu("a", 2, "x"), gpu("a", 2, "y"), gpu("a", 2, "x"), gpu("b", 1, "z")};
  EXPECT_THAT(gpu_problem(ranks),
              AllOf(HasSubstr("ranks 0 and 2 on a would share one GPU"),
                    HasSubstr("got 3 ranks there, with 2 GPUs"),
                    HasSubstr("launch.trainers")));
}

TEST(RankGpu, TravelsAsBytes) {
  RankGpu sent{
      .host = "node 7", .visible = 8, .index = 3, .identity = "0a1b", .problem = "why not"};
  const auto got = decode_rank_gpu(encode(sent));
  EXPECT_EQ(got.host, "node 7");
  EXPECT_EQ(got.visible, 8);
  EXPECT_EQ(got.index, 3);
  EXPECT_EQ(got.identity, "0a1b");
  EXPECT_EQ(got.problem, "why not");
}

TEST(RankGpu, IsReadAsTheMachineIs) {
  const auto gpus = static_cast<int64_t>(read_device_info().gpus.size());
  const auto own = read_rank_gpu(0);
  EXPECT_EQ(own.visible, gpus);
  EXPECT_FALSE(own.host.empty());
  EXPECT_EQ(own.identity.empty(), gpus == 0);
  EXPECT_EQ(own.problem.empty(), gpus > 0) << own.problem;
}

}  // namespace
}  // namespace limewash
