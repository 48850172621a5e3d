#include "data/swatch_bank.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/latent_piece.h"
#include "data/room.h"
#include "data/swatch_features.h"
#include "tests/data/latent_cache_fixture.h"

namespace limewash::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;

ReferenceOptions with_bank(int64_t bank) {
  ReferenceOptions options;
  options.bank = bank;
  return options;
}

TEST(SwatchBank, FillsTheRangeOfRandomReferencesEvenly) {
  const SwatchBank bank(with_bank(512), 7);
  ASSERT_EQ(bank.size(), 512);
  // 4 x 4 x 4 cells of 8 swatches on average.
  std::map<std::array<int, 3>, int> cells;
  for (int64_t i = 0; i < bank.size(); ++i) {
    std::array<int, 3> cell{};
    for (size_t c = 0; c < 3; ++c) {
      const float channel = bank.color(i)[c];
      EXPECT_GE(channel, kDarkestReference);
      EXPECT_LE(channel, kBrightestReference);
      cell[c] = static_cast<int>(4 * (channel - kDarkestReference) /
                                 (kBrightestReference - kDarkestReference + 1e-6f));
    }
    ++cells[cell];
  }
  ASSERT_EQ(cells.size(), 64u);
  for (const auto& [cell, count] : cells) {
    // Independent draws would leave cells of 1 and of 17.
    EXPECT_GE(count, 5);
    EXPECT_LE(count, 11);
  }
}

TEST(SwatchBank, ALargerBankBeginsWithTheSmallerOne) {
  const SwatchBank small(with_bank(10), 7), large(with_bank(100), 7), other(with_bank(10), 8);
  for (int64_t i = 0; i < 10; ++i) EXPECT_EQ(small.color(i), large.color(i));
  EXPECT_NE(small.color(0), other.color(0));
}

TEST(SwatchBank, TheNearestIsTheNearestInLab) {
  const SwatchBank bank(with_bank(300), 7);
  for (uint64_t id = 0; id < 50; ++id) {
    const Rgb color = draw_paint(RandomStream(1, Purpose::kPaint, 0, id));
    const double chosen =
        delta_e_76(rgb_to_lab(bank.color(bank.nearest(color))), rgb_to_lab(color));
    for (int64_t i = 0; i < bank.size(); ++i)
      EXPECT_LE(chosen, delta_e_76(rgb_to_lab(bank.color(i)), rgb_to_lab(color)) + 1e-4);
  }
}

TEST(SwatchBank, AskForEachSwatchEquallyOftenUnderRandom) {
  ReferenceOptions options = with_bank(16);
  options.strategy = "random";
  const SwatchBank bank(options, 7);
  std::map<int64_t, int> counts;
  for (uint64_t id = 0; id < 1600; ++id) {
    const auto [reference, swatch] = draw_bank_reference(options, bank, 7, id, 0, {});
    EXPECT_EQ(reference.color, bank.color(swatch));
    EXPECT_FALSE(reference.own);
    ++counts[swatch];
  }
  EXPECT_EQ(counts.size(), 16u);
  // 100 on average; four standard deviations.
  for (const auto& [swatch, count] : counts) EXPECT_NEAR(count, 100, 40);
}

TEST(SwatchBank, AnOwnColourBecomesTheNearestSwatchsAndTheTargetFollows) {
  ReferenceOptions options = with_bank(64);
  options.strategy = "median";
  const SwatchBank bank(options, 7);
  const Rgb own{0.7f, 0.6f, 0.5f};
  const auto [reference, swatch] = draw_bank_reference(options, bank, 7, 1, 0, own);
  EXPECT_EQ(swatch, bank.nearest(own));
  EXPECT_EQ(reference.color, bank.color(swatch));
  EXPECT_FALSE(reference.own) << "the target is repainted in the swatch's colour";
}

TEST(SwatchBank, HoldsSwatchesOnly) {
  ReferenceOptions options = with_bank(8);
  EXPECT_NO_THROW(options.validate());
  options.image = "wall_crop";
  try {
    options.validate();
    FAIL() << "a bank of crops was accepted";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("reference.bank"), HasSubstr("wall_crop")));
  }
}

class BankCacheTest : public LatentCacheTest {
 protected:
  BankCacheTest() {
    options.reference.bank = 100;
  }
};

