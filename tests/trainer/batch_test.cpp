#include "trainer/batch.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "data/variant.h"
#include "models/lora_dropout.h"
#include "runtime/random.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::trainer {
namespace {

constexpr int64_t kChannels = 2, kRecolorings = 3;
constexpr uint64_t kSeed = 5;

data::Encoders plain_encoders() {
  data::Encoders encoders;
  encoders.fingerprint = "plain";
  encoders.latent_channels = kChannels;
  encoders.downscale = 8;
  encoders.embedding_shape = {4};
  encoders.swatch_size = 8;
  encoders.encode_images = [](std::span<const data::Image> batch, float* mean, float* deviation) {
    for (const data::Image& image : batch)
      for (int64_t i = 0; i < kChannels * (image.height / 8) * (image.width / 8); ++i) {
        *mean++ = static_cast<float>(image.pixels[static_cast<size_t>(i * 7)]) / 255;
        *deviation++ = 0.25F + static_cast<float>(i) / 64;
      }
  };
  encoders.encode_references = [](std::span<const data::Image> batch, float* embeddings) {
    for (const data::Image& image : batch)
      for (size_t d = 0; d < 4; ++d) *embeddings++ = static_cast<float>(image.pixels[d]) + 1;
  };
  return encoders;
}

class BatchSourceTest : public testing::Test {
 protected:
  BatchSourceTest() {
    std::vector<data::ShardSample> samples;
    for (int i = 0; i < 10; ++i) samples.push_back(data::plain_sample(16, i));
    for (int i = 10; i < 16; ++i) samples.push_back(data::plain_sample(24, i));
    data::make_dataset(folder / "d", samples, 10);
    dataset = std::make_unique<data::Dataset>(folder / "d");
    cache = open_cache(data::LatentCacheOptions().max_bytes_in_memory);
    options.global_batch = 8;
    options.micro_batch = 2;
    options.drop_reference = 0.3;
  }

  std::unique_ptr<data::LatentCache> open_cache(int64_t max_bytes_in_memory) const {
    const auto alone = make_single_process_communicator();
    data::LatentCacheOptions cache_options;
    cache_options.recolorings = kRecolorings;
    cache_options.seed = kSeed;
    cache_options.max_bytes_in_memory = max_bytes_in_memory;
    cache_options.variants = variants;
    return data::LatentCache::open(*dataset, cache_options, plain_encoders(), *alone);
  }

  /// Change a sample's targets in the files of the cache.
  void damage(int64_t index) const {
    for (int64_t k = 0; k < kRecolorings; ++k) {
      const auto sample = cache->sample(index, k);
      const std::string row(reinterpret_cast<const char*>(sample.target_mean.data()),
                            sample.target_mean.size_bytes());
      bool found = false;
      for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "d")) {
        if (found || !entry.is_regular_file()) continue;
        std::string bytes = data::read_bytes(entry.path());
        const size_t place = bytes.find(row);
        if (place == std::string::npos) continue;
        found = true;
        bytes[place] = static_cast<char>(bytes[place] ^ 1);
        std::fstream(entry.path(), std::ios::binary | std::ios::in | std::ios::out) << bytes;
      }
      ASSERT_TRUE(found) << "reference " << k;
    }
  }

  std::unique_ptr<BatchSource> source(int rank = 0, int ranks = 1) {
    data::LoaderOptions loader;
    loader.workers = 2;
    loader.skip_bad_samples = skip_bad_samples;
    return std::make_unique<BatchSource>(BatchSourceParts{*dataset,
                                                          *cache,
                                                          torch::full({4}, -7.0F),
                                                          schedule,
                                                          kRecolorings,
                                                          kSeed,
                                                          rank,
                                                          ranks,
                                                          loader,
                                                          false,
                                                          offset_noise},
                                         options,
                                         true);
  }

  data::TemporaryFolder folder;
  std::unique_ptr<data::Dataset> dataset;
  std::unique_ptr<data::LatentCache> cache;
  models::NoiseScheduleConfig schedule;
  TrainingOptions options;
  bool skip_bad_samples = false;
  int64_t variants = 1;
  double offset_noise = 0;
};

