#include "eval/painting_plan.h"

#include <set>

#include <gmock/gmock.h>

#include "eval/palette.h"
#include "runtime/config.h"
#include "runtime/error.h"

namespace limewash::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const data::SampleInfo& info(int64_t index) {
  static const std::vector<data::SampleInfo> samples = [] {
    std::vector<data::SampleInfo> list(3);
    for (size_t i = 0; i < list.size(); ++i) {
      list[i].id = "room-" + std::to_string(i);
      list[i].color = {0.2f * static_cast<float>(i), 0.5f, 0.5f};
    }
    return list;
  }();
  return samples.at(index);
}

std::vector<std::string> names(const std::vector<PlannedPainting>& paintings) {
  std::vector<std::string> result;
  for (const PlannedPainting& painting : paintings) result.push_back(painting.name);
  return result;
}

EvaluationOptions three_colors() {
  EvaluationOptions options;
  options.palette = {"#ff0000", "#00ff00", "#0000ff"};
  return options;
}

TEST(Plan, TakesThePaletteInRotation) {
  EvaluationOptions options = three_colors();
  options.own_color = false;
  EXPECT_THAT(names(plan_paintings(options, 3, info)),
              ElementsAre("room-0#ff0000",
                          "room-0#00ff00",
                          "room-1#0000ff",
                          "room-1#ff0000",
                          "room-2#00ff00",
                          "room-2#0000ff"));
  options.references = 0;
  EXPECT_EQ(plan_paintings(options, 2, info).size(), 6u);
}

TEST(Plan, AsksForTheOwnColourFirst) {
  EvaluationOptions options = three_colors();
  options.references = 1;
  const std::vector<PlannedPainting> plan = plan_paintings(options, 2, info);
  EXPECT_THAT(names(plan),
              ElementsAre("room-0#008080", "room-0#ff0000", "room-1#338080", "room-1#00ff00"));
  EXPECT_TRUE(plan[0].own);
  EXPECT_FALSE(plan[1].own);
  EXPECT_EQ(plan[2].asked, info(1).color);
}

TEST(Plan, ShufflingGivesEachAClearlyDifferentReference) {
  const std::vector<PlannedPainting> plan = plan_paintings(three_colors(), 3, info);
  const std::vector<int64_t> other = shuffle_references(plan);
  for (size_t i = 0; i < plan.size(); ++i) {
    ASSERT_GE(other[i], 0);
    EXPECT_GE(
        data::delta_e_2000(data::rgb_to_lab(plan[i].asked), data::rgb_to_lab(plan[other[i]].asked)),
        10);
  }
}

TEST(Plan, WithOneColourThereIsNothingToShuffle) {
  EvaluationOptions options;
  options.palette = {"#808080"};
  options.references = 1;
  options.own_color = false;
  EXPECT_THAT(shuffle_references(plan_paintings(options, 2, info)), ElementsAre(-1, -1));
}

TEST(Plan, TheGridShowsOneForeignColourAPhoto) {
  const std::vector<PlannedPainting> plan = plan_paintings(three_colors(), 3, info);
  EXPECT_THAT(pick_for_grid(plan, 2), ElementsAre(1, 4));
  EvaluationOptions own = three_colors();
  own.references = 1;
  EXPECT_THAT(pick_for_grid(plan_paintings(own, 3, info), 8), ElementsAre(1, 3, 5));
}

TEST(Palette, TheClassicChartHasTwentyFourColours) {
  const std::set<std::string> colors(classic_chart().begin(), classic_chart().end());
  EXPECT_EQ(colors.size(), 24u);
  for (const std::string& text : colors) EXPECT_EQ(color_text(parse_color(text, "x")), text);
}

TEST(Palette, NamesKeyAndValueOfWhatIsNoColour) {
  for (const char* text : {"#12345", "#1234567", "red", "#12 456", "#+12345", ""}) {
    try {
      parse_color(text, "evaluation.palette");
      FAIL() << text;
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr("evaluation.palette"));
      EXPECT_THAT(error.what(), HasSubstr(text));
    }
  }
}

TEST(EvaluationOptions, RefuseMoreReferencesThanColours) {
  const auto document =
      config::Document::parse("palette: ['#ff0000']\nreferences: 2\n", "test.yaml", {});
  EvaluationOptions options;
  EXPECT_THROW(document.read_into(options), ConfigError);
}

TEST(Plan, CutsBatchesOfOneSizeInThePlansOrder) {
  std::vector<PlannedPainting> paintings;
  for (const int64_t photo : {0, 0, 1, 1, 2, 2, 3}) paintings.push_back({photo, {}, false, ""});
  const auto one_size = cut_batches(paintings, 3, [](int64_t) { return 0; });
  EXPECT_THAT(one_size, ElementsAre(ElementsAre(0, 1, 2), ElementsAre(3, 4, 5), ElementsAre(6)));
  const auto two_sizes = cut_batches(paintings, 3, [](int64_t photo) { return 1 - photo % 2; });
  EXPECT_THAT(two_sizes, ElementsAre(ElementsAre(2, 3, 6), ElementsAre(0, 1, 4), ElementsAre(5)));
}

}  // namespace
}  // namespace limewash::eval
