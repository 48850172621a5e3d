#include "data/latent_cache.h"

#include <cmath>
#include <limits>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/disk_space.h"
#include "data/latent_cache_plan.h"
#include "data/latent_piece.h"
#include "data/reference.h"
#include "data/variant.h"
#include "runtime/error.h"
#include "runtime/stop_signal.h"
#include "tests/data/latent_cache_fixture.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

TEST_F(LatentCacheTest, HoldsWhatTheReferencesAskFor) {
  const Dataset dataset(folder / "d");
  const auto cache = open(dataset);
  ASSERT_NE(cache, nullptr);
  EXPECT_EQ(cache->size(), 70);
  EXPECT_EQ(cache->latent_height(), 2);
  EXPECT_EQ(cache->latent_width(), 2);
  int own = 0, painted = 0;
  for (const int64_t index : {0, 33, 69}) {
    const SampleInfo& info = dataset.info(index);
    const Sample sample = dataset.read(index);
    for (int64_t k = 0; k < 3; ++k) {
      const auto reference =
          draw_reference(options.reference, options.seed, info.stable_id, k, info.color);
      (reference.own ? own : painted) += 1;
      const Image target =
          reference.own ? sample.image : dataset.repainted(index, sample, reference.color);
      const Image hole = fill_hole(options.reference, sample.image, sample.mask);
      const Mask hole_pixels = hole_mask(options.reference, sample.mask);
      const CachedSample cached = cache->sample(index, k);
      EXPECT_EQ(cached.color, reference.color);
      ASSERT_EQ(cached.target_mean.size(), static_cast<size_t>(kChannels * 4));
      for (int64_t y = 0; y < 2; ++y)
        for (int64_t x = 0; x < 2; ++x) {
          const auto place = static_cast<size_t>(y * 2 + x);
          const auto rgb = FakeEncoders::block(target, y, x);
          EXPECT_NEAR(cached.target_mean[4 + place], 2 * rgb[1] - 1 + 0.25 * rgb[0], 1e-5);
          EXPECT_EQ(cached.target_deviation[12 + place], 3.5f);
          EXPECT_NEAR(cached.hole[4 + place],
                      2 * FakeEncoders::block(hole, y, x)[1] - 1 +
                          0.25 * FakeEncoders::block(hole, y, x)[0],
                      1e-5);
          EXPECT_EQ(cached.mask[place],
                    hole_pixels.pixels[static_cast<size_t>(y * kScale * 16 + x * kScale)] == 255
                        ? 1.0f
                        : 0.0f);
          EXPECT_EQ(cached.core[place], x == 0 ? 0.5f : 0.0f);
        }
      const Image swatch = render_swatch(
          options.reference,
          reference.color,
          16,
          RandomStream(options.seed, Purpose::kSwatch, static_cast<uint64_t>(k), info.stable_id));
      for (size_t d = 0; d < kEmbedding; ++d)
        EXPECT_EQ(cached.embedding[d], static_cast<float>(swatch.pixels[d * 7]) / 255);
    }
  }
  EXPECT_GT(own, 0);
  EXPECT_GT(painted, 0);
}

TEST_F(LatentCacheTest, FindsTheMapFromLatentsToColours) {
  const Dataset dataset(folder / "d");
  const auto map = open(dataset)->latent_to_rgb();
  ASSERT_EQ(map.size(), static_cast<size_t>((kChannels + 1) * 3));
  // latent_0 = 2.25 r - 1, latent_1 = 2 g - 1 + 0.25 r, latent_2 = 2 b - 1 + 0.25 r; the fourth
  // adds nothing.
  const std::vector<double> expected{1 / 2.25,
                                     -0.125 / 2.25,
                                     -0.125 / 2.25,
                                     0,
                                     0.5,
                                     0,
                                     0,
                                     0,
                                     0.5,
                                     0,
                                     0,
                                     0,
                                     1 / 2.25,
                                     0.5 - 0.125 / 2.25,
                                     0.5 - 0.125 / 2.25};
  for (size_t i = 0; i < map.size(); ++i) EXPECT_NEAR(map[i], expected[i], 2e-3) << i;
}