TEST_F(BatchSourceTest, GivesTheSamplesOfTheGlobalBatchWithTheirDraws) {
  const auto batches = source();
  int dropped = 0;
  for (int64_t step = 0; step < 6; ++step) {
    const auto expected = batches->global_batch(step);
    ASSERT_EQ(expected.size(), 8u);
    for (size_t first = 0; first < 8; first += 2) {
      const MicroBatch batch = batches->next();
      ASSERT_EQ(batch.samples.size(), 2u);
      for (int64_t row = 0; row < 2; ++row) {
        const StreamSample& sample = expected[first + static_cast<size_t>(row)];
        EXPECT_EQ(batch.samples[static_cast<size_t>(row)].index, sample.index);
        const auto k = data::recoloring_of(kSeed, sample.epoch, sample.id, kRecolorings);
        const auto cached = cache->sample(sample.index, k);
        RandomStream of_vae(kSeed, Purpose::kVaeSample, sample.epoch, sample.id);
        RandomStream of_noise(kSeed, Purpose::kNoise, sample.epoch, sample.id);
        const auto z0 = batch.z0[row].flatten(), noise = batch.noise[row].flatten();
        ASSERT_EQ(z0.numel(), static_cast<int64_t>(cached.target_mean.size()));
        for (int64_t i = 0; i < z0.numel(); ++i) {
          const auto at = static_cast<size_t>(i);
          EXPECT_EQ(z0[i].item<float>(),
                    cached.target_mean[at] + cached.target_deviation[at] * of_vae.normal());
          EXPECT_EQ(noise[i].item<float>(), of_noise.normal());
        }
        const auto same = [](const at::Tensor& tensor, std::span<const float> values) {
          return torch::equal(tensor.flatten(),
                              torch::tensor(std::vector<float>(values.begin(), values.end())));
        };
        EXPECT_TRUE(same(batch.hole_latents[row], cached.hole));
        EXPECT_TRUE(same(batch.mask[row], cached.mask));
        EXPECT_TRUE(same(batch.core[row], cached.core));
        dropped += sample.drop_reference ? 1 : 0;
        EXPECT_TRUE(sample.drop_reference
                        ? torch::equal(batch.embeddings[row], torch::full({4}, -7.0F))
                        : same(batch.embeddings[row], cached.embedding));
        EXPECT_EQ(batch.timesteps[row].item<int64_t>(), sample.timestep);
        EXPECT_EQ(batch.quality[row].item<float>(), dataset->info(sample.index).quality);
        EXPECT_TRUE(same(batch.asked_lab[row], data::rgb_to_lab(cached.color)));
      }
    }
  }
  EXPECT_GT(dropped, 3);
  EXPECT_LT(dropped, 40);
}

TEST_F(BatchSourceTest, ShiftsTheNoiseOfAChannelByADrawOfTheSample) {
  const auto plain = source();
  offset_noise = 0.25;
  const auto shifted = source();
  std::vector<float> shifts;
  for (int i = 0; i < 20; ++i) {
    const MicroBatch without = plain->next(), with = shifted->next();
    for (int64_t row = 0; row < 2; ++row) {
      const auto& sample = with.samples[static_cast<size_t>(row)];
      RandomStream draws(kSeed, Purpose::kOffsetNoise, sample.epoch, sample.id);
      for (int64_t channel = 0; channel < kChannels; ++channel) {
        const auto shift = with.noise[row][channel] - without.noise[row][channel];
        const float expected = 0.25F * draws.normal();
        EXPECT_LT((shift - expected).abs().max().item<float>(), 1e-6F);
        shifts.push_back(expected);
      }
    }
    EXPECT_TRUE(torch::equal(with.z0, without.z0));
    EXPECT_TRUE(torch::equal(with.timesteps, without.timesteps));
  }
  EXPECT_GT(*std::max_element(shifts.begin(), shifts.end()), 0.1F);
}

