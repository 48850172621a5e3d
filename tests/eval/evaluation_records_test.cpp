#include "eval/evaluation_records.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "eval/case_pictures.h"
#include "eval/figures.h"
#include "runtime/error.h"

namespace limewash::eval {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

json painting(const char* asked, double delta_e, json hue, bool own = false) {
  return {{"photo", "a.png"},
          {"asked", asked},
          {"own_color", own},
          {"delta_e_2000", delta_e},
          {"hue_error", std::move(hue)}};
}

/// Two palette colours, one of them dark (L* 0) and one bright (L* 100), and own colours between.
std::vector<json> paintings() {
  return {painting("#ffffff", 4, 10.0),
          painting("#000000", 9, nullptr),
          painting("#ffffff", 2, 30.0),
          painting("#777777", 1, 5.0, true),
          painting("#000000", 7, nullptr),
          painting("#ffffff", 8, 20.0),
          painting("#808080", 3, 7.0, true)};
}

TEST(Breakdown, TakesTheMedianOfEachColour) {
  const auto rows = breakdown_by_color(paintings(), {"delta_e_2000", "hue_error"});
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].label, "#ffffff");
  EXPECT_EQ(rows[0].paintings, 3);
  EXPECT_EQ(rows[0].medians.at("delta_e_2000"), 4.0);
  EXPECT_EQ(rows[0].medians.at("hue_error"), 20.0);
  EXPECT_EQ(rows[1].label, "#000000");
  EXPECT_EQ(rows[1].medians.at("delta_e_2000"), 8.0);
  EXPECT_EQ(rows[2].label, "the wall's own colour");
  EXPECT_FALSE(rows[2].is_color);
  EXPECT_EQ(rows[2].medians.at("delta_e_2000"), 2.0);
}

TEST(Breakdown, AFigureThatNoPaintingOfAPartHasStaysMissing) {
  const auto rows = breakdown_by_color(paintings(), {"hue_error", "shading_fidelity"});
  EXPECT_FALSE(rows[1].medians.at("hue_error"));
  EXPECT_FALSE(rows[0].medians.at("shading_fidelity"));
}

TEST(Breakdown, BandsRunFromDarkToBrightAndEmptyOnesAreLeftOut) {
  // L* of #777777 is 50.0, of #808080 53.6, of #000000 0, of #ffffff 100.
  const auto rows = breakdown_by_lightness(paintings(), {"delta_e_2000"});
  std::vector<std::string> labels;
  for (const auto& row : rows) labels.push_back(row.label);
  EXPECT_THAT(labels, ElementsAre("L* 0 to 20", "L* 40 to 60", "L* 80 to 100"));
  EXPECT_EQ(rows[1].medians.at("delta_e_2000"), 2.0);
  EXPECT_EQ(rows[2].paintings, 3);
}

TEST(Breakdown, AColourThatCannotBeReadIsInNoBand) {
  EXPECT_TRUE(
      breakdown_by_lightness({painting("red;x:url(//a)", 3, 1.0)}, {"delta_e_2000"}).empty());
  EXPECT_EQ(breakdown_by_color({json{{"delta_e_2000", 3}}}, {"delta_e_2000"}).front().label,
            "no colour named");
}

TEST(Breakdown, ColoursOfTheClassicChartComeInItsOrder) {
  const auto rows = breakdown_by_color(
      {painting("#343434", 1, 1.0), painting("#123456", 1, 1.0), painting("#735244", 1, 1.0)},
      {"delta_e_2000"});
  EXPECT_EQ(rows.front().label, "#735244");
  EXPECT_EQ(rows.back().label, "#123456");
}

TEST(ExtremeCases, ListTheWorstFirstAndNonePaintingTwice) {
  const auto cases = extreme_cases(paintings(), "delta_e_2000", 2);
  EXPECT_THAT(cases.worst, ElementsAre(1, 5));
  EXPECT_THAT(cases.best, ElementsAre(3, 2));
  const auto all = extreme_cases(paintings(), "delta_e_2000", 100);
  EXPECT_EQ(all.worst.size(), 3u);
  EXPECT_EQ(all.best.size(), 3u);
}

TEST(ExtremeCases, OfAFigureWhereMoreIsBetterTheLowestIsTheWorst) {
  const std::vector<json> records = {
      {{"shading_fidelity", 0.9}}, {{"shading_fidelity", nullptr}}, {{"shading_fidelity", 0.1}}};
  const auto cases = extreme_cases(records, "shading_fidelity", 5);
  EXPECT_THAT(cases.worst, ElementsAre(2));
  EXPECT_THAT(cases.best, ElementsAre(0));
}

TEST(CaseKeeper, KeepsTheHighestAndTheLowestOfAllThatWasOffered) {
  CaseKeeper keeper;
  for (int64_t i = 0; i < 40; ++i) {
    // 0, 7, 14, ... modulo 40: each value once, in no order.
    keeper.offer(i, static_cast<double>(i * 7 % 40), {1, 1, {1, 2, 3}});
  }
  keeper.offer(90, 1e9, {});
  keeper.offer(91, NAN, {1, 1, {1, 2, 3}});
  std::map<int64_t, data::Image> pictures;
  keeper.move_into(pictures);
  std::vector<int64_t> values;
  for (const auto& [painting, picture] : pictures) values.push_back(painting * 7 % 40);
  EXPECT_THAT(values, ::testing::UnorderedElementsAre(0, 1, 2, 37, 38, 39));
}

TEST(EvaluationRecords, ADamagedFileIsAnErrorThatNamesIt) {
  const auto folder = std::filesystem::path(LIMEWASH_BINARY_DIR) / "evaluation_records_test";
  std::filesystem::create_directories(folder);
  for (const char* text : {"{\"metrics\":",
                           "[]",
                           "{\"metrics\":1}",
                           "{\"metrics\":{},\"records\":{}}",
                           "{\"metrics\":{},\"records\":[1]}",
                           "{\"metrics\":{\"delta_e_2000\":1e999}}"}) {
    std::ofstream(folder / "metrics.json") << text;
    try {
      read_evaluation_records(folder / "metrics.json");
      FAIL() << text;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("metrics.json"));
    }
  }
}

TEST(Figures, KnowWhichEndIsBetter) {
  for (const char* name :
       {"delta_e_2000", "delta_e_2000_exact_p90", "hue_error", "edge_bleed", "lpips_outside"})
    EXPECT_EQ(better_end(name), Better::kLower) << name;
  for (const char* name :
       {"shading_fidelity", "psnr_outside", "ssim_outside", "samples_per_second"})
    EXPECT_EQ(better_end(name), Better::kHigher) << name;
  for (const char* name : {"", "step", "paintings", "missing"})
    EXPECT_FALSE(better_end(name)) << name;
}

}  // namespace
}  // namespace limewash::eval