TEST_F(LatentCacheTest, IsBuiltOnceAndEncodesThePhotoOnce) {
  const Dataset dataset(folder / "d");
  open(dataset);
  const int encoded = fake.images;
  EXPECT_EQ(fake.swatches, 70 * 3);
  // A hole and at most K targets each; the photo itself only once for all references that ask for
  // its colour.
  EXPECT_LT(encoded, 70 * 4);
  EXPECT_GT(encoded, 70 * 2);
  open(dataset);
  EXPECT_EQ(fake.images, encoded);
  EXPECT_EQ(cache_folders().size(), 1u);
}

TEST_F(LatentCacheTest, TwoRanksMakeTheBytesOfOne) {
  const Dataset dataset(folder / "d");
  open(dataset);
  const auto path = cache_folders().at(0);
  const auto alone = dataset_bytes(path);
  ASSERT_EQ(alone.size(), 2u);
  fs::remove_all(path);

  const auto ranks = make_thread_communicators(2);
  std::vector<std::unique_ptr<LatentCache>> caches(2);
  {
    std::vector<std::jthread> threads;
    for (size_t rank = 0; rank < 2; ++rank)
      threads.emplace_back([&, rank] {
        caches[rank] = LatentCache::open(dataset, options, fake.make(), *ranks[rank]);
      });
  }
  ASSERT_NE(caches[0], nullptr);
  ASSERT_NE(caches[1], nullptr);
  EXPECT_EQ(dataset_bytes(path), alone);
  EXPECT_EQ(caches[0]->latent_to_rgb(), caches[1]->latent_to_rgb());
  EXPECT_EQ(caches[0]->sample(69, 2).target_mean[3], caches[1]->sample(69, 2).target_mean[3]);
}

TEST_F(LatentCacheTest, AChangeOfAnythingMakesAnotherCache) {
  const Dataset dataset(folder / "d");
  open(dataset);
  const auto expect_another = [&](const char* what) {
    const size_t before = cache_folders().size();
    const int encoded = fake.images;
    open(dataset);
    EXPECT_EQ(cache_folders().size(), before + 1) << what;
    EXPECT_GT(fake.images, encoded) << what;
  };
  options.seed = 43;
  expect_another("seed");
  options.recolorings = 2;
  expect_another("recolorings");
  options.reference.noise = 4;
  expect_another("noise");
  options.reference.hole = "empty";
  expect_another("hole");
  options.reference.target = "original";
  expect_another("target");
}

TEST_F(LatentCacheTest, OtherEncodersMakeAnotherCache) {
  const Dataset dataset(folder / "d");
  open(dataset);
  Encoders other = fake.make();
  other.fingerprint = "newer weights";
  const auto alone = make_single_process_communicator();
  LatentCache::open(dataset, options, other, *alone);
  EXPECT_EQ(cache_folders().size(), 2u);
  other.embedding_kind = "another output of the same encoder";
  LatentCache::open(dataset, options, other, *alone);
  EXPECT_EQ(cache_folders().size(), 3u);
}

TEST_F(LatentCacheTest, KeepsHiddenStatesWithTheirShape) {
  const Dataset dataset(folder / "d");
  const auto flat = open(dataset);
  Encoders encoders = fake.make();
  encoders.embedding_shape = {kEmbedding, 1};
  const auto alone = make_single_process_communicator();
  const auto cache = LatentCache::open(dataset, options, encoders, *alone);
  EXPECT_EQ(cache->embedding_shape(), (std::vector<int64_t>{kEmbedding, 1}));
  EXPECT_EQ(cache_folders().size(), 2u);
  const auto ours = cache->sample(69, 1).embedding, theirs = flat->sample(69, 1).embedding;
  EXPECT_TRUE(std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end()));
}

