// The life of a dataset: splits, appending, dry runs, and going on after an interruption.

#include <algorithm>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "data/split.h"
#include "data/verify_dataset.h"
#include "runtime/error.h"
#include "runtime/random.h"
#include "tests/data/prepare_fixture.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class PrepareLifeTest : public PrepareTest {
 protected:
  PrepareReport append() {
    return prepare(options, nullptr, {.append = true});
  }

  std::vector<std::string> ids(const std::string& split = "") const {
    const Dataset dataset(options.out, split);
    std::vector<std::string> names;
    for (int64_t i = 0; i < dataset.size(); ++i) names.push_back(dataset.info(i).id);
    return names;
  }

  /// What an interruption leaves: the first `shards` shards and an index that knows no more.
  void interrupt_after(size_t shards, const std::vector<Rejection>& rejections) {
    auto index = *read_index(options.out);
    for (size_t i = shards; i < index.shards.size(); ++i)
      fs::remove(fs::path(options.out) / index.shards[i].file);
    index.shards.resize(shards);
    index.rejections = rejections;
    index.photos_done = index.samples() + static_cast<int64_t>(rejections.size());
    index.complete = false;
    write_index(options.out, index);
    fs::remove(fs::path(options.out) / "report.json");
    fs::remove(fs::path(options.out) / "rejected.txt");
  }
};

TEST_F(PrepareLifeTest, SplitsByTheIdAloneAndFillsShardsOfEachSide) {
  for (int i = 0; i < 40; ++i) add(numbered("p", i), i);
  options.validation_share = 0.25;
  options.test_share = 0.2;
  prepare(options);
  std::vector<std::string> all;
  for (const char* split : {"train", "validation", "test"}) {
    const auto names = ids(split);
    EXPECT_FALSE(names.empty());
    for (const std::string& name : names) EXPECT_EQ(split_of(stable_id(name), 0.25, 0.2), split);
    all.insert(all.end(), names.begin(), names.end());
  }
  std::sort(all.begin(), all.end());
  auto whole = ids();
  std::sort(whole.begin(), whole.end());
  EXPECT_EQ(all, whole);
  EXPECT_EQ(all.size(), 40u);
  const Dataset everything(options.out), train(options.out, "train");
  EXPECT_NE(everything.fingerprint(), train.fingerprint());
  EXPECT_NE(Dataset(options.out, "test").fingerprint(), train.fingerprint());
  EXPECT_EQ(validation_split(options.out), "validation");
  const auto report = nlohmann::json::parse(read_bytes(folder / "out/report.json"));
  EXPECT_EQ(report.at("splits").at("train"), train.size());
  EXPECT_EQ(report.at("sizes").at("32x32"), 40);
  EXPECT_GT(report.at("distributions").at("quality").at("median"), 0.0);
}

TEST_F(PrepareLifeTest, OneWorkerOrManyGiveEqualBytesOfAllSides) {
  for (int i = 0; i < 30; ++i) add(numbered("p", i), i, 48 + i, 64);
  save(mask_path("p5.png"), striped_mask(53, 64, 0, 0));
  options.validation_share = 0.3;
  options.compression = "gzip";
  options.workers = 1;
  prepare(options);
  PrepareOptions other = options;
  other.workers = 5;
  other.out = (folder / "other").string();
  prepare(other);
  EXPECT_EQ(dataset_bytes(options.out), dataset_bytes(other.out));
}

TEST_F(PrepareLifeTest, GoesOnWithEqualBytesAfterAnyShard) {
  for (int i = 0; i < 30; ++i) add(numbered("p", i), i);
  for (const int bad : {3, 17, 29}) save(mask_path(numbered("p", bad)), striped_mask(48, 64, 0, 0));
  options.validation_share = 0.3;
  options.test_share = 0.2;
  prepare(options);
  const auto straight = dataset_bytes(options.out);
  const auto index = *read_index(options.out);
  // The rejections before the last photo of the shard belong to it.
  size_t known = 0;
  for (size_t shards = 0; shards <= index.shards.size(); ++shards) {
    if (shards > 0) {
      const ShardReader shard = open_shard(options.out, index.shards[shards - 1]);
      const std::string last = shard.info(shard.summary().samples - 1).id;
      while (known < index.rejections.size() && index.rejections[known].photo < last) ++known;
    }
    interrupt_after(shards, {index.rejections.begin(), index.rejections.begin() + known});
    prepare(options);
    ASSERT_EQ(dataset_bytes(options.out), straight) << "after " << shards << " shards";
  }
}

