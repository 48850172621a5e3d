#include "eval/comparison.h"

#include <fstream>
#include <iterator>
#include <unistd.h>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "eval/gathered_records.h"

namespace limewash::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ComparedSubject subject(const std::string& name, const std::string& method, double value) {
  ComparedSubject result{name, method, "files of " + name, false, "", {}, std::nullopt};
  result.result.metrics.add("delta_e_2000", value);
  result.result.metrics.add("hue_error", std::nullopt);
  result.result.paintings = 6;
  result.result.missing = {{"hue_error", 6}};
  return result;
}

Comparison comparison() {
  Comparison result{"rooms<b>", "0123", "test", "tiny", {}};
  result.subjects = {subject("mine", "adapter", 3.25), subject("base", "base", 34)};
  result.subjects[0].result.step = 600;
  result.subjects[0].shuffled_reference = subject("", "", 36.5).result.metrics;
  result.subjects.push_back(subject("recolor", "recolored_without_network", 0.125));
  result.subjects.back().control = true;
  return result;
}

TEST(Comparison, GivesScriptsSubjectsAndControls) {
  const nlohmann::json json = comparison_json(comparison());
  EXPECT_EQ(json.at("protocol"), kProtocolVersion);
  EXPECT_EQ(json.at("dataset").at("split"), "test");
  EXPECT_EQ(json.at("paintings"), 6);
  ASSERT_EQ(json.at("subjects").size(), 2u);
  EXPECT_EQ(json.at("subjects")[0].at("step"), 600);
  EXPECT_EQ(json.at("subjects")[0].at("metrics").at("delta_e_2000"), 3.25);
  EXPECT_EQ(json.at("subjects")[0].at("shuffled_reference").at("delta_e_2000"), 36.5);
  EXPECT_TRUE(json.at("subjects")[0].at("metrics").at("hue_error").is_null());
  EXPECT_EQ(json.at("subjects")[0].at("missing").at("hue_error"), 6);
  EXPECT_TRUE(json.at("subjects")[1].at("step").is_null());
  EXPECT_TRUE(json.at("subjects")[1].at("shuffled_reference").is_null());
  EXPECT_EQ(json.at("controls").at("recolored_without_network").at("delta_e_2000"), 0.125);
}

TEST(Comparison, HasAColumnForEachSubjectAndItsControl) {
  const std::string table = comparison_table(comparison());
  EXPECT_THAT(table, HasSubstr("mine, shuffled"));
  EXPECT_THAT(table, HasSubstr("3.250"));
  EXPECT_THAT(table, HasSubstr("36.500"));
  EXPECT_THAT(table, HasSubstr("34.000"));
  EXPECT_THAT(table, HasSubstr("0.125"));
  EXPECT_THAT(table, ::testing::ContainsRegex("hue_error +-"));
}

TEST(Comparison, WritesAPageThatIsOneFileAndTakesNoTextForMarkup) {
  std::string folder = (std::filesystem::temp_directory_path() / "limewash-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  write_comparison(folder, comparison());
  std::ifstream file(folder + "/report.html");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(page, HasSubstr("rooms&lt;b&gt;"));
  EXPECT_THAT(page, Not(HasSubstr("rooms<b>")));
  EXPECT_THAT(page, Not(HasSubstr("http")));
  EXPECT_THAT(page, HasSubstr("36.500"));
  EXPECT_TRUE(std::filesystem::exists(folder + "/evaluation.json"));
  std::filesystem::remove_all(folder);
}

TEST(GatheredRecords, KeepFiguresAndPicturesOfSeveralSizes) {
  Metrics some;
  some.add("a", 0.1);
  some.add("b", std::nullopt);
  std::vector<Metrics> records(4);
  unpack_records(pack_records({{2, some}}), records);
  EXPECT_EQ(records[2].get("a"), 0.1);
  EXPECT_EQ(records[2].values.size(), 2u);
  EXPECT_TRUE(records[1].values.empty());

  const data::Image small{1, 2, {1, 2, 3, 4, 5, 6}}, tall{2, 1, {6, 5, 4, 3, 2, 1}};
  std::map<int64_t, data::Image> pictures;
  unpack_pictures(pack_pictures({{7, small}, {9, tall}}), pictures);
  ASSERT_EQ(pictures.size(), 2u);
  EXPECT_EQ(pictures[7].width, 2);
  EXPECT_EQ(pictures[7].pixels, small.pixels);
  EXPECT_EQ(pictures[9].height, 2);
  EXPECT_EQ(pictures[9].pixels, tall.pixels);
}

}  // namespace
}  // namespace limewash::eval
