#include "data/bench_inputs.h"

#include <algorithm>
#include <cstdio>
#include <stdlib.h>
#include <string>
#include <utility>
#include <vector>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "data/dataset_index.h"
#include "data/image_io.h"
#include "data/mask_quality.h"
#include "data/ordered_parallel.h"
#include "data/room.h"
#include "data/shard.h"
#include "runtime/error.h"
#include "runtime/stop_signal.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kWidth = 1600, kHeight = 1200;
constexpr int64_t kShardSize = 100;

std::string numbered(const char* pattern, int64_t number) {
  char name[32];
  std::snprintf(name, sizeof name, pattern, static_cast<long long>(number));
  return name;
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw InputError(folder.string() + ": cannot be made: " + error.message());
}

/// Rows of the middle: rooms are square.
cv::Mat landscape(cv::Mat square) {
  return square.rowRange(static_cast<int>((kWidth - kHeight) / 2),
                         static_cast<int>((kWidth + kHeight) / 2));
}

void make_photo(const fs::path& folder, int64_t number) {
  const Room room(1, static_cast<uint64_t>(number), kWidth);
  Image photo = room.render(room.own_paint());
  const int side = static_cast<int>(kWidth);
  cv::Mat bgr;
  cv::cvtColor(
      landscape(cv::Mat(side, side, CV_8UC3, photo.pixels.data())), bgr, cv::COLOR_RGB2BGR);
  std::vector<uint8_t> jpeg;
  cv::imencode(".jpg", bgr, jpeg, {cv::IMWRITE_JPEG_QUALITY, 92});
  write_encoded(folder / "images" / numbered("%05lld.jpg", number),
                {reinterpret_cast<const char*>(jpeg.data()), jpeg.size()});
  const auto first = room.mask().pixels.begin() + (kWidth - kHeight) / 2 * kWidth;
  write_png(folder / "masks" / numbered("%05lld.png", number),
            Mask{kHeight, kWidth, {first, first + kHeight * kWidth}});
}

/// Shaded, with the wall on the left; the numbers change with the sample and cost one addition.
ShardSample make_sample(int64_t number, int64_t size) {
  const auto plane = static_cast<size_t>(size * size);
  ShardSample sample;
  sample.id = numbered("photo-%07lld.jpg", number);
  sample.pixels.image = {size, size, std::vector<uint8_t>(plane * 3)};
  auto value = static_cast<uint32_t>(number) * 2654435761U;
  for (uint8_t& pixel : sample.pixels.image.pixels) {
    value += 0x9E3779B9U;
    pixel = static_cast<uint8_t>(100 + (value >> 26));
  }
  sample.pixels.mask = {size, size, std::vector<uint8_t>(plane)};
  for (size_t i = 0; i < plane; ++i)
    sample.pixels.mask.pixels[i] =
        i % static_cast<size_t>(size) < static_cast<size_t>(size) / 2 ? 255 : 0;
  sample.pixels.core = sample.pixels.mask;
  sample.color = {0.5F, 0.5F, 0.5F};
  sample.palette.resize(static_cast<size_t>(kPaletteColors));
  sample.quality_parts.resize(quality_part_names().size(), 1.0F);
  return sample;
}

}  // namespace

BenchFolder::BenchFolder() {
  std::string name = (fs::temp_directory_path() / "limewash-bench-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw InputError(name + ": cannot be made");
  path_ = name;
}

BenchFolder::~BenchFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void make_photos(const fs::path& folder, int64_t count, int64_t threads) {
  make_folder(folder / "images");
  make_folder(folder / "masks");
  ordered_parallel<bool>(
      0,
      count,
      static_cast<int>(threads),
      2 * threads,
      [&](int64_t number) {
        if (!stop_requested()) make_photo(folder, number);
        return true;
      },
      [](int64_t, bool) { return !stop_requested(); });
}

void make_pixel_dataset(const fs::path& folder, int64_t samples, int64_t size) {
  make_folder(folder);
  DatasetIndex index;
  index.complete = true;
  index.configuration = "{}";
  index.photos = index.photos_done = samples;
  for (int64_t begin = 0; begin < samples; begin += kShardSize) {
    std::vector<ShardSample> part;
    for (int64_t i = begin; i < std::min(samples, begin + kShardSize); ++i)
      part.push_back(make_sample(i, size));
    ShardEntry entry;
    entry.file = shard_file_name(index.shards.size());
    entry.summary = write_shard(folder / entry.file, index.configuration, part);
    index.shards.push_back(std::move(entry));
  }
  write_index(folder, index);
}

Encoders cheap_encoders() {
  constexpr int64_t kChannels = 4, kEmbedding = 1024;
  Encoders encoders;
  encoders.fingerprint = "bench";
  encoders.latent_channels = kChannels;
  encoders.downscale = 1;
  encoders.embedding_shape = {kEmbedding};
  encoders.embedding_kind = "bench";
  encoders.swatch_size = 16;
  encoders.encode_images = [](std::span<const Image> images, float* mean, float* deviation) {
    for (const Image& image : images)
      for (int64_t c = 0; c < kChannels; ++c)
        for (int64_t i = 0; i < image.height * image.width; ++i) {
          *mean++ = static_cast<float>(image.pixels[static_cast<size_t>(i * 3 + c % 3)]) / 255;
          *deviation++ = 0.1F;
        }
  };
  encoders.encode_references = [](std::span<const Image> images, float* embeddings) {
    for (const Image& image : images)
      for (int64_t i = 0; i < kEmbedding; ++i)
        *embeddings++ =
            static_cast<float>(image.pixels[static_cast<size_t>(i) % image.pixels.size()]) / 255;
  };
  return encoders;
}

}  // namespace limewash::data