TEST_F(PrepareLifeTest, AppendsWhatIsNewAndLeavesTheOldShardsAlone) {
  for (int i = 0; i < 6; ++i) add(numbered("p", i), i);
  options.validation_share = 0.3;
  prepare(options);
  const auto before = dataset_bytes(options.out);
  const auto old_ids = ids();
  const std::string fingerprint = Dataset(options.out).fingerprint();
  const auto old_train = ids("train");

  for (int i = 6; i < 11; ++i) add(numbered("a", i), i);
  EXPECT_THAT(input_error([&] { prepare(options); }),
              AllOf(HasSubstr("6 photos there, 11 now"), HasSubstr("--append")));
  const PrepareReport report = append();
  EXPECT_EQ(report.photos, 11);
  EXPECT_EQ(report.kept, 11);
  EXPECT_EQ(report.photos_now, 5);
  EXPECT_NE(Dataset(options.out).fingerprint(), fingerprint);
  for (const auto& [name, bytes] : before)
    if (name.ends_with(".h5")) {
      EXPECT_EQ(read_bytes(fs::path(options.out) / name), bytes) << name;
    }
  for (const std::string& id : old_train) EXPECT_THAT(ids("train"), testing::Contains(id));
  EXPECT_EQ(ids().size(), 11u);

  const auto appended = dataset_bytes(options.out);
  prepare(options);  // the same photos: nothing to do, with and without the flag
  append();
  EXPECT_EQ(dataset_bytes(options.out), appended);
}

TEST_F(PrepareLifeTest, AppendsAnotherFolder) {
  for (int i = 0; i < 5; ++i) add(numbered("p", i), i);
  prepare(options);
  save(folder / "more/images/q.png", plain_photo(48, 64, 9));
  save(folder / "more/masks/q.png", striped_mask(48, 64, 0, 30));
  options.images = (folder / "more/images").string();
  options.masks = (folder / "more/masks").string();
  EXPECT_EQ(append().kept, 6);
  EXPECT_EQ(ids().back(), "q.png");
}

TEST_F(PrepareLifeTest, RefusesAppendedPhotosThatChangedAndOtherOptions) {
  for (int i = 0; i < 5; ++i) add(numbered("p", i), i);
  prepare(options);
  const auto before = dataset_bytes(options.out);
  add("p2.png", 2, 60, 90);
  add("p4.png", 4, 60, 90);
  EXPECT_THAT(input_error([&] { append(); }),
              AllOf(HasSubstr("p2.png"), HasSubstr("and 1 others"), HasSubstr("changed since")));
  options.quality_threshold = 0.01;
  EXPECT_THAT(input_error([&] { append(); }),
              HasSubstr("prepare.quality_threshold: 0 there, 0.01 now"));
  EXPECT_EQ(dataset_bytes(options.out), before);
}

TEST_F(PrepareLifeTest, TriesARejectedPhotoAgainWhenItsMaskWasMended) {
  for (int i = 0; i < 5; ++i) add(numbered("p", i), i);
  fs::remove(mask_path("p1.png"));
  fs::remove(mask_path("p3.png"));
  EXPECT_EQ(prepare(options).rejections.size(), 2u);
  EXPECT_EQ(read_bytes(folder / "out/rejected.txt"), "p1.png\np3.png\n");
  save(mask_path("p3.png"), striped_mask(48, 64, 0, 30));
  const PrepareReport report = append();
  EXPECT_EQ(report.photos_now, 1);
  EXPECT_EQ(report.kept, 4);
  EXPECT_EQ(read_bytes(folder / "out/rejected.txt"), "p1.png\n");
}

