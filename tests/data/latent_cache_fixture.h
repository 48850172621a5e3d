#pragma once
// Encoders whose outputs are known in closed form, and a small dataset to encode.

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "data/latent_cache.h"
#include "data/latent_cache_plan.h"
#include "runtime/communicator.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::data {

inline constexpr int64_t kScale = 8, kChannels = 4, kEmbedding = 5;

/// Latents are an affine map of the mean colour of each block; an embedding is some of the
/// reference picture's bytes.
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

  std::vector<std::filesystem::path> cache_folders() const {
    std::vector<std::filesystem::path> folders;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "d"))
      if (entry.is_directory()) folders.push_back(entry.path());
    std::sort(folders.begin(), folders.end());
    return folders;
  }

  std::filesystem::path first_piece(const Dataset& dataset) {
    const Encoders encoders = fake.make();
    const LatentCachePlan plan(dataset, options, encoders);
    return plan.path(plan.pieces()[0]);
  }

  TemporaryFolder folder;
  LatentCacheOptions options;
  FakeEncoders fake;
};

}  // namespace limewash::data
