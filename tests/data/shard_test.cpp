#include "data/shard.h"

#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/deflate.h"
#include "runtime/error.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::vector<ShardSample> plain_samples(int64_t size, int count) {
  std::vector<ShardSample> samples;
  for (int i = 0; i < count; ++i) samples.push_back(plain_sample(size, i));
  return samples;
}

void read_everything(const std::filesystem::path& path) {
  const ShardReader shard(path);
  for (int64_t i = 0; i < shard.summary().samples; ++i) shard.read(i);
}

/// Where a run of bytes stands in a file.
size_t place_of(const std::string& file, const std::vector<uint8_t>& bytes) {
  return file.find(std::string(bytes.begin(), bytes.end()));
}

/// Contiguous, and in gzip chunks.
class StoredShard : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Compression, StoredShard, testing::Bool(), [](const auto& stored) {
  return stored.param ? "Gzip" : "None";
});

TEST_P(StoredShard, GivesBackWhatWasWritten) {
  const TemporaryFolder folder;
  auto samples = plain_samples(24, 3);
  samples[1].room = RoomSource{7, uint64_t{1} << 63, 24};
  samples[2].id = "wohnküche/Ärger.png";
  const ShardSummary summary = write_shard(folder / "a.h5", "{}", samples, GetParam());
  EXPECT_EQ(summary.samples, 3);
  const ShardReader shard(folder / "a.h5");
  for (size_t i = 0; i < samples.size(); ++i) {
    const ShardSample read = shard.read(static_cast<int64_t>(i));
    EXPECT_EQ(read.id, samples[i].id);
    EXPECT_EQ(read.caption, samples[i].caption);
    EXPECT_EQ(read.pixels.image.pixels, samples[i].pixels.image.pixels);
    EXPECT_EQ(read.pixels.mask.pixels, samples[i].pixels.mask.pixels);
    EXPECT_EQ(read.pixels.core.pixels, samples[i].pixels.core.pixels);
    EXPECT_EQ(read.color, samples[i].color);
    EXPECT_EQ(read.palette, samples[i].palette);
    EXPECT_EQ(read.quality, samples[i].quality);
    EXPECT_EQ(read.quality_parts, samples[i].quality_parts);
    EXPECT_EQ(read.room.has_value(), i == 1);
  }
  EXPECT_EQ(shard.info(1).room->id, uint64_t{1} << 63);
}

TEST_P(StoredShard, EqualInputGivesEqualBytesAtAnotherTime) {
  const TemporaryFolder folder;
  const auto samples = plain_samples(24, 3);
  write_shard(folder / "a.h5", "{}", samples, GetParam());
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  write_shard(folder / "b.h5", "{}", samples, GetParam());
  EXPECT_EQ(read_bytes(folder / "a.h5"), read_bytes(folder / "b.h5"));
}

TEST(Shard, FingerprintFollowsPixelsAndConfiguration) {
  const TemporaryFolder folder;
  auto samples = plain_samples(24, 2);
  const auto first = write_shard(folder / "a.h5", "{}", samples).fingerprint;
  const auto configured = write_shard(folder / "a.h5", "{\"seed\":1}", samples).fingerprint;
  samples[1].pixels.core.pixels[0] ^= 255;
  const auto changed = write_shard(folder / "a.h5", "{}", samples).fingerprint;
  EXPECT_NE(first, configured);
  EXPECT_NE(first, changed);
}

TEST(Shard, NamesFileAndSampleOfAFlippedBit) {
  const TemporaryFolder folder;
  const auto samples = plain_samples(24, 3);
  write_shard(folder / "a.h5", "{}", samples);
  std::string bytes = read_bytes(folder / "a.h5");
  const size_t place = place_of(bytes, samples[1].pixels.image.pixels);
  ASSERT_NE(place, std::string::npos);
  bytes[place + 100] = static_cast<char>(bytes[place + 100] ^ 1);
  write_bytes(folder / "a.h5", bytes);
  const ShardReader shard(folder / "a.h5");
  shard.read(0);
  EXPECT_THAT(input_error([&] { shard.read(1); }),
              AllOf(HasSubstr("a.h5"), HasSubstr("photo-1.jpg"), HasSubstr("damaged")));
  shard.read(2);
}

