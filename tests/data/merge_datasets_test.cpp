#include "data/merge_datasets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/error.h"
#include "runtime/stop_signal.h"
#include "tests/data/prepare_fixture.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class MergeTest : public PrepareTest {
 protected:
  /// A dataset NAME of six photos NAME-0.png …, of which one is rejected.
  void make(const std::string& name, const std::string& photos) {
    PrepareOptions one = options;
    one.images = (folder / (name + "-files/images")).string();
    one.masks = (folder / (name + "-files/masks")).string();
    one.out = (folder / name).string();
    for (int i = 0; i < 6; ++i) {
      const std::string file = numbered(photos, i);
      save(fs::path(one.images) / file, plain_photo(48, 64, i));
      save(fs::path(one.masks) / file, striped_mask(48, 64, 0, i == 4 ? 0 : 30));
    }
    prepare(one);
  }
};

TEST_F(MergeTest, HoldsTheSamplesOfAllUnchangedAndInOrder) {
  options.validation_share = 0.4;
  options.compression = "gzip";
  make("a", "a-");
  make("b", "b-");
  const MergeReport report = merge_datasets({folder / "a", folder / "b"}, folder / "c", false);
  EXPECT_EQ(report.samples, 10);
  EXPECT_EQ(report.rejections, 2);
  for (const char* split : {"train", "validation"}) {
    const Dataset a(folder / "a", split), b(folder / "b", split), c(folder / "c", split);
    ASSERT_EQ(c.size(), a.size() + b.size());
    for (int64_t i = 0; i < c.size(); ++i) {
      const Dataset& from = i < a.size() ? a : b;
      const int64_t place = i < a.size() ? i : i - a.size();
      EXPECT_EQ(c.info(i).id, from.info(place).id);
      EXPECT_EQ(c.read(i).image.pixels, from.read(place).image.pixels);
    }
  }
  const auto bytes = dataset_bytes(folder / "c");
  merge_datasets({folder / "a", folder / "b"}, folder / "c", false);  // nothing to do
  merge_datasets({folder / "a", folder / "b"}, folder / "again", false);
  EXPECT_EQ(dataset_bytes(folder / "c"), bytes);
  EXPECT_EQ(dataset_bytes(folder / "again"), bytes);
}

TEST_F(MergeTest, RefusesSharedIdsByNameUnlessTheyArePrefixed) {
  make("a", "p-");
  make("b", "p-");
  EXPECT_THAT(input_error([&] {
                merge_datasets({folder / "a", folder / "b"}, folder / "c", false);
              }),
              AllOf(HasSubstr("p-0.png"), HasSubstr("--prefix")));
  EXPECT_FALSE(fs::exists(folder / "c"));
  merge_datasets({folder / "a", folder / "b"}, folder / "c", true);
  const Dataset a(folder / "a"), merged(folder / "c");
  ASSERT_EQ(merged.size(), 10);
  EXPECT_EQ(merged.info(0).id, "a/p-0.png");
  EXPECT_EQ(merged.info(5).id, "b/p-0.png");
  EXPECT_EQ(merged.read(5).image.pixels, a.read(0).image.pixels);
  EXPECT_EQ(read_bytes(folder / "c/rejected.txt"), "a/p-4.png\nb/p-4.png\n");
}

TEST_F(MergeTest, RefusesOtherOptionsUnfinishedAndDamagedDatasets) {
  make("a", "a-");
  options.erosion.iterations = 1;
  make("b", "b-");
  EXPECT_THAT(input_error([&] {
                merge_datasets({folder / "a", folder / "b"}, folder / "c", false);
              }),
              HasSubstr("prepare.erosion.iterations: 2 there, 1 now"));
  options.erosion.iterations = 2;
  make("d", "d-");
  const fs::path shard = folder / "d/shard-00000.h5";
  const std::string good = read_bytes(shard);
  const Dataset dataset(folder / "d");
  const auto pixels = dataset.read(1).image.pixels;
  const size_t place = good.find(std::string(pixels.begin(), pixels.end()));
  ASSERT_NE(place, std::string::npos);
  std::string bad = good;
  bad[place] = static_cast<char>(bad[place] ^ 1);
  write_bytes(shard, bad);
  EXPECT_THAT(input_error([&] {
                merge_datasets({folder / "a", folder / "d"}, folder / "c", false);
              }),
              AllOf(HasSubstr("d/shard-00000.h5"), HasSubstr("d-1.png")));
  EXPECT_THAT(input_error([&] { Dataset(folder / "c"); }), HasSubstr("has not finished"));

  write_bytes(shard, good);  // mended: the merge goes on, with the bytes of an undisturbed one
  merge_datasets({folder / "a", folder / "d"}, folder / "c", false);
  merge_datasets({folder / "a", folder / "d"}, folder / "straight", false);
  EXPECT_EQ(dataset_bytes(folder / "c"), dataset_bytes(folder / "straight"));
  EXPECT_THROW(merge_datasets({folder / "a", folder / "d"}, folder / "a", false), ConfigError);
  EXPECT_THAT(input_error([&] {
                merge_datasets({folder / "d", folder / "a"}, folder / "c", false);
              }),
              HasSubstr("holds another dataset"));
}

TEST_F(MergeTest, StopsAtAShardAndGoesOn) {
  make("a", "a-");
  make("b", "b-");
  request_stop();
  EXPECT_TRUE(merge_datasets({folder / "a", folder / "b"}, folder / "c", false).stopped);
  request_stop(false);
  EXPECT_EQ(merge_datasets({folder / "a", folder / "b"}, folder / "c", false).samples, 10);
}

}  // namespace
}  // namespace limewash::data
