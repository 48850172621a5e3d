#include "eval/best_choice.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace limewash::eval {
namespace {

using nlohmann::json;

/// An evaluation of real photos.
json real(int64_t step, double delta_e, json shading, double outside) {
  return {{"step", step},
          {"delta_e_2000", delta_e},
          {"delta_e_2000_exact", nullptr},
          {"shading_fidelity", std::move(shading)},
          {"delta_e_2000_outside", outside}};
}

TEST(BestChoice, TakesTheLowestExactDifferenceWhereThereIsOne) {
  const std::vector<json> evaluations = {
      {{"step", 0}, {"delta_e_2000", 0.1}, {"delta_e_2000_exact", 0.1}},
      {{"step", 100},
       {"delta_e_2000", 9},
       {"delta_e_2000_exact", 4},
       {"shading_fidelity", nullptr}},
      {{"step", 200}, {"delta_e_2000", 1}, {"delta_e_2000_exact", 5}, {"shading_fidelity", 1.0}}};
  const auto best = choose_best(evaluations);
  ASSERT_TRUE(best);
  EXPECT_EQ(best->index, 1u);
  EXPECT_TRUE(best->within_bounds);
}

TEST(BestChoice, RefusesFlatPaintAndAChangedRoomOnRealPhotos) {
  const std::vector<json> evaluations = {real(0, 40, 0.8, 3.0),
                                         real(100, 1, nullptr, 3.0),  // flat
                                         real(200, 2, 0.7, 3.0),      // nearly flat
                                         real(300, 3, 0.8, 4.5),      // the room has changed
                                         real(400, 6, 0.76, 3.9),
                                         real(500, 5, 0.78, 3.9),
                                         real(600, 7, 0.99, 0.0)};
  const auto best = choose_best(evaluations);
  ASSERT_TRUE(best);
  EXPECT_EQ(best->index, 5u);
  EXPECT_TRUE(best->within_bounds);
}

TEST(BestChoice, TakesTheNearestWhereNoneIsWithinTheBounds) {
  const std::vector<json> evaluations = {
      real(0, 40, 0.9, 3.0), real(100, 1, 0.5, 3.0), real(200, 8, 0.8, 3.0)};
  const auto best = choose_best(evaluations);
  ASSERT_TRUE(best);
  EXPECT_EQ(best->index, 2u);
  EXPECT_FALSE(best->within_bounds);
}

TEST(BestChoice, IsNotBoundByWhatTheBaseAloneDoesNotHave) {
  const std::vector<json> evaluations = {real(100, 3, 0.1, 9.0), real(200, 2, nullptr, 9.0)};
  const auto best = choose_best(evaluations);
  ASSERT_TRUE(best);
  EXPECT_EQ(best->index, 1u);
}

TEST(BestChoice, IsNoneWithoutAFigureToCompeteBy) {
  EXPECT_FALSE(choose_best({}));
  EXPECT_FALSE(choose_best({real(0, 1, 1.0, 0.0)}));
  EXPECT_FALSE(choose_best({{{"step", 10}, {"delta_e_2000", nullptr}}}));
}

}  // namespace
}  // namespace limewash::eval
