#include "eval/report.h"

#include <cmath>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>

#include "data/image_io.h"
#include "data/room.h"
#include "eval/picture_grid.h"
#include "eval/svg_chart.h"

namespace limewash::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// A run that never was, with curves, controls, a null, and text that HTML must not read as markup.
/// Kept in the build folder, so that a person can look at it.
class ReportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(LIMEWASH_BINARY_DIR) / "report_test";
    std::filesystem::remove_all(folder_);
    data_.run_name = "walls <b>";
    data_.status = "finished";
    data_.facts = {{"device", "CPU"}, {"trainer ranks", "2"}, {"samples a second", "41.3"}};
    for (const int64_t step : {0, 200, 400, 600}) {
      const double fall = std::exp(-static_cast<double>(step) / 180.0);
      nlohmann::json metrics = {{"delta_e_2000", 3 + 22 * fall},
                                {"delta_e_2000_p90", 7 + 30 * fall},
                                {"delta_e_2000_exact", 4 + 20 * fall},
                                {"delta_e_2000_exact_p90", 8 + 26 * fall},
                                {"delta_e_76", 4 + 30 * fall},
                                {"hue_error", 6 + 60 * fall},
                                {"lightness_difference", 2 + 9 * fall},
                                {"chroma_difference", 2 + 9 * fall},
                                {"shading_fidelity", 0.94 - 0.2 * fall},
                                {"psnr_outside", 29.4},
                                {"ssim_outside", 0.912},
                                {"lpips_outside", nullptr},
                                {"edge_bleed", 2.1}};
      nlohmann::json evaluation = metrics;
      evaluation["step"] = step;
      evaluation["paintings"] = 150;
      evaluation["missing"] = {{"hue_error", 25}, {"lpips_outside", 150}};
      data_.evaluations.push_back(evaluation);
      add_folder(step, metrics);
    }
    data_.controls = {
        {"shuffled_reference", {{"delta_e_2000", 31.0}, {"delta_e_2000_exact", 29.5}}},
        {"recolored_without_network", {{"delta_e_2000", 0.8}, {"delta_e_2000_exact", 1.2}}},
        {"floor", {{"delta_e_2000", 0.5}, {"delta_e_2000_exact", 0.9}}}};
    for (int64_t step = 1; step <= 600; ++step) {
      const double wobble = 0.05 * std::sin(static_cast<double>(step * step % 97));
      data_.losses.push_back(
          {step,
           {{"loss", 0.2 + 0.5 * std::exp(-static_cast<double>(step) / 90) + wobble},
            {"loss_color", 0.05 + 0.2 * std::exp(-static_cast<double>(step) / 60) + wobble / 4}}});
    }
  }

  void add_folder(int64_t step, const nlohmann::json& metrics) {
    const ReportFolder folder{step, "evaluations/step-" + std::to_string(step)};
    std::filesystem::create_directories(folder_ / folder.path);
    nlohmann::json records = nlohmann::json::array();
    std::vector<GridRow> rows;
    for (uint64_t i = 0; i < 14; ++i) {
      records.push_back({{"photo", "room-" + std::to_string(i) + ".png"},
                         {"asked", i % 2 == 0 ? "#5e3c6c" : "#e7c71f"},
                         {"own_color", i % 3 == 0},
                         {"delta_e_2000", 1.5 + static_cast<double>(i)},
                         {"delta_e_2000_exact", 2.5 + static_cast<double>(i)},
                         {"hue_error", i == 2 ? nlohmann::json(nullptr) : nlohmann::json(3.0)},
                         {"lightness_difference", 1.0},
                         {"chroma_difference", 2.0},
                         {"shading_fidelity", 0.9}});
      if (i < 3) {
        const data::Room room(9, i, 128);
        const data::Image source = room.render(room.own_paint()),
                          target = room.render({0.37f, 0.24f, 0.42f});
        rows.push_back({"room-" + std::to_string(i) + ".png",
                        source,
                        {0.37f, 0.24f, 0.42f},
                        room.mask(),
                        target,
                        true,
                        i == 2 ? data::Image{} : target,
                        2.5,
                        i == 2 ? std::nullopt : std::optional(3.25)});
      }
    }
    std::ofstream(folder_ / folder.path / "metrics.json")
        << nlohmann::json{{"metrics", metrics}, {"records", records}}.dump();
    data::write_png(folder_ / folder.path / "grid.png",
                    render_grid("step " + std::to_string(step), rows));
    data_.folders.push_back(folder);
  }

  std::string written() const {
    write_report(folder_, data_);
    std::ifstream file(folder_ / "report.html");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::filesystem::path folder_;
  ReportData data_;
};

