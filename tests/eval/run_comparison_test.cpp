#include "eval/run_comparison.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "eval/report_page.h"

namespace limewash::eval {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kHostile = "</style><script>alert('x')</script>&\"\xff";

/// Two runs with evaluations at steps 0, 10 and 20.
class RunComparisonTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::path(LIMEWASH_BINARY_DIR) / "run_comparison_test";
    std::filesystem::remove_all(root_);
    add("first", {20, 6, 5}, {0.5, 0.9, 0.8});
    add("second", {20, 4, 7}, {0.5, 0.7, 0.95});
    data_[0].settings = {
        {"run.name", "first"}, {"optimizer.learning_rate", "0.1"}, {"run.seed", "1"}};
    data_[1].settings = {
        {"run.name", "second"}, {"optimizer.learning_rate", "0.2"}, {"run.seed", "1"}};
  }

  void add(const std::string& name,
           const std::vector<double>& delta_e,
           const std::vector<double>& shading) {
    ReportData data;
    data.run_name = name;
    data.status = "finished";
    data.folder = root_ / name;
    for (size_t i = 0; i < delta_e.size(); ++i) {
      const auto step = static_cast<int64_t>(i) * 10;
      data.evaluations.push_back({{"step", step},
                                  {"delta_e_2000", delta_e[i]},
                                  {"hue_error", nullptr},
                                  {"shading_fidelity", shading[i]},
                                  {"paintings", 3}});
      data.folders.push_back({step, "evaluations/" + std::to_string(step)});
      write_metrics(data.folder / data.folders.back().path, {{"protocol", 1}, {"dataset", "d"}});
    }
    data.controls = {{"floor", {{"delta_e_2000", 0.4}}},
                     {"shuffled_reference", {{"delta_e_2000", 30}}}};
    data.losses = {{1, {{"loss", 2.0}}}, {2, {{"loss", 1.5}}}};
    data_.push_back(std::move(data));
  }

  static void write_metrics(const std::filesystem::path& folder, json head) {
    std::filesystem::create_directories(folder);
    head["metrics"] = {{"delta_e_2000", 5}};
    head["records"] = {{{"photo", kHostilePhoto}, {"asked", "#5e3c6c"}, {"delta_e_2000", 1}},
                       {{"photo", "b"}, {"asked", "red;x:url(//a)"}, {"delta_e_2000", 9}}};
    std::ofstream(folder / "metrics.json") << head.dump();
  }

  std::vector<ReportedRun> runs() const {
    std::vector<ReportedRun> result;
    for (const auto& data : data_)
      result.push_back(last_evaluation_of(data, static_cast<int>(result.size())));
    return result;
  }

  static const ComparedFigure& find(const RunComparison& comparison,
                                    const std::string& group,
                                    const std::string& name) {
    for (const auto& figure : comparison.figures) {
      if (figure.group == group && figure.name == name) return figure;
    }
    throw std::out_of_range(group + "/" + name);
  }

  static constexpr const char* kHostilePhoto = "<img src=x onerror=alert(1)>";
  std::filesystem::path root_;
  std::vector<ReportData> data_;
};

TEST_F(RunComparisonTest, MarksTheBetterEndOfEachFigure) {
  const auto comparison = compare_runs(runs());
  EXPECT_THAT(find(comparison, "final", "delta_e_2000").better, ElementsAre(true, false));
  EXPECT_THAT(find(comparison, "final", "shading_fidelity").better, ElementsAre(false, true));
  EXPECT_THAT(find(comparison, "best", "delta_e_2000").better, ElementsAre(false, true));
  EXPECT_THAT(comparison.best_steps, ElementsAre(20, 10));
  EXPECT_THAT(find(comparison, "floor", "delta_e_2000").better, ElementsAre(false, false));
}

TEST_F(RunComparisonTest, NothingIsBetterAloneOrWhenAllAreEqual) {
  data_[0].evaluations.back()["delta_e_2000"] = nullptr;
  data_[1].evaluations.back()["shading_fidelity"] = 0.8;
  const auto comparison = compare_runs(runs());
  EXPECT_THAT(find(comparison, "final", "delta_e_2000").better, ElementsAre(false, false));
  EXPECT_THAT(find(comparison, "final", "shading_fidelity").better, ElementsAre(false, false));
}

TEST_F(RunComparisonTest, OnlySettingsThatShapeTheResultDiffer) {
  const auto comparison = compare_runs(runs());
  ASSERT_EQ(comparison.settings.size(), 1u);
  EXPECT_EQ(comparison.settings.at("optimizer.learning_rate")[1], "0.2");
}

TEST_F(RunComparisonTest, RunsOnOtherPhotosAreWarnedOfAndNeverMarked) {
  write_metrics(data_[1].folder / data_[1].folders.back().path,
                {{"protocol", 1}, {"dataset", "e"}});
  const auto comparison = compare_runs(runs());
  ASSERT_EQ(comparison.warnings.size(), 1u);
  EXPECT_THAT(comparison.warnings.front(), HasSubstr("different photos"));
  for (const auto& figure : comparison.figures)
    EXPECT_THAT(figure.better, ElementsAre(false, false)) << figure.name;
  EXPECT_THAT(comparison_html(runs(), comparison), HasSubstr("different photos"));
}

TEST_F(RunComparisonTest, ThePageHoldsAllRunsAndNoTextOfTheirsAsMarkup) {
  data_[1].run_name = kHostile;
  data_[1].settings["<b>"] = kHostile;
  const auto list = runs();
  const std::string html = comparison_html(list, compare_runs(list));
  EXPECT_THAT(html, HasSubstr("first"));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;"));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("<img src=x")));
  EXPECT_THAT(html, Not(HasSubstr("background:red")));
  EXPECT_THAT(html, Not(HasSubstr("://")));
  EXPECT_THAT(html, Not(HasSubstr("\xff")));
  EXPECT_THAT(html, HasSubstr("optimizer.learning_rate"));
}

TEST_F(RunComparisonTest, RunsWithoutAnythingStillGetAPage) {
  ReportData empty;
  empty.run_name = "new";
  data_ = {empty, empty};
  const auto list = runs();
  const auto comparison = compare_runs(list);
  EXPECT_TRUE(comparison.figures.empty());
  EXPECT_THAT(comparison_html(list, comparison), HasSubstr("no evaluation of the adapter"));
}

TEST_F(RunComparisonTest, DamagedMetricsAreSaidAndLeaveTheOtherFigures) {
  std::ofstream(data_[0].folder / data_[0].folders.back().path / "metrics.json") << "{";
  const auto list = runs();
  EXPECT_THAT(list[0].problem, HasSubstr("metrics.json"));
  const std::string html = comparison_html(list, compare_runs(list));
  EXPECT_THAT(html, HasSubstr("metrics.json: "));
  EXPECT_THAT(html, HasSubstr("By asked colour"));
}

TEST(ReportPage, LongNamesLoseTheirMiddleAndStayValid) {
  EXPECT_EQ(shortened("abcdefghij", 10), "abcdefghij");
  EXPECT_EQ(shortened("abcdefghijk", 7), "abc…ijk");
  EXPECT_EQ(shortened("ääääääää", 5), "ää…ää");
}

TEST(ReportPage, OnlyAColourBecomesAStyle) {
  EXPECT_THAT(color_chip("#12aBcd"), HasSubstr("background:#12aBcd"));
  EXPECT_THAT(color_chip("#12345;"), Not(HasSubstr("style")));
  EXPECT_THAT(color_chip("'><b>"), HasSubstr("&#39;&gt;"));
}

}  // namespace
}  // namespace limewash::eval
