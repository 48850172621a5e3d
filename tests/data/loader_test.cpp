#include "data/loader.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/variant.h"
#include "runtime/error.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t kChannels = 2, kEmbedding = 3, kRecolorings = 2, kVariants = 2, kBatch = 4;
constexpr uint64_t kSeed = 42;

/// Encoders that tell pictures apart: the latents are pixels of theirs.
Encoders plain_encoders() {
  Encoders encoders;
  encoders.fingerprint = "plain";
  encoders.latent_channels = kChannels;
  encoders.downscale = 8;
  encoders.embedding_shape = {kEmbedding};
  encoders.swatch_size = 8;
  encoders.encode_images = [](std::span<const Image> batch, float* mean, float* deviation) {
    for (const Image& image : batch)
      for (int64_t i = 0; i < kChannels * (image.height / 8) * (image.width / 8); ++i) {
        *mean++ = static_cast<float>(image.pixels[static_cast<size_t>(i * 11)]) / 255;
        *deviation++ = 0.5f;
      }
  };
  encoders.encode_references = [](std::span<const Image> batch, float* embeddings) {
    for (const Image& image : batch)
      for (size_t d = 0; d < kEmbedding; ++d)
        *embeddings++ = static_cast<float>(image.pixels[d]) / 255;
  };
  return encoders;
}

/// 20 samples of 16x16 and 10 of 24x24, with their cache.
class LoaderTest : public testing::Test {
 protected:
  LoaderTest() {
    std::vector<ShardSample> samples;
    for (int i = 0; i < 20; ++i) samples.push_back(plain_sample(16, i));
    for (int i = 20; i < 30; ++i) samples.push_back(plain_sample(24, i));
    make_dataset(folder / "d", samples, 10);
    dataset = std::make_unique<Dataset>(folder / "d");
    order = std::make_unique<SampleOrder>(kSeed, kBatch, bucket_members(*dataset));
    options.workers = 3;
  }

  /// In memory, or read from the files sample by sample.
  std::unique_ptr<LatentCache> open_cache(bool in_memory) const {
    const auto alone = make_single_process_communicator();
    LatentCacheOptions cache;
    cache.recolorings = kRecolorings;
    cache.variants = kVariants;
    cache.seed = kSeed;
    if (!in_memory) cache.max_bytes_in_memory = 0;
    return LatentCache::open(*dataset, cache, plain_encoders(), *alone);
  }

  /// Whole steps, as one rank loads them.
  PlanBatch whole_steps() const {
    return [this](int64_t number) {
      const StepPlan step = order->step(number);
      return BatchPlan{step.bucket, step.first, kBatch};
    };
  }

  CachedLoader load(const LatentCache& cache) const {
    return {*dataset, cache, *order, whole_steps(), kSeed, kRecolorings, options};
  }

  PixelLoader load_pixels() const {
    return {*dataset, *order, whole_steps(), options};
  }

