#include "eval/dataset_report.h"

#include <filesystem>
#include <limits>

#include <gmock/gmock.h>

#include "data/mask_quality.h"
#include "data/shard.h"
#include "eval/base64.h"
#include "eval/svg_histogram.h"

namespace limewash::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kHostile = "<script>alert('x')</script>&\".jpg";

size_t count(const std::string& text, const std::string& what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

/// A dataset of 60 samples in two sizes whose names HTML must not read as markup. Kept in the build
/// folder, so that a person can look at it.
class DatasetReportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(LIMEWASH_BINARY_DIR) / "dataset_report_test";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    index_.complete = true;
    index_.configuration = R"({"size":64,"color":"<b>median"})";
    add_shard(0, 40, 64, 64, "train");
    add_shard(40, 60, 48, 96, "validation");
    for (int i = 0; i < 20; ++i)
      index_.rejections.push_back({"bad/" + std::to_string(i) + kHostile, "empty mask", "<i>why"});
    index_.rejections.push_back({"x.jpg", "unreadable photo <u>", std::string(5000, 'z')});
    index_.photos = index_.photos_done = 60 + 21;
    data::write_index(folder_, index_);
  }

  void add_shard(int begin, int end, int64_t height, int64_t width, const std::string& split) {
    std::vector<data::PackedSample> samples;
    for (int i = begin; i < end; ++i)
      samples.push_back(data::pack(sample(i, height, width), 0, true));
    data::ShardEntry entry{data::shard_file_name(index_.shards.size()), {}, split};
    entry.summary = data::write_shard(folder_ / entry.file, {index_.configuration, split}, samples);
    index_.shards.push_back(entry);
  }

  static data::ShardSample sample(int number, int64_t height, int64_t width) {
    data::ShardSample one;
    one.id = std::to_string(number) + (number % 7 == 0 ? kHostile : ".jpg");
    one.caption = number % 5 == 0 ? "a <b>wall" : "";
    const auto pixels = static_cast<size_t>(height * width);
    one.pixels.image = {height, width, std::vector<uint8_t>(pixels * 3)};
    for (size_t p = 0; p < pixels * 3; ++p)
      one.pixels.image.pixels[p] = static_cast<uint8_t>(40 + p % 96 + static_cast<size_t>(number));
    one.pixels.mask = {height, width, std::vector<uint8_t>(pixels)};
    std::fill_n(one.pixels.mask.pixels.begin(), pixels / 2, 255);
    one.pixels.core = {height, width, std::vector<uint8_t>(pixels)};
    std::fill_n(one.pixels.core.pixels.begin(), pixels / 3, 255);
    one.color = {0.8f, 0.4f, 0.2f};
    one.palette.assign(static_cast<size_t>(data::kPaletteColors), {0.8f, 0.4f, 0.2f, 0.25f});
    one.quality = static_cast<float>(number) / 60;
    one.quality_parts.assign(data::quality_part_names().size(), one.quality);
    one.quality_parts.back() = std::numeric_limits<float>::quiet_NaN();
    return one;
  }

  std::string html(const std::vector<std::string>& problems = {}) const {
    return dataset_report_html(folder_, index_, data::summarize(folder_, index_), problems);
  }

  std::filesystem::path folder_;
  data::DatasetIndex index_;
};

TEST_F(DatasetReportTest, ShowsDistributionsRejectionsAndBothEndsOfTheQuality) {
  const std::string page = html();
  const auto& parts = data::quality_part_names();
  EXPECT_EQ(count(page, "<svg "), parts.size() + 1);  // all but the last part, quality, wall share
  EXPECT_EQ(count(page, "data:image/jpeg;base64,/9j/"), 48u);
  EXPECT_THAT(page, HasSubstr("empty mask: 20"));
  EXPECT_THAT(page, HasSubstr("and 8 others"));
  EXPECT_THAT(page, HasSubstr("<td>validation</td><td>96x48</td><td>20</td>"));
  EXPECT_THAT(page, HasSubstr("<b>1.jpg</b>"));
  EXPECT_THAT(page, HasSubstr("<b>59.jpg</b>"));
  EXPECT_THAT(page, Not(HasSubstr("<b>30.jpg</b>")));
  EXPECT_THAT(page, HasSubstr("<span>" + parts.back() + " -</span>"));  // NaN
  EXPECT_THAT(page, HasSubstr("#cc6633"));
  EXPECT_LT(page.size(), 2u << 20);
}

TEST_F(DatasetReportTest, EscapesEveryTextOfTheDataset) {
  const std::string page = html({"shard <img src=x>"});
  for (const char* markup : {"<script", "<i>why", "<u>", "<b>wall", "<b>median", "<img src=x"})
    EXPECT_THAT(page, Not(HasSubstr(markup)));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;"));
  EXPECT_THAT(page, Not(HasSubstr(std::string(1000, 'z'))));
}

TEST_F(DatasetReportTest, ADamagedSampleShowsItsError) {
  const auto file = folder_ / index_.shards[0].file;
  const data::ShardReader shard(file);
  const data::Hdf5Rows rows = data::Hdf5Reader(file).rows("image", {40, 64, 64, 3});
  {
    const int64_t at = rows.chunks[1].offset + 40;
    std::FILE* stream = std::fopen(file.c_str(), "r+b");
    ASSERT_NE(stream, nullptr);
    std::fseek(stream, static_cast<long>(at), SEEK_SET);
    const int byte = std::fgetc(stream);
    std::fseek(stream, static_cast<long>(at), SEEK_SET);
    std::fputc(byte ^ 16, stream);
    std::fclose(stream);
  }
  const std::string page = html();
  EXPECT_EQ(count(page, "data:image/jpeg;base64,/9j/"), 47u);
  EXPECT_THAT(page, HasSubstr("sample 1 (1.jpg)"));
}

TEST(SvgHistogram, CountsEveryFiniteValueOnce) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::string svg = render_histogram("a<b", "note", {0, 0.01f, 0.5f, 1, 1.5f, -2, nan});
  EXPECT_THAT(svg, HasSubstr("0.00 - 0.04: 3"));
  EXPECT_THAT(svg, HasSubstr("0.96 - 1.00: 2"));
  EXPECT_EQ(count(svg, "<rect"), 3u);
  EXPECT_THAT(svg, HasSubstr("a&lt;b"));
  EXPECT_THAT(render_histogram("none", "", {}), Not(HasSubstr("nan")));
}

TEST(Base64, FollowsTheStandardsExamples) {  // RFC 4648, section 10
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
}

}  // namespace
}  // namespace limewash::eval