TEST_F(ReportTest, ShowsEvaluationsBesideControls) {
  const std::string html = written();
  EXPECT_NE(html.find("base alone"), std::string::npos);
  EXPECT_NE(html.find("25.00 → 3.78"), std::string::npos);
  EXPECT_NE(html.find("control: shuffled reference"), std::string::npos);
  EXPECT_NE(html.find("<td>31.00</td>"), std::string::npos);
  EXPECT_NE(html.find("<tr class='best'><td>step 600</td>"), std::string::npos);
  EXPECT_NE(html.find("lpips_outside 150"), std::string::npos);
  EXPECT_EQ(html.find(">nan"), std::string::npos);
}

TEST_F(ReportTest, IsOneFileThatReadsNoTextAsMarkup) {
  const std::string html = written();
  EXPECT_NE(html.find("walls &lt;b&gt;"), std::string::npos);
  EXPECT_EQ(html.find("walls <b>"), std::string::npos);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("://"), std::string::npos);
  EXPECT_NE(html.find("data:image/png;base64,iVBORw0KGgo"), std::string::npos);
  EXPECT_NE(html.find("href='evaluations/step-200/grid.png'"), std::string::npos);
}

TEST_F(ReportTest, ListsWorstBeforeBest) {
  const std::string html = written();
  EXPECT_LT(html.find("room-13.png"), html.find("room-8.png"));
  EXPECT_LT(html.find("room-8.png"), html.find("room-5.png"));
  EXPECT_LT(html.find("room-5.png"), html.find("room-0.png"));
  EXPECT_EQ(html.find("room-6.png"), std::string::npos);
}

TEST_F(ReportTest, ARunThatHasNothingYetStillGetsAPage) {
  ReportData empty;
  empty.run_name = "new";
  empty.status = "stopped";
  write_report(folder_, empty);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "report.html"));
}

TEST(SvgChart, DrawsNoPointThatIsNotFinite) {
  const std::string svg =
      render_svg({"loss", "step", {{"loss", {{1, 2}, {2, std::nan("")}, {3, INFINITY}, {4, 1}}}}});
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(SvgChart, ThinsLongSeries) {
  ChartSeries series{"loss", {}};
  for (int i = 0; i < 200000; ++i) series.points.emplace_back(i, 1.0 + i % 7);
  EXPECT_LT(render_svg({"loss", "step", {series}}).size(), 40000u);
}

TEST(SvgChart, SmoothingKeepsAConstant) {
  ChartSeries series{"loss", {}};
  for (int i = 0; i < 300; ++i) series.points.emplace_back(i, 2.5);
  for (const auto& [x, y] : smoothed(series).points) ASSERT_NEAR(y, 2.5, 1e-12);
}

TEST(PictureGrid, HasARowForEachPaintingAndCellsToLookAt) {
  const data::Room room(9, 1, 32);
  const data::Image image = room.render({0.5f, 0.5f, 0.5f});
  const GridRow row{
      "a", image, {0.5f, 0.5f, 0.5f}, room.mask(), image, false, image, 1.0, std::nullopt};
  const data::Image one = render_grid("x", {row}), three = render_grid("x", {row, row, row});
  EXPECT_GE(one.width, 6 * 160);
  EXPECT_GE(three.height - one.height, 2 * 160);
  EXPECT_EQ(static_cast<int64_t>(three.pixels.size()), three.height * three.width * 3);
}

}  // namespace
}  // namespace limewash::eval