TEST_P(StoredShard, NoFlippedByteIsTakenForTheTruth) {
  const TemporaryFolder folder;
  const auto samples = plain_samples(8, 2);
  const auto summary = write_shard(folder / "a.h5", "{}", samples, GetParam());
  const std::string bytes = read_bytes(folder / "a.h5");
  int refused = 0;
  // An odd step, so that each bit of a byte gets its turn.
  const size_t step = GetParam() ? 11 : 3;
  for (size_t place = 0; place < bytes.size(); place += step) {
    std::string damaged = bytes;
    damaged[place] = static_cast<char>(damaged[place] ^ (1 << (place % 8)));
    write_bytes(folder / "b.h5", damaged);
    try {
      const ShardReader shard(folder / "b.h5");
      ASSERT_EQ(shard.summary().fingerprint, summary.fingerprint) << "byte " << place;
      for (size_t i = 0; i < samples.size(); ++i)
        ASSERT_EQ(sample_checksum(shard.read(static_cast<int64_t>(i))), sample_checksum(samples[i]))
            << "byte " << place;
    } catch (const InputError& error) {
      ++refused;
      ASSERT_THAT(error.what(), HasSubstr("b.h5")) << "byte " << place;
    }
  }
  EXPECT_GT(refused, 100);
}

TEST_P(StoredShard, RefusesEveryTruncatedLength) {
  const TemporaryFolder folder;
  write_shard(folder / "a.h5", "{}", plain_samples(8, 2), GetParam());
  const std::string bytes = read_bytes(folder / "a.h5");
  for (size_t length = 0; length < bytes.size(); length += 61) {
    write_bytes(folder / "b.h5", bytes.substr(0, length));
    EXPECT_THAT(input_error([&] { read_everything(folder / "b.h5"); }), HasSubstr("b.h5"))
        << length;
  }
}

TEST_P(StoredShard, ListedShardTellsTruncationFromAnotherShard) {
  const TemporaryFolder folder;
  const auto summary = write_shard(folder / "a.h5", "{}", plain_samples(8, 2), GetParam());
  const std::string bytes = read_bytes(folder / "a.h5");
  EXPECT_THAT(input_error([&] { open_listed_shard(folder / "missing.h5", summary); }),
              HasSubstr("listed in index.json"));
  write_bytes(folder / "b.h5", bytes.substr(0, bytes.size() - 1));
  EXPECT_THAT(input_error([&] { open_listed_shard(folder / "b.h5", summary); }),
              HasSubstr("truncated"));
  write_shard(folder / "c.h5", "{\"seed\":1}", plain_samples(8, 2), GetParam());
  EXPECT_THAT(input_error([&] { open_listed_shard(folder / "c.h5", summary); }),
              HasSubstr("is not the shard that index.json lists"));
}

TEST(Shard, NamesTheSampleOfADamagedChunk) {
  const TemporaryFolder folder;
  const auto samples = plain_samples(24, 3);
  write_shard(folder / "a.h5", "{}", samples, true);
  std::string bytes = read_bytes(folder / "a.h5");
  const size_t place = place_of(bytes, deflate_bytes(samples[1].pixels.image.pixels));
  ASSERT_NE(place, std::string::npos);
  for (size_t byte = 0; byte < 200; byte += 7) {
    std::string damaged = bytes;
    damaged[place + byte] = static_cast<char>(damaged[place + byte] ^ (1 << (byte % 8)));
    write_bytes(folder / "a.h5", damaged);
    const ShardReader shard(folder / "a.h5");
    shard.read(0);
    EXPECT_THAT(input_error([&] { shard.read(1); }),
                AllOf(HasSubstr("a.h5"), HasSubstr("photo-1.jpg"), HasSubstr("damaged")));
    shard.read(2);
  }
}