  /// Change a byte in the middle of a sample's pixels.
  void damage(int64_t index) const {
    const fs::path shard = folder / "d" / shard_file_name(static_cast<size_t>(index / 10));
    std::string bytes = read_bytes(shard);
    const Sample sample = dataset->read(index);
    const std::string row(sample.image.pixels.begin(), sample.image.pixels.end());
    const size_t place = bytes.find(row);
    ASSERT_NE(place, std::string::npos);
    bytes[place + row.size() / 2] = static_cast<char>(bytes[place + row.size() / 2] ^ 1);
    // In place: the dataset has the file open.
    std::fstream file(shard, std::ios::binary | std::ios::in | std::ios::out);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  TemporaryFolder folder;
  std::unique_ptr<Dataset> dataset;
  std::unique_ptr<SampleOrder> order;
  LoaderOptions options;
};

/// All numbers of a batch, to compare batches with.
std::vector<float> numbers(const CachedBatch& batch) {
  std::vector<float> all;
  for (const auto part : {batch.target_mean,
                          batch.target_deviation,
                          batch.hole,
                          batch.mask,
                          batch.core,
                          batch.embedding,
                          batch.color})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

template <class Values>
void expect_row(const char* what, std::span<float> rows, int64_t row, const Values& values) {
  ASSERT_EQ(rows.size(), kBatch * values.size()) << what;
  const auto found = rows.subspan(static_cast<size_t>(row) * values.size(), values.size());
  EXPECT_TRUE(std::equal(values.begin(), values.end(), found.begin())) << what << " of " << row;
}

TEST_F(LoaderTest, GivesEachStepItsSamplesInTheirReferenceAndVariant) {
  for (const bool in_memory : {true, false}) {
    const auto cache = open_cache(in_memory);
    auto loader = load(*cache);
    std::set<int64_t> heights, variants;
    for (int64_t step = 0; step < 40; ++step) {
      const CachedBatch batch = loader.next();
      const StepPlan plan = order->step(step);
      ASSERT_EQ(batch.samples.size(), static_cast<size_t>(kBatch));
      EXPECT_EQ(batch.channels, kChannels);
      heights.insert(batch.height);
      for (int64_t row = 0; row < kBatch; ++row) {
        const auto position = order->at(plan.bucket, plan.first + row);
        EXPECT_EQ(batch.samples[static_cast<size_t>(row)].index, position.index);
        EXPECT_EQ(batch.samples[static_cast<size_t>(row)].epoch, position.epoch);
        EXPECT_EQ(batch.height, cache->latent_height(position.index));
        EXPECT_EQ(batch.width, cache->latent_width(position.index));
        const uint64_t id = dataset->info(position.index).stable_id;
        const int64_t variant = variant_of(kSeed, position.epoch, id, kRecolorings, kVariants);
        variants.insert(variant);
        const auto expected = cache->sample(
            position.index, recoloring_of(kSeed, position.epoch, id, kRecolorings), variant);
        expect_row("mean", batch.target_mean, row, expected.target_mean);
        expect_row("deviation", batch.target_deviation, row, expected.target_deviation);
        expect_row("hole", batch.hole, row, expected.hole);
        expect_row("mask", batch.mask, row, expected.mask);
        expect_row("core", batch.core, row, expected.core);
        expect_row("embedding", batch.embedding, row, expected.embedding);
        expect_row("color", batch.color, row, expected.color);
      }
    }
    EXPECT_EQ(heights, (std::set<int64_t>{2, 3}));
    EXPECT_EQ(variants, (std::set<int64_t>{0, 1}));
  }
}

TEST_F(LoaderTest, LiesInOneBlockOfTheGivenMemory) {
  const auto cache = open_cache(true);
  std::atomic<int64_t> blocks = 0;
  options.allocate = [&, pool = pooled_memory()](int64_t bytes) {
    ++blocks;
    return pool(bytes);
  };
  auto loader = load(*cache);
  const CachedBatch batch = loader.next();
  EXPECT_GE(blocks, 1);
  const auto* begin = batch.memory.data;
  const auto* end = begin + batch.memory.bytes;
  for (const auto part :
       {batch.target_mean, batch.hole, batch.core, batch.embedding, batch.color}) {
    const auto* data = reinterpret_cast<const std::byte*>(part.data());
    EXPECT_GE(data, begin);
    EXPECT_LE(data + part.size_bytes(), end);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % 64, 0u);
  }
}

TEST_F(LoaderTest, NeitherWorkersNorTheQueueChangeABatch) {
  const auto cache = open_cache(false);
  std::vector<std::vector<float>> expected;
  for (const auto& [workers, ahead] : {std::pair{1, 1}, {2, 3}, {5, 20}}) {
    options.workers = workers;
    options.batches_ahead = ahead;
    auto loader = load(*cache);
    for (size_t step = 0; step < 30; ++step) {
      const auto found = numbers(loader.next());
      if (workers == 1)
        expected.push_back(found);
      else
        EXPECT_EQ(found, expected[step]) << "step " << step << ", workers " << workers;
    }
  }
}

TEST_F(LoaderTest, TheBatchesOfTwoRanksAreThoseOfOne) {
  const auto cache = open_cache(true);
  auto alone = load(*cache);
  std::vector<std::unique_ptr<CachedLoader>> ranks;
  for (int64_t rank = 0; rank < 2; ++rank)
    ranks.push_back(std::make_unique<CachedLoader>(
        *dataset,
        *cache,
        *order,
        [this, rank](int64_t number) {
          const StepPlan step = order->step(number);
          return BatchPlan{step.bucket, step.first + rank * kBatch / 2, kBatch / 2};
        },
        kSeed,
        kRecolorings,
        options));
  for (int64_t step = 0; step < 20; ++step) {
    const CachedBatch whole = alone.next();
    std::vector<float> halves;
    for (auto& rank : ranks) {
      const CachedBatch half = rank->next();
      EXPECT_EQ(half.height, whole.height) << "the ranks draw from different buckets";
      halves.insert(halves.end(), half.target_mean.begin(), half.target_mean.end());
    }
    EXPECT_EQ(halves, std::vector<float>(whole.target_mean.begin(), whole.target_mean.end()));
  }
}

TEST_F(LoaderTest, SeekingGivesWhatGoingThereGives) {
  const auto cache = open_cache(false);
  auto straight = load(*cache);
  std::vector<std::vector<float>> expected;
  for (int i = 0; i < 40; ++i) expected.push_back(numbers(straight.next()));
  auto loader = load(*cache);
  for (const int64_t step : {7, 8, 39, 0, 25}) {
    loader.seek(step);
    EXPECT_EQ(numbers(loader.next()), expected[static_cast<size_t>(step)]);
  }
}

TEST_F(LoaderTest, LoadsThePixelsOfTheShards) {
  auto loader = load_pixels();
  std::set<int64_t> seen, heights;
  for (int64_t step = 0; step < 30; ++step) {
    const PixelBatch batch = loader.next();
    heights.insert(batch.height);
    for (size_t row = 0; row < kBatch; ++row) {
      seen.insert(batch.samples[row].index);
      const Sample expected = dataset->read(batch.samples[row].index);
      const auto same = [&](std::span<uint8_t> rows, const std::vector<uint8_t>& pixels) {
        return rows.size() == kBatch * pixels.size() &&
               std::memcmp(rows.data() + row * pixels.size(), pixels.data(), pixels.size()) == 0;
      };
      EXPECT_TRUE(same(batch.image, expected.image.pixels));
      EXPECT_TRUE(same(batch.mask, expected.mask.pixels));
      EXPECT_TRUE(same(batch.core, expected.core.pixels));
    }
  }
  EXPECT_EQ(seen.size(), 30u);
  EXPECT_EQ(heights, (std::set<int64_t>{16, 24}));
}

TEST_F(LoaderTest, ADamagedSampleFailsItsOwnBatchByName) {
  damage(13);
  auto loader = load_pixels();
  int failures = 0;
  for (int64_t step = 0; step < 20; ++step) {
    const StepPlan plan = order->step(step);
    bool holds_it = false;
    for (int64_t i = 0; i < kBatch; ++i)
      holds_it |= order->at(plan.bucket, plan.first + i).index == 13;
    if (holds_it) {
      ++failures;
      EXPECT_THAT(input_error([&] { loader.next(); }),
                  AllOf(HasSubstr("shard-00001.h5"), HasSubstr("photo-13.jpg")));
    } else {
      loader.next();
    }
  }
  EXPECT_GT(failures, 0);
  EXPECT_TRUE(loader.skipped().empty());
}

TEST_F(LoaderTest, TheNextGoodSampleStandsInForADamagedOne) {
  for (const int64_t index : {3, 13, 14}) damage(index);
  const auto good = [](int64_t index) { return index != 3 && index != 13 && index != 14; };
  options.skip_bad_samples = true;
  for (const int64_t workers : {1, 4}) {
    options.workers = workers;
    auto loader = load_pixels();
    for (int64_t step = 0; step < 40; ++step) {
      const StepPlan plan = order->step(step);
      const PixelBatch batch = loader.next();
      for (int64_t row = 0; row < kBatch; ++row) {
        int64_t position = plan.first + row;
        while (!good(order->at(plan.bucket, position).index)) ++position;
        EXPECT_EQ(batch.samples[static_cast<size_t>(row)].index,
                  order->at(plan.bucket, position).index);
      }
    }
    EXPECT_EQ(
        loader.skipped(),
        (std::vector<std::string>{"room/photo-13.jpg", "room/photo-14.jpg", "room/photo-3.jpg"}));
  }
}

TEST_F(LoaderTest, DoesNotSkipAWholeBucket) {
  for (int64_t index = 0; index < 20; ++index) damage(index);
  options.skip_bad_samples = true;
  auto loader = load_pixels();
  loader.seek([&] {
    int64_t step = 0;
    while (order->step(step).bucket != 0) ++step;
    return step;
  }());
  EXPECT_THAT(input_error([&] { loader.next(); }), HasSubstr("16 samples in a row are bad"));
}

TEST_F(LoaderTest, ADamagedCacheIsNoticedWhereItIsReadSampleBySample) {
  const auto cache = open_cache(false);
  for (const auto& entry : fs::recursive_directory_iterator(folder / "d")) {
    if (entry.path().filename().string().starts_with("shard") || !entry.is_regular_file() ||
        entry.path().extension() != ".h5")
      continue;
    std::string bytes = read_bytes(entry.path());
    // The values, not the structure: exponents that make numbers huge.
    for (size_t i = bytes.size() / 4; i < bytes.size() / 4 * 3; ++i)
      bytes[i] = static_cast<char>(bytes[i] ^ 0x40);
    std::fstream file(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  auto loader = load(*cache);
  const std::string error = input_error([&] {
    for (int i = 0; i < 20; ++i) loader.next();
  });
  EXPECT_THAT(error, AllOf(HasSubstr("room/photo-"), HasSubstr("damaged")));
}

TEST_F(LoaderTest, EndsWhileItsThreadsAreBusy) {
  const auto cache = open_cache(false);
  for (int round = 0; round < 20; ++round) {
    auto loader = load(*cache);
    for (int i = 0; i < round % 3; ++i) loader.next();
  }
  SUCCEED();
}

TEST(BatchMemory, IsUsedAgainAndAligned) {
  const auto allocate = pooled_memory();
  std::byte* first = nullptr;
  {
    const BatchMemory memory = allocate(1000);
    first = memory.data;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0u);
    EXPECT_EQ(memory.bytes, 1000);
    EXPECT_NE(allocate(1000).data, first);
  }
  std::set<std::byte*> blocks;
  for (int i = 0; i < 100; ++i) blocks.insert(allocate(1000).data);
  EXPECT_LE(blocks.size(), 2u);
  EXPECT_NE(allocate(5'000'000).data, nullptr);
}

}  // namespace
}  // namespace limewash::data
