#include "tests/data/dataset_fixture.h"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <stdlib.h>

#include "data/mask.h"
#include "data/wall_color.h"

namespace limewash::data {

namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "limewash-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string numbered(const std::string& prefix, int64_t number, const std::string& suffix) {
  return prefix + std::to_string(number) + suffix;
}

std::string read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::vector<std::pair<std::string, std::string>> dataset_bytes(const fs::path& folder) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with('.') && entry.is_regular_file())
      files.emplace_back(name, read_bytes(entry.path()));
  }
  std::sort(files.begin(), files.end());
  return files;
}

Image plain_photo(int64_t height, int64_t width, int number) {
  Image photo{height, width, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < 3; ++c)
        photo.pixels.push_back(static_cast<uint8_t>(60 + (number * (37 + 11 * c)) % 120 +
                                                    (x * 20 + y * 10) / (width + height) +
                                                    (x * 7 + y * 13 + c) % 5));
  return photo;
}

Mask striped_mask(int64_t height, int64_t width, int64_t left, int64_t right) {
  Mask mask{height, width, std::vector<uint8_t>(static_cast<size_t>(height * width))};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = left; x < right; ++x) mask.pixels[static_cast<size_t>(y * width + x)] = 255;
  return mask;
}

ShardSample plain_sample(int64_t size, int number) {
  ShardSample sample;
  sample.id = numbered("room/photo-", number, ".jpg");
  sample.caption = number % 2 == 0 ? "" : "a wall";
  sample.pixels.image = plain_photo(size, size, number);
  sample.pixels.mask = striped_mask(size, size, 0, size / 2);
  sample.pixels.core = striped_mask(size, size, 0, size / 4);
  sample.color = *median_color(sample.pixels.image, sample.pixels.core);
  sample.palette = palette(sample.pixels.image, sample.pixels.core, 1, 2);
  sample.quality_parts = {0.5f, 1.0f, 0.25f, 1.0f, 0.5f, 0.25f, 0.75f, 1.0f, 0.5f, 0.25f};
  sample.quality = quality_of(sample.quality_parts);
  return sample;
}

void make_dataset(const fs::path& folder,
                  const std::vector<ShardSample>& samples,
                  size_t shard_size) {
  fs::create_directories(folder);
  DatasetIndex index;
  index.complete = true;
  index.configuration = R"({"size":0})";
  index.photos = index.photos_done = static_cast<int64_t>(samples.size());
  for (size_t begin = 0; begin < samples.size(); begin += shard_size) {
    ShardEntry shard{shard_file_name(index.shards.size()), {}};
    const auto part = std::span<const ShardSample>(samples).subspan(
        begin, std::min(shard_size, samples.size() - begin));
    shard.summary = write_shard(folder / shard.file, index.configuration, part);
    index.shards.push_back(std::move(shard));
  }
  write_index(folder, index);
}

}  // namespace limewash::data