TEST_F(BankCacheTest, EncodesEachSwatchOnceHoweverManySamplesAskForIt) {
  const Dataset dataset(folder / "d");
  const auto cache = open(dataset);
  EXPECT_EQ(fake.swatches, 100);
  const SwatchBank bank(options.reference, options.seed);
  int own = 0, random = 0;
  for (int64_t index = 0; index < cache->size(); ++index) {
    const SampleInfo& info = dataset.info(index);
    for (int64_t k = 0; k < 3; ++k) {
      const auto [reference, swatch] =
          draw_bank_reference(options.reference, bank, options.seed, info.stable_id, k, info.color);
      (reference.random ? random : own) += 1;
      const CachedSample cached = cache->sample(index, k);
      EXPECT_EQ(cached.color, bank.color(swatch));
      const Image picture = bank.render(swatch, 16);
      ASSERT_EQ(cached.embedding.size(), static_cast<size_t>(kEmbedding));
      for (size_t d = 0; d < kEmbedding; ++d)
        EXPECT_EQ(cached.embedding[d], static_cast<float>(picture.pixels[d * 7]) / 255);
      const Image target = dataset.repainted(index, dataset.read(index), cached.color);
      EXPECT_NEAR(cached.target_mean[4],
                  2 * FakeEncoders::block(target, 0, 0)[1] - 1 +
                      0.25 * FakeEncoders::block(target, 0, 0)[0],
                  1e-5);
    }
  }
  EXPECT_GT(own, 0);
  EXPECT_GT(random, 0);
}

TEST_F(BankCacheTest, ReadsFromDiskWhatItHoldsInMemory) {
  const Dataset dataset(folder / "d");
  options.variants = 2;
  const auto in_memory = open(dataset);
  options.max_bytes_in_memory = 0;
  const int encoded = fake.images;
  const auto from_disk = open(dataset);
  EXPECT_EQ(fake.images, encoded);
  EXPECT_EQ(from_disk->latent_to_rgb(), in_memory->latent_to_rgb());
  for (int64_t index = 0; index < 70; index += 7)
    for (int64_t k = 0; k < 3; ++k)
      for (int64_t variant = 0; variant < 2; ++variant) {
        const CachedSample one = in_memory->sample(index, k, variant);
        const CachedSample two = from_disk->sample(index, k, variant);
        EXPECT_EQ(one.color, two.color);
        const auto same = [](std::span<const float> x, std::span<const float> y) {
          return std::equal(x.begin(), x.end(), y.begin(), y.end());
        };
        EXPECT_TRUE(same(one.target_mean, two.target_mean));
        EXPECT_TRUE(same(one.target_deviation, two.target_deviation));
        EXPECT_TRUE(same(one.hole, two.hole));
        EXPECT_TRUE(same(one.mask, two.mask));
        EXPECT_TRUE(same(one.core, two.core));
        EXPECT_TRUE(same(one.embedding, two.embedding));
      }
}

TEST_F(BankCacheTest, TwoRanksMakeTheBytesOfOne) {
  const Dataset dataset(folder / "d");
  open(dataset);
  const auto path = cache_folders().at(0);
  const auto alone = dataset_bytes(path);
  ASSERT_EQ(alone.size(), 4u) << "two pieces, two files of swatches";
  std::filesystem::remove_all(path);
  const auto ranks = make_thread_communicators(2);
  {
    std::vector<std::jthread> threads;
    for (size_t rank = 0; rank < 2; ++rank)
      threads.emplace_back(
          [&, rank] { LatentCache::open(dataset, options, fake.make(), *ranks[rank]); });
  }
  EXPECT_EQ(dataset_bytes(path), alone);
}

TEST_F(BankCacheTest, DamagedAndForeignSwatchesAreMadeAgain) {
  const Dataset dataset(folder / "d");
  open(dataset);
  const auto file = cache_folders().at(0) / "references-00001.h5";
  const std::string good = read_bytes(file);
  const std::string foreign = read_bytes(cache_folders().at(0) / "references-00000.h5");
  for (const std::string& bytes : {foreign, good.substr(0, 700), std::string("x")}) {
    write_bytes(file, bytes);
    open(dataset);
    EXPECT_EQ(read_bytes(file), good);
  }
}

TEST_F(BankCacheTest, AnyFlippedBitOfTheSwatchesIsFoundOrHarmless) {
  const Dataset dataset(folder / "d");
  open(dataset);
  const Encoders encoders = fake.make();
  const LatentCachePlan plan(dataset, options, encoders);
  const auto file = plan.swatch_path(1);
  const std::string good = read_bytes(file);
  const std::vector<float> expected = plan.open_swatches(1).read();
  size_t found = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    write_bytes(file, bytes);
    try {
      EXPECT_EQ(plan.open_swatches(1).read(), expected) << at;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr(file.string()));
      ++found;
    }
  }
  EXPECT_GT(found, expected.size() * sizeof(float));
}

TEST_F(BankCacheTest, NamesTheSwatchThatIsNotFinite) {
  const Dataset dataset(folder / "d");
  Encoders encoders = fake.make();
  encoders.encode_references = [](std::span<const Image> images, float* embeddings) {
    std::fill_n(embeddings, images.size() * kEmbedding, std::nanf(""));
  };
  const auto alone = make_single_process_communicator();
  EXPECT_THAT(input_error([&] { LatentCache::open(dataset, options, encoders, *alone); }),
              AllOf(HasSubstr("swatch 0"), HasSubstr("not finite")));
}

}  // namespace
}  // namespace limewash::data