TEST_F(LatentCacheTest, ForeignAndDamagedPiecesAreMadeAgain) {
  const Dataset dataset(folder / "d");
  open(dataset);
  const auto piece = first_piece(dataset);
  const std::string good = read_bytes(piece);
  options.seed = 43;
  open(dataset);
  const std::string foreign = read_bytes(first_piece(dataset));
  ASSERT_NE(foreign, good);
  options.seed = 42;

  std::string flipped = good;
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 8);
  for (const std::string& bytes :
       {foreign, flipped, good.substr(0, good.size() / 3), std::string("x")}) {
    write_bytes(piece, bytes);
    open(dataset);
    EXPECT_EQ(read_bytes(piece), good);
  }
}

TEST_F(LatentCacheTest, AnyFlippedBitOfAPieceIsFoundOrHarmless) {
  const Dataset dataset(folder / "d");
  const auto cache = open(dataset);
  const auto piece = first_piece(dataset);
  const std::string good = read_bytes(piece);
  const Encoders encoders = fake.make();
  const LatentCachePlan plan(dataset, options, encoders);
  const LatentPiece expected = plan.open(plan.pieces()[0], true).read();
  int found = 0, flips = 0;
  for (size_t at = 3; at < good.size(); at += 977, ++flips) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    write_bytes(piece, bytes);
    try {
      const LatentPieceFile file = plan.open(plan.pieces()[0], true);
      const LatentPiece read = file.read();
      EXPECT_EQ(read.target_mean, expected.target_mean) << at;
      EXPECT_EQ(read.hole, expected.hole) << at;
      EXPECT_EQ(read.embedding, expected.embedding) << at;
      EXPECT_EQ(file.fit().gram, expected.fit.gram) << at;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr(piece.string()));
      ++found;
    }
  }
  EXPECT_GT(found, flips / 2);
}

TEST_F(LatentCacheTest, WhatHasNotChangedIsUsedAgainWhenADatasetGrows) {
  open(Dataset(folder / "d"));
  const int encoded = fake.images, swatches = fake.swatches;
  std::vector<ShardSample> samples;
  for (int i = 0; i < 80; ++i) samples.push_back(plain_sample(16, i));
  fs::remove(folder / "d" / "index.json");
  make_dataset(folder / "d", samples, 50);
  const Dataset larger(folder / "d");
  ASSERT_EQ(larger.size(), 80);
  const auto cache = open(larger);
  EXPECT_EQ(cache_folders().size(), 1u);
  // The first piece has 64 samples; the 16 others are new to theirs.
  EXPECT_EQ(fake.swatches - swatches, 16 * 3);
  EXPECT_LT(fake.images - encoded, 16 * 4 + 1);
  FakeEncoders others;
  fs::remove_all(cache_folders().at(0));
  const auto alone = make_single_process_communicator();
  const auto fresh = LatentCache::open(larger, options, others.make(), *alone);
  for (const int64_t index : {0, 63, 64, 79}) {
    const auto ours = cache->sample(index, 1), theirs = fresh->sample(index, 1);
    EXPECT_TRUE(
        std::equal(ours.target_mean.begin(), ours.target_mean.end(), theirs.target_mean.begin()));
  }
  EXPECT_EQ(cache->latent_to_rgb(), fresh->latent_to_rgb());
}

TEST_F(LatentCacheTest, AChangedPhotoIsEncodedAgain) {
  open(Dataset(folder / "d"));
  std::vector<ShardSample> samples;
  for (int i = 0; i < 70; ++i) samples.push_back(plain_sample(16, i));
  samples[69].pixels.image.pixels[0] ^= 1;
  fs::remove(folder / "d" / "index.json");
  make_dataset(folder / "d", samples, 50);
  const int before = fake.swatches;
  open(Dataset(folder / "d"));
  EXPECT_EQ(fake.swatches - before, 6 * 3) << "the piece of the last six samples";
}