TEST(Shard, InflatesNoMoreThanASampleHolds) {
  const TemporaryFolder folder;
  const std::vector<uint8_t> zeros(1 << 20);
  std::vector<uint8_t> row(8 * 8);
  EXPECT_THROW(inflate_bytes(deflate_bytes(zeros), row), InputError);
  EXPECT_THROW(inflate_bytes(deflate_bytes(std::vector<uint8_t>(63)), row), InputError);
  // A chunk that is too small for what it claims to hold is refused before memory is taken for it.
  {
    Hdf5Writer file(folder / "bomb.h5");
    file.declare_deflated("image", {1, 16384, 16384, 3});
    file.write_chunk("image", 0, deflate_bytes(row));
    file.close();
  }
  EXPECT_THAT(input_error([&] {
                Hdf5Reader(folder / "bomb.h5").rows("image", {1, 16384, 16384, 3});
              }),
              HasSubstr("impossible size"));
}

TEST(Shard, RefusesChunksThatItCannotInflateAlone) {
  const TemporaryFolder folder;
  {
    Hdf5Writer file(folder / "missing.h5");
    file.declare_deflated("mask", {2, 8, 8});
    file.write_chunk("mask", 0, deflate_bytes(std::vector<uint8_t>(64)));
    file.close();
  }
  EXPECT_THAT(input_error([&] {
                Hdf5Reader(folder / "missing.h5").rows("mask", {2, 8, 8});
              }),
              HasSubstr("row 1"));
}

TEST(Shard, NamesAnotherFormatVersion) {
  const TemporaryFolder folder;
  Hdf5Writer file(folder / "a.h5");
  file.attribute("format", std::string("limewash-shard"));
  file.attribute("version", int64_t{99});
  file.close();
  EXPECT_THAT(input_error([&] { ShardReader(folder / "a.h5"); }),
              AllOf(HasSubstr("a.h5"), HasSubstr("format version 99"), HasSubstr("version 2")));
}

TEST(Shard, RefusesForeignAndMisshapenFiles) {
  const TemporaryFolder folder;
  write_bytes(folder / "random.h5", std::string(5000, 'x'));
  EXPECT_THAT(input_error([&] { ShardReader(folder / "random.h5"); }), HasSubstr("random.h5"));
  EXPECT_THAT(input_error([&] { ShardReader(folder / "none.h5"); }), HasSubstr("none.h5"));
  std::filesystem::create_directory(folder / "folder.h5");
  EXPECT_THAT(input_error([&] { ShardReader(folder / "folder.h5"); }),
              HasSubstr("not a regular file"));
  {
    Hdf5Writer file(folder / "shape.h5");
    file.attribute("format", std::string("limewash-shard"));
    file.attribute("version", kShardVersion);
    file.attribute("height", int64_t{8});
    file.attribute("width", int64_t{8});
    file.attribute("configuration", std::string("{}"));
    file.attribute("split", std::string("train"));
    file.attribute("quality_part_names", quality_part_names());
    const std::vector<uint64_t> checksums(2);
    file.dataset("checksum", Hdf5Type::kUint64, {2}, checksums.data());
    const std::vector<uint8_t> image(2 * 8 * 4 * 3);
    file.dataset("image", Hdf5Type::kUint8, {2, 8, 4, 3}, image.data());
    file.close();
  }
  EXPECT_THAT(input_error([&] { ShardReader(folder / "shape.h5"); }),
              AllOf(HasSubstr("/image"), HasSubstr("[2, 8, 4, 3]"), HasSubstr("[2, 8, 8, 3]")));
}

TEST(Shard, LeavesNothingBehindWhenItCannotBeWritten) {
  const TemporaryFolder folder;
  auto samples = plain_samples(8, 2);
  samples[1].pixels.mask.pixels.pop_back();
  EXPECT_THROW(write_shard(folder / "a.h5", "{}", samples), InputError);
  EXPECT_FALSE(std::filesystem::exists(folder / "a.h5"));
  EXPECT_THAT(input_error([&] { write_shard(folder / "no/such/a.h5", "{}", plain_samples(8, 1)); }),
              HasSubstr("a.h5"));
}

}  // namespace
}  // namespace limewash::data