TEST_F(BatchSourceTest, DealsTheMicroBatchesOfAStepToTheRanks) {
  const auto alone = source(), first = source(0, 2), second = source(1, 2);
  for (int64_t micro_batch = 0; micro_batch < 24; ++micro_batch) {
    const MicroBatch whole = alone->next();
    const MicroBatch part = (micro_batch % 2 == 0 ? first : second)->next();
    EXPECT_TRUE(torch::equal(whole.z0, part.z0));
    EXPECT_TRUE(torch::equal(whole.embeddings, part.embeddings));
  }
}

TEST_F(BatchSourceTest, GoesOnAnywhere) {
  const auto straight = source(1, 2), entered = source(1, 2);
  for (int64_t step = 0; step < 5; ++step)
    for (int i = 0; i < 2; ++i) straight->next();
  entered->seek(5);
  for (int i = 0; i < 4; ++i) {
    const MicroBatch expected = straight->next(), found = entered->next();
    EXPECT_TRUE(torch::equal(found.z0, expected.z0));
    EXPECT_TRUE(torch::equal(found.noise, expected.noise));
    EXPECT_TRUE(torch::equal(found.timesteps, expected.timesteps));
  }
}

/// All that is drawn for a sample, as bytes, by its epoch and id.
using Draws = std::map<std::pair<uint64_t, uint64_t>, std::string>;

std::string bytes_of(const at::Tensor& tensor) {
  const auto contiguous = tensor.contiguous();
  return {static_cast<const char*>(contiguous.const_data_ptr()), contiguous.nbytes()};
}

void collect_draws(const MicroBatch& batch, Draws& draws) {
  models::LoraDropout dropout(0.4);
  std::vector<models::DropoutKey> keys;
  for (const auto& sample : batch.samples) keys.push_back({sample.epoch, sample.id});
  dropout.begin(kSeed, keys);
  const auto dropped = dropout.apply(torch::ones({batch.z0.size(0), 3, 7}), /*layer=*/11);
  for (size_t i = 0; i < batch.samples.size(); ++i) {
    const auto& sample = batch.samples[i];
    std::string bytes = std::to_string(sample.timestep) + (sample.drop_reference ? "d" : "k");
    for (const auto& tensor : {batch.timesteps,
                               batch.noise,
                               batch.z0,
                               batch.mask,
                               batch.core,
                               batch.hole_latents,
                               batch.embeddings,
                               batch.asked_lab,
                               batch.quality,
                               dropped})
      bytes += bytes_of(tensor[static_cast<int64_t>(i)]);
    const auto [place, is_new] = draws.emplace(std::pair(sample.epoch, sample.id), bytes);
    EXPECT_TRUE(is_new || place->second == bytes) << "drawn twice in one epoch, differently";
  }
}

TEST_F(BatchSourceTest, EveryDrawFollowsFromEpochAndSampleAlone) {
  variants = 3;
  cache = open_cache(data::LatentCacheOptions().max_bytes_in_memory);
  const auto draws_of = [&](int64_t global, int64_t micro, int ranks, int64_t from_step) {
    options.global_batch = global;
    options.micro_batch = micro;
    Draws draws;
    for (int rank = ranks - 1; rank >= 0; --rank) {
      const auto batches = source(rank, ranks);
      batches->seek(from_step);
      for (int64_t i = from_step * global / micro / ranks; i < 48 / micro / ranks; ++i)
        collect_draws(batches->next(), draws);
    }
    return draws;
  };
  const Draws expected = draws_of(8, 8, 1, 0);
  EXPECT_GT(expected.size(), 40U);
  EXPECT_EQ(draws_of(8, 1, 1, 0), expected) << "place in a batch";
  EXPECT_EQ(draws_of(8, 2, 2, 0), expected) << "rank";
  EXPECT_EQ(draws_of(8, 1, 4, 0), expected) << "rank and place in a batch";
  // Later entry, and an order of other global batches: what both draw is the same.
  for (const Draws& other : {draws_of(8, 4, 1, 3), draws_of(4, 2, 1, 0), draws_of(2, 1, 2, 0)}) {
    size_t common = 0;
    for (const auto& [key, bytes] : other) {
      const auto found = expected.find(key);
      if (found == expected.end()) continue;
      ++common;
      EXPECT_TRUE(found->second == bytes) << "epoch " << key.first << ", sample " << key.second;
    }
    EXPECT_GT(common, 15U);
  }
  // And the draws do differ, between samples and between epochs.
  std::set<std::string> noise;
  for (const auto& [key, bytes] : expected) noise.insert(bytes);
  EXPECT_EQ(noise.size(), expected.size());
}