TEST_F(LatentCacheTest, EveryBucketHasLatentsOfItsOwnSize) {
  std::vector<ShardSample> samples;
  for (int i = 0; i < 4; ++i) samples.push_back(plain_sample(i % 2 == 0 ? 16 : 32, i));
  make_dataset(folder / "sizes", samples, 1);
  const Dataset dataset(folder / "sizes");
  ASSERT_EQ(dataset.buckets().size(), 2u);
  const auto cache = open(dataset);
  ASSERT_EQ(cache->size(), 4);
  for (int64_t index = 0; index < 4; ++index) {
    const int64_t side = index % 2 == 0 ? 2 : 4;
    EXPECT_EQ(cache->latent_height(index), side);
    EXPECT_EQ(cache->latent_width(index), side);
    const Image hole =
        fill_hole(options.reference, dataset.read(index).image, dataset.read(index).mask);
    const CachedSample cached = cache->sample(index, 0);
    ASSERT_EQ(cached.hole.size(), static_cast<size_t>(kChannels * side * side));
    const auto last = static_cast<size_t>(2 * side * side - 1);  // of the second channel
    EXPECT_NEAR(cached.hole[last],
                2 * FakeEncoders::block(hole, side - 1, side - 1)[1] - 1 +
                    0.25 * FakeEncoders::block(hole, side - 1, side - 1)[0],
                1e-5);
  }
}

TEST_F(LatentCacheTest, KnowsTheAreasWithoutReadingASample) {
  const Dataset dataset(folder / "d");
  options.variants = 3;
  const auto cache = open(dataset);
  for (const int64_t index : {0, 40, 69})
    for (int64_t variant = 0; variant < 3; ++variant) {
      const CachedSample cached = cache->sample(index, 0, variant);
      const auto sum = [](std::span<const float> values) {
        double total = 0;
        for (const float value : values) total += value;
        return total;
      };
      EXPECT_EQ(cache->hole_area(index, variant), sum(cached.mask));
      EXPECT_EQ(cache->core_area(index, variant), sum(cached.core));
    }
}

TEST_F(LatentCacheTest, AVariantIsCutFromPhotoMaskTargetAndHoleAlike) {
  const Dataset dataset(folder / "d");
  options.variants = 4;
  options.reference.strategy = "random";
  const auto cache = open(dataset);
  EXPECT_EQ(cache->variants(), 4);
  int changed = 0;
  for (const int64_t index : {0, 33, 69}) {
    const SampleInfo& info = dataset.info(index);
    const Sample whole = dataset.read(index);
    const auto reference = draw_reference(options.reference, options.seed, info.stable_id, 1, {});
    for (int64_t v = 0; v < 4; ++v) {
      const Variant variant = draw_variant(options.seed, info.stable_id, v, whole.core);
      const Sample sample = variant.apply(whole);
      const Image target = variant.apply(dataset.repainted(index, whole, reference.color));
      const Image hole = fill_hole(options.reference, sample.image, sample.mask);
      const CachedSample cached = cache->sample(index, 1, v);
      for (int64_t place = 0; place < 4; ++place) {
        const auto at = static_cast<size_t>(place);
        const auto rgb = FakeEncoders::block(target, place / 2, place % 2);
        EXPECT_NEAR(cached.target_mean[4 + at], 2 * rgb[1] - 1 + 0.25 * rgb[0], 1e-5);
        const auto seen = FakeEncoders::block(hole, place / 2, place % 2);
        EXPECT_NEAR(cached.hole[4 + at], 2 * seen[1] - 1 + 0.25 * seen[0], 1e-5);
      }
      const auto first = cache->sample(index, 1, 0);
      changed += !std::equal(cached.hole.begin(), cached.hole.end(), first.hole.begin());
    }
  }
  EXPECT_EQ(changed, 9);
}

TEST_F(LatentCacheTest, ADiskWithoutRoomIsAnErrorBeforeAnyoneEncodes) {
  EXPECT_THAT(
      input_error([&] { require_disk_space(folder / "d", int64_t{1} << 62, "the latent cache"); }),
      AllOf(HasSubstr("latent cache"), HasSubstr("TB"), HasSubstr("free")));
  require_disk_space(folder / "d", 1000, "the latent cache");
}