TEST_F(PrepareLifeTest, AnInterruptedAppendGoesOnWithEqualBytes) {
  for (int i = 0; i < 5; ++i) add(numbered("p", i), i);
  prepare(options);
  const size_t old_shards = read_index(options.out)->shards.size();
  for (int i = 0; i < 9; ++i) add(numbered("a", i), i);
  fs::remove(mask_path("a0.png"));
  append();
  const auto straight = dataset_bytes(options.out);
  const auto index = *read_index(options.out);
  interrupt_after(old_shards + 1, {index.rejections[0]});
  save(folder / "images/late.png", plain_photo(48, 64, 3));
  EXPECT_THAT(input_error([&] { append(); }), HasSubstr("finish it with those"));
  fs::remove(folder / "images/late.png");
  append();
  EXPECT_EQ(dataset_bytes(options.out), straight);
}

TEST_F(PrepareLifeTest, ADryRunReportsAndWritesNothing) {
  for (int i = 0; i < 6; ++i) add(numbered("p", i), i);
  fs::remove(mask_path("p1.png"));
  options.out = "";
  options.validation_share = 0.5;
  const PrepareReport dry = prepare(options, nullptr, {.dry_run = true});
  options.out = (folder / "out").string();
  prepare(options, nullptr, {.dry_run = true});
  EXPECT_FALSE(fs::exists(options.out));
  const PrepareReport real = prepare(options);
  EXPECT_EQ(dry.kept, 5);
  EXPECT_EQ(dry.rejected, real.rejected);
  EXPECT_EQ(dry.summary.to_json(), real.summary.to_json());

  const auto before = dataset_bytes(options.out);
  add("q.png", 8);
  const PrepareReport more = prepare(options, nullptr, {.append = true, .dry_run = true});
  EXPECT_EQ(more.photos_now, 1);
  EXPECT_EQ(dataset_bytes(options.out), before);
}

TEST_F(PrepareLifeTest, VerificationNamesEveryBadSampleAndShard) {
  for (int i = 0; i < 12; ++i) add(numbered("p", i), i);
  options.compression = "gzip";
  prepare(options);
  const auto index = *read_index(options.out);
  ASSERT_EQ(index.shards.size(), 3u);
  EXPECT_EQ(verify_dataset(options.out, index, 2).samples, 12);
  EXPECT_TRUE(verify_dataset(options.out, index, 2).problems.empty());

  const fs::path first = fs::path(options.out) / index.shards[0].file;
  std::string bytes = read_bytes(first);
  const auto chunk = Hdf5Reader(first).rows("core", {4, 32, 32}).chunks[3];
  const auto place = static_cast<size_t>(chunk.offset + chunk.bytes / 2);
  bytes[place] = static_cast<char>(bytes[place] ^ 4);
  write_bytes(first, bytes);
  const fs::path second = fs::path(options.out) / index.shards[1].file;
  write_bytes(second, read_bytes(second).substr(0, 9000));
  fs::remove(fs::path(options.out) / index.shards[2].file);
  const Verification found = verify_dataset(options.out, index, 2);
  EXPECT_EQ(found.samples, 3);
  ASSERT_EQ(found.problems.size(), 3u);
  EXPECT_THAT(found.problems[0], AllOf(HasSubstr("shard-00000.h5"), HasSubstr("sample 3")));
  EXPECT_THAT(found.problems[1], AllOf(HasSubstr("shard-00001.h5"), HasSubstr("truncated")));
  EXPECT_THAT(found.problems[2], AllOf(HasSubstr("shard-00002.h5"), HasSubstr("No such file")));
}

TEST_F(PrepareLifeTest, VerificationFindsDamageThatNoSampleShows) {
  for (int i = 0; i < 4; ++i) add(numbered("p", i), i);
  prepare(options);
  const auto index = *read_index(options.out);
  const fs::path shard = fs::path(options.out) / index.shards[0].file;
  write_bytes(shard, read_bytes(shard) + '\0');
  const Verification found = verify_dataset(options.out, index, 2);
  EXPECT_EQ(found.samples, 4);
  ASSERT_EQ(found.problems.size(), 1u);
  EXPECT_THAT(found.problems[0], AllOf(HasSubstr("shard-00000.h5"), HasSubstr("file_hash")));
}

}  // namespace
}  // namespace limewash::data