TEST_F(BatchSourceTest, TheStandInOfABadSampleHasItsOwnDraws) {
  constexpr int64_t kBad = 4;
  std::vector<MicroBatch> good;
  for (const auto batches = source(); good.size() < 40;) good.push_back(batches->next());
  cache = open_cache(0);
  damage(kBad);
  skip_bad_samples = true;
  const auto alone = source(), first = source(0, 2), second = source(1, 2);
  int stand_ins = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    const MicroBatch batch = alone->next(), part = (i % 2 == 0 ? first : second)->next();
    EXPECT_TRUE(torch::equal(batch.z0, part.z0)) << "two ranks choose another stand-in";
    for (int64_t row = 0; row < 2; ++row) {
      const auto at = static_cast<size_t>(row);
      if (good[i].samples[at].index != kBad) {
        EXPECT_TRUE(torch::equal(batch.z0[row], good[i].z0[row]));
        continue;
      }
      ++stand_ins;
      // Whichever it is, it looks as it does in its own place of the same epoch.
      const StreamSample& sample = batch.samples[at];
      EXPECT_NE(sample.index, kBad);
      for (const MicroBatch& other : good)
        for (int64_t place = 0; place < 2; ++place) {
          const StreamSample& own = other.samples[static_cast<size_t>(place)];
          if (own.index != sample.index || own.epoch != sample.epoch) continue;
          EXPECT_TRUE(torch::equal(batch.z0[row], other.z0[place]));
          EXPECT_TRUE(torch::equal(batch.noise[row], other.noise[place]));
          EXPECT_TRUE(torch::equal(batch.timesteps[row], other.timesteps[place]));
        }
    }
  }
  EXPECT_GT(stand_ins, 2);
  EXPECT_EQ(alone->skipped(), (std::vector<std::string>{"room/photo-4.jpg"}));
}

TEST_F(BatchSourceTest, NamesABadSample) {
  cache = open_cache(0);
  damage(4);
  const auto batches = source();
  EXPECT_THAT(data::input_error([&] {
                for (int i = 0; i < 40; ++i) batches->next();
              }),
              testing::HasSubstr("room/photo-4.jpg"));
}

TEST_F(BatchSourceTest, DividesByTheHolesOfTheGlobalBatch) {
  const auto batches = source();
  options.micro_batch = 8;
  const auto whole = source();
  NoiseLossOptions weights;
  weights.inside = 3;
  weights.outside = 0.5;
  for (int64_t step = 0; step < 6; ++step) {
    const MicroBatch batch = whole->next();
    const auto pixels =
        (batch.mask * 3 + (1 - batch.mask) * 0.5) * batch.quality.view({-1, 1, 1, 1});
    EXPECT_NEAR(batches->noise_weight_total(batches->global_batch(step), weights),
                pixels.sum().item<double>(),
                1e-4);
    const auto samples = batches->global_batch(step);
    for (int64_t row = 0; row < 8; ++row)
      EXPECT_EQ(samples[static_cast<size_t>(row)].has_core,
                batch.core[row].sum().item<float>() > 0);
  }
}

}  // namespace
}  // namespace limewash::trainer