TEST_F(LatentCacheTest, TellsTheBytesThatItNeeds) {
  const Dataset dataset(folder / "d");
  const Encoders encoders = fake.make();
  const LatentCachePlan plan(dataset, options, encoders);
  const int64_t told = plan.missing_bytes();
  open(dataset);
  EXPECT_EQ(LatentCachePlan(dataset, options, encoders).missing_bytes(), 0);
  int64_t written = 0;
  for (const auto& [name, bytes] : dataset_bytes(cache_folders().at(0)))
    written += static_cast<int64_t>(bytes.size());
  EXPECT_LE(told, written);
  EXPECT_LT(written - told, 2 * 16384) << "HDF5's own blocks";
}

TEST_F(LatentCacheTest, NamesThePhotoOfValuesThatAreNotFinite) {
  const Dataset dataset(folder / "d");
  fake.poison = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(input_error([&] { open(dataset); }),
              AllOf(HasSubstr("photo-0.jpg"), HasSubstr("not finite")));
  fake.poison = 0;
  EXPECT_NE(open(dataset), nullptr);
}

TEST_F(LatentCacheTest, AFailingRankDoesNotLeaveTheOtherWaiting) {
  const Dataset dataset(folder / "d");
  FakeEncoders broken;
  broken.poison = std::numeric_limits<float>::infinity();
  const auto ranks = make_thread_communicators(2);
  std::vector<std::string> errors(2);
  {
    std::vector<std::jthread> threads;
    for (size_t rank = 0; rank < 2; ++rank)
      threads.emplace_back([&, rank] {
        const Encoders encoders = (rank == 1 ? broken : fake).make();
        errors[rank] =
            input_error([&] { LatentCache::open(dataset, options, encoders, *ranks[rank]); });
      });
  }
  EXPECT_THAT(errors[0], HasSubstr("photo-64.jpg"));
  EXPECT_EQ(errors[0], errors[1]);
}

TEST_F(LatentCacheTest, AStopRequestGivesNoCache) {
  const Dataset dataset(folder / "d");
  request_stop();
  const auto cache = open(dataset);
  request_stop(false);
  EXPECT_EQ(cache, nullptr);
  EXPECT_EQ(fake.images, 0);
}

TEST_F(LatentCacheTest, RefusesPicturesThatAreNoMultipleOfALatent) {
  make_dataset(folder / "odd", {plain_sample(20, 0)}, 1);
  const Dataset dataset(folder / "odd");
  EXPECT_THAT(input_error([&] { open(dataset); }), HasSubstr("20x20"));
}

TEST_F(LatentCacheTest, APieceReadsOneSampleAsItReadsAll) {
  const LatentShape shape{3, kChannels, 2, 2, {kEmbedding}, 2};
  const Dataset dataset(folder / "d");
  options.variants = 2;
  const std::vector<int64_t> samples{64, 65, 66, 3};
  const LatentPiece piece = encode_piece(dataset, options, fake.make(), shape, nullptr, samples);
  write_piece(folder / "piece.h5", "f", piece);
  for (const bool keep_open : {false, true}) {
    const LatentPieceFile file(folder / "piece.h5", "f", shape, 4, keep_open);
    for (int64_t sample = 0; sample < 4; ++sample)
      for (int64_t k = 0; k < 3; ++k)
        for (int64_t variant = 0; variant < 2; ++variant) {
          const LatentPiece one = file.read(sample, k, variant);
          EXPECT_EQ(one.target_checksum(0, 0, 0), piece.target_checksum(sample, variant, k));
          EXPECT_EQ(one.hole_checksum(0, 0), piece.hole_checksum(sample, variant));
          EXPECT_EQ(one.reference_checksum(0, 0), piece.reference_checksum(sample, k));
        }
    EXPECT_EQ(file.read().target_mean, piece.target_mean);
    EXPECT_EQ(file.fit().gram, piece.fit.gram);
  }
  EXPECT_THROW(LatentPieceFile(folder / "piece.h5", "g", shape, 4), InputError);
}

}  // namespace
}  // namespace limewash::data
