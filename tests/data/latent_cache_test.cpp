#include "data/latent_cache.h"

#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/latent_piece.h"
#include "data/reference.h"
#include "runtime/error.h"
#include "runtime/stop_signal.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t kScale = 8, kChannels = 4, kEmbedding = 5;

/// Encoders whose outputs are known in closed form: latents are an affine map of the mean colour of
/// each block.
struct FakeEncoders {
  std::atomic<int> images = 0, swatches = 0;
  float poison = 0;  ///< added to every latent

  Encoders make() {
    Encoders encoders;
    encoders.fingerprint = "fake";
    encoders.latent_channels = kChannels;
    encoders.downscale = kScale;
    encoders.embedding_shape = {kEmbedding};
    encoders.swatch_size = 16;
    encoders.encode_images = [this](std::span<const Image> batch, float* mean, float* deviation) {
      images += static_cast<int>(batch.size());
      for (const Image& image : batch) {
        const int64_t height = image.height / kScale, width = image.width / kScale;
        for (int64_t c = 0; c < kChannels; ++c)
          for (int64_t y = 0; y < height; ++y)
            for (int64_t x = 0; x < width; ++x) {
              const auto rgb = block(image, y, x);
              const double latent =
                  c < 3 ? 2 * rgb[static_cast<size_t>(c)] - 1 + 0.25 * rgb[0] : rgb[0] * rgb[1];
              *mean++ = static_cast<float>(latent) + poison;
              *deviation++ = static_cast<float>(c) + 0.5f;
            }
      }
    };
    encoders.encode_references = [this](std::span<const Image> batch, float* embeddings) {
      swatches += static_cast<int>(batch.size());
      for (const Image& image : batch)
        for (int64_t d = 0; d < kEmbedding; ++d)
          *embeddings++ = static_cast<float>(image.pixels[static_cast<size_t>(d * 7)]) / 255;
    };
    return encoders;
  }

  static std::array<double, 3> block(const Image& image, int64_t y, int64_t x) {
    std::array<double, 3> sums{};
    for (int64_t v = y * kScale; v < (y + 1) * kScale; ++v)
      for (int64_t u = x * kScale; u < (x + 1) * kScale; ++u)
        for (int64_t c = 0; c < 3; ++c)
          sums[static_cast<size_t>(c)] +=
              image.pixels[static_cast<size_t>((v * image.width + u) * 3 + c)] / 255.0 /
              (kScale * kScale);
    return sums;
  }
};

class LatentCacheTest : public testing::Test {
 protected:
  LatentCacheTest() {
    std::vector<ShardSample> samples;
    for (int i = 0; i < 70; ++i) samples.push_back(plain_sample(16, i));
    make_dataset(folder / "d", samples, 50);
    options.recolorings = 3;
    options.reference.random_probability = 0.5;
  }

  std::unique_ptr<LatentCache> open(const Dataset& dataset) {
    const auto alone = make_single_process_communicator();
    return LatentCache::open(dataset, options, fake.make(), *alone);
  }

  std::vector<fs::path> cache_folders() const {
    std::vector<fs::path> folders;
    for (const auto& entry : fs::directory_iterator(folder / "d"))
      if (entry.is_directory()) folders.push_back(entry.path());
    std::sort(folders.begin(), folders.end());
    return folders;
  }

  TemporaryFolder folder;
  LatentCacheOptions options;
  FakeEncoders fake;
};

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
  const auto first = cache_folders().at(0);
  const std::string good = read_bytes(first / "piece-00000.h5");
  options.seed = 43;
  open(dataset);
  const auto folders = cache_folders();
  const std::string foreign =
      read_bytes((folders[0] == first ? folders[1] : folders[0]) / "piece-00000.h5");
  ASSERT_NE(foreign, good);
  options.seed = 42;

  std::string flipped = good;
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 8);
  for (const std::string& bytes :
       {foreign, flipped, good.substr(0, good.size() / 3), std::string("x")}) {
    write_bytes(first / "piece-00000.h5", bytes);
    open(dataset);
    EXPECT_EQ(read_bytes(first / "piece-00000.h5"), good);
  }
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
  const LatentShape shape{3, kChannels, 2, 2, {kEmbedding}};
  const Dataset dataset(folder / "d");
  const LatentPiece piece = encode_piece(dataset, options, fake.make(), shape, 64, 6);
  write_piece(folder / "piece.h5", "f", piece);
  const LatentPieceFile file(folder / "piece.h5", "f", shape, 64, 6);
  for (int64_t sample = 0; sample < 6; ++sample)
    for (int64_t k = 0; k < 3; ++k) {
      const LatentPiece one = file.read(sample, k);
      EXPECT_EQ(one.checksum(0, 0), piece.checksum(sample, k));
      EXPECT_EQ(one.checksum(0, 1), piece.checksum(sample, 3));
    }
  EXPECT_EQ(file.read().target_mean, piece.target_mean);
  EXPECT_EQ(file.fit().gram, piece.fit.gram);
  EXPECT_THROW(LatentPieceFile(folder / "piece.h5", "g", shape, 64, 6), InputError);
}

}  // namespace
}  // namespace limewash::data
