#include "data/dataset.h"

#include <atomic>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/reference.h"
#include "data/room.h"
#include "runtime/error.h"
#include "runtime/random.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::vector<ShardSample> plain_samples(int count) {
  std::vector<ShardSample> samples;
  for (int i = 0; i < count; ++i) samples.push_back(plain_sample(16, i));
  return samples;
}

TEST(Dataset, NumbersSamplesThroughAllShards) {
  const TemporaryFolder folder;
  const auto samples = plain_samples(7);
  make_dataset(folder / "d", samples, 3);
  const Dataset dataset(folder / "d");
  ASSERT_EQ(dataset.size(), 7);
  EXPECT_EQ(dataset.height(), 16);
  EXPECT_EQ(dataset.width(), 16);
  for (int64_t i = 0; i < 7; ++i) {
    const auto& expected = samples[static_cast<size_t>(i)];
    EXPECT_EQ(dataset.info(i).id, expected.id);
    EXPECT_EQ(dataset.info(i).stable_id, stable_id(expected.id));
    EXPECT_EQ(dataset.info(i).color, expected.color);
    EXPECT_EQ(dataset.read(i).image.pixels, expected.pixels.image.pixels);
  }
  EXPECT_THROW(dataset.info(7), InputError);
  EXPECT_THROW(dataset.read(-1), InputError);
}

TEST(Dataset, ReadsFromManyThreadsAtOnce) {
  const TemporaryFolder folder;
  const auto samples = plain_samples(12);
  make_dataset(folder / "d", samples, 5);
  const Dataset dataset(folder / "d");
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (int i = 0; i < 200; ++i) {
          const int64_t index = (i * 7 + t) % 12;
          if (dataset.read(index).image.pixels !=
              samples[static_cast<size_t>(index)].pixels.image.pixels)
            ++wrong;
        }
      });
  }
  EXPECT_EQ(wrong, 0);
}

TEST(Dataset, OpensOneSideAndNamesWhatThereIs) {
  const TemporaryFolder folder;
  make_dataset(folder / "d", plain_samples(5), 2);
  EXPECT_EQ(Dataset(folder / "d", "train").size(), 5);
  EXPECT_EQ(validation_split(folder / "d"), "");
  EXPECT_EQ(Dataset(folder / "d", "train").fingerprint(), Dataset(folder / "d").fingerprint());
  EXPECT_THAT(input_error([&] { Dataset(folder / "d", "test"); }),
              AllOf(HasSubstr("no sample of the split 'test'"), HasSubstr("train: 5")));
}

