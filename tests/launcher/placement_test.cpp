#include "launcher/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace limewash::launcher {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// On four hosts with four places each.
PlacementRequest request_of(int64_t trainers, int64_t evaluators, int64_t micro_batches) {
  PlacementRequest request;
  request.wanted = {trainers, evaluators, {{"n1", 4}, {"n2", 4}, {"n3", 4}, {"n4", 4}}};
  request.micro_batches = micro_batches;
  return request;
}

std::vector<HostState> states_of(const PlacementRequest& request) {
  std::vector<HostState> states;
  for (const auto& host : request.wanted.hosts) states.push_back({.host = host});
  return states;
}

TEST(Placement, NothingLostIsAsWanted) {
  const auto request = request_of(14, 2, 28);
  EXPECT_EQ(fit_placement(request, states_of(request)), request.wanted);
}

TEST(Placement, ALostHostLeavesTrainersThatShareTheMicroBatches) {
  const auto request = request_of(14, 2, 28);
  auto states = states_of(request);
  states[1].problem = "no route";
  const auto left = fit_placement(request, states);
  ASSERT_TRUE(left);
  EXPECT_EQ(left->trainers, 7) << "of 11 places, 7 is the most that divides 28";
  EXPECT_EQ(left->evaluators, 2);
  EXPECT_THAT(left->hosts, ElementsAre(Host{"n1", 4}, Host{"n3", 4}, Host{"n4", 4}));
}

TEST(Placement, EvaluatorsGiveWayToTrainersButForOne) {
  const auto request = request_of(12, 4, 24);
  auto states = states_of(request);
  states[0].problem = states[1].problem = "no route";
  auto left = fit_placement(request, states);
  ASSERT_TRUE(left);
  EXPECT_EQ(left->trainers, 6);
  EXPECT_EQ(left->evaluators, 2);
  states[2].problem = "no route";
  left = fit_placement(request, states);
  ASSERT_TRUE(left);
  EXPECT_EQ(left->trainers, 3);
  EXPECT_EQ(left->evaluators, 1);
}

TEST(Placement, SparePlacesTakeOver) {
  const auto request = request_of(8, 1, 8);
  auto states = states_of(request);
  states[3].problem = "no route";
  const auto left = fit_placement(request, states);
  ASSERT_TRUE(left);
  EXPECT_EQ(left->trainers, 8);
  EXPECT_EQ(left->evaluators, 1);
  EXPECT_EQ(left->hosts.size(), 3);
}

TEST(Placement, SparePlacesTakeOverFromALostGpuToo) {
  const auto request = [] {
    auto on_gpus = request_of(8, 0, 8);
    on_gpus.device = "cuda";
    return on_gpus;
  }();
  auto states = states_of(request);
  for (auto& state : states) state.gpus = 4;
  EXPECT_EQ(fit_placement(request, states), request.wanted);
  states[1].gpus = 3;
  const auto left = fit_placement(request, states);
  ASSERT_TRUE(left);
  EXPECT_EQ(left->trainers, 8);
  EXPECT_EQ(left->hosts[1], (Host{"n2", 3})) << "or it would get four ranks again";
}

TEST(Placement, TooFewTrainersAreNone) {
  auto request = request_of(16, 0, 16);
  auto states = states_of(request);
  states[0].problem = "no route";
  request.min_trainers = 8;
  EXPECT_EQ(fit_placement(request, states)->trainers, 8);
  request.min_trainers = 9;
  EXPECT_FALSE(fit_placement(request, states));
  request.min_trainers = 1;
  for (auto& state : states) state.problem = "no route";
  EXPECT_FALSE(fit_placement(request, states));
}

TEST(Placement, ATrainerThatMustBeTakesTheLastEvaluatorsPlace) {
  PlacementRequest request;
  request.wanted = {2, 1, {{"n1", 2}, {"n2", 1}}};
  request.micro_batches = 4;
  const std::vector<HostState> states{{.host = {"n1", 2}},
                                      {.host = {"n2", 1}, .problem = "no route"}};
  auto left = fit_placement(request, states);
  ASSERT_TRUE(left);
  EXPECT_EQ(left->trainers, 1);
  EXPECT_EQ(left->evaluators, 1);
  request.min_trainers = 2;
  left = fit_placement(request, states);
  ASSERT_TRUE(left);
  EXPECT_EQ(left->trainers, 2);
  EXPECT_EQ(left->evaluators, 0);
}

TEST(Placement, EachRankOnAGpuNeedsOne) {
  auto request = request_of(16, 0, 16);
  auto states = states_of(request);
  for (auto& state : states) state.gpus = 4;
  states[2].gpus = 3;
  for (const char* device : {"cuda", "auto"}) {
    request.device = device;
    const auto left = fit_placement(request, states);
    ASSERT_TRUE(left);
    EXPECT_EQ(left->trainers, 8) << "of 15 GPUs";
    EXPECT_EQ(left->hosts[2], (Host{"n3", 3}));
  }
  states[2].gpus = 0;
  EXPECT_EQ(fit_placement(request, states)->hosts.size(), 3);
  request.device = "cpu";
  EXPECT_EQ(fit_placement(request, states), request.wanted);
}

TEST(Placement, ThisHostAloneIsNotNamed) {
  PlacementRequest request;
  request.wanted = {4, 0, {}};
  request.micro_batches = 4;
  request.device = "auto";
  EXPECT_EQ(fit_placement(request, {{.host = {"here", 4}}}), request.wanted);
  const auto left = fit_placement(request, {{.host = {"here", 4}, .gpus = 3}});
  ASSERT_TRUE(left);
  EXPECT_EQ(left->trainers, 2);
  EXPECT_THAT(left->hosts, IsEmpty());
}

}  // namespace
}  // namespace limewash::launcher