TEST(Dataset, GathersSamplesOfOneSizeInBuckets) {
  const TemporaryFolder folder;
  std::vector<ShardSample> samples;
  for (int i = 0; i < 6; ++i) samples.push_back(plain_sample(i < 2 || i > 3 ? 16 : 24, i));
  make_dataset(folder / "d", samples, 2);
  const Dataset dataset(folder / "d");
  ASSERT_EQ(dataset.buckets().size(), 2u);
  EXPECT_EQ(dataset.buckets()[0].samples, (std::vector<int64_t>{0, 1, 4, 5}));
  EXPECT_EQ(dataset.buckets()[1].samples, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(dataset.buckets()[1].width, 24);
  EXPECT_EQ(dataset.info(3).bucket, 1);
  EXPECT_EQ(dataset.info(3).height, 24);
  EXPECT_EQ(dataset.read(3).image.height, 24);
}

TEST(Dataset, TellsAShardOfAnotherSideFromItsOwn) {
  const TemporaryFolder folder;
  make_dataset(folder / "d", plain_samples(4), 2);
  DatasetIndex index = *read_index(folder / "d");
  index.shards[1].split = "test";
  write_index(folder / "d", index);
  EXPECT_THAT(input_error([&] { Dataset(folder / "d"); }),
              AllOf(HasSubstr("shard-00001.h5"), HasSubstr("of the split train")));
}

TEST(Dataset, FingerprintFollowsTheContent) {
  const TemporaryFolder folder;
  auto samples = plain_samples(4);
  make_dataset(folder / "a", samples, 4);
  make_dataset(folder / "b", samples, 4);
  samples[3].color[0] += 0.01f;
  make_dataset(folder / "c", samples, 4);
  EXPECT_EQ(Dataset(folder / "a").fingerprint(), Dataset(folder / "b").fingerprint());
  EXPECT_NE(Dataset(folder / "a").fingerprint(), Dataset(folder / "c").fingerprint());
}

TEST(Dataset, NamesWhatIsWrongWithAFolder) {
  const TemporaryFolder folder;
  EXPECT_THAT(input_error([&] { Dataset(folder / "nowhere"); }), HasSubstr("index.json"));
  make_dataset(folder / "d", plain_samples(4), 2);
  const auto index = folder / "d" / "index.json";
  const std::string text = read_bytes(index);

  std::string incomplete = text;
  incomplete.replace(incomplete.find("\"complete\": true"), 16, "\"complete\": false");
  write_bytes(index, incomplete);
  EXPECT_THAT(input_error([&] { Dataset(folder / "d"); }), HasSubstr("has not finished"));

  std::string newer = text;
  newer.replace(newer.find("\"version\": 2"), 12, "\"version\": 9");
  write_bytes(index, newer);
  EXPECT_THAT(input_error([&] { Dataset(folder / "d"); }), HasSubstr("format version 9"));

  std::string outside = text;
  outside.replace(outside.find("shard-00001.h5"), 14, "../../stolen.h");
  write_bytes(index, outside);
  EXPECT_THAT(input_error([&] { Dataset(folder / "d"); }), HasSubstr("shards[1]"));

  write_bytes(index, text.substr(0, text.size() / 2));
  EXPECT_THAT(input_error([&] { Dataset(folder / "d"); }), HasSubstr("is not JSON"));

  write_bytes(index, "[1, 2]");
  EXPECT_THAT(input_error([&] { Dataset(folder / "d"); }), HasSubstr("expected a JSON object"));

  write_bytes(index, text);
  std::filesystem::remove(folder / "d" / "shard-00001.h5");
  EXPECT_THAT(input_error([&] { Dataset(folder / "d"); }), HasSubstr("shard-00001.h5"));
}

TEST(Dataset, SurvivesDamagedIndexes) {
  const TemporaryFolder folder;
  make_dataset(folder / "d", plain_samples(2), 2);
  const auto index = folder / "d" / "index.json";
  const std::string text = read_bytes(index);
  for (size_t place = 0; place < text.size(); ++place)
    for (const char letter : {'"', '9', '\xff'}) {
      std::string damaged = text;
      damaged[place] = letter;
      write_bytes(index, damaged);
      try {
        const Dataset dataset(folder / "d");
        ASSERT_EQ(dataset.size(), 2);
      } catch (const InputError& error) {
        ASSERT_FALSE(std::string(error.what()).empty());
      }
    }
}

TEST(Dataset, RepaintsAnOrdinaryPhotoByRecolouring) {
  const TemporaryFolder folder;
  make_dataset(folder / "d", plain_samples(1), 1);
  const Dataset dataset(folder / "d");
  const Sample sample = dataset.read(0);
  const Rgb blue{0.2f, 0.3f, 0.7f};
  EXPECT_EQ(dataset.repainted(0, sample, blue).pixels,
            recolor(sample.image, sample.mask, dataset.info(0).color, blue).pixels);
}

TEST(Dataset, RepaintsARoomExactly) {
  const TemporaryFolder folder;
  const Room room(5, 3, 32);
  ShardSample sample = plain_sample(32, 0);
  sample.pixels.image = room.render(room.own_paint());
  sample.room = RoomSource{5, 3, 32};
  make_dataset(folder / "d", {sample}, 1);
  const Dataset dataset(folder / "d");
  const Rgb blue{0.2f, 0.3f, 0.7f};
  EXPECT_EQ(dataset.repainted(0, dataset.read(0), blue).pixels, room.render(blue).pixels);
}

}  // namespace
}  // namespace limewash::data
