#include "data/swatch_features.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <span>
#include <utility>

#include "data/hash.h"
#include "data/latent_piece.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::data {
namespace {

constexpr int64_t kImagesOfBatch = 16;

size_t values_of(const std::vector<int64_t>& embedding_shape) {
  return static_cast<size_t>(std::accumulate(
      embedding_shape.begin(), embedding_shape.end(), int64_t{1}, std::multiplies<>()));
}

uint64_t checksum_of(std::span<const float> embedding, std::span<const float> color) {
  Hasher hasher;
  hasher.values(embedding);
  hasher.values(color);
  return hasher.digest();
}

std::vector<int64_t> sizes_of(int64_t count, const std::vector<int64_t>& embedding_shape) {
  std::vector<int64_t> sizes{count};
  sizes.insert(sizes.end(), embedding_shape.begin(), embedding_shape.end());
  return sizes;
}

}  // namespace

std::vector<float> encode_swatches(const SwatchBank& bank,
                                   const Encoders& encoders,
                                   int64_t first,
                                   int64_t count) {
  const size_t values = values_of(encoders.embedding_shape);
  std::vector<float> embeddings(static_cast<size_t>(count) * values);
  for (int64_t begin = 0; begin < count; begin += kImagesOfBatch) {
    std::vector<Image> swatches;
    for (int64_t i = begin; i < std::min(begin + kImagesOfBatch, count); ++i)
      swatches.push_back(bank.render(first + i, encoders.swatch_size));
    encoders.encode_references(swatches, &embeddings[static_cast<size_t>(begin) * values]);
  }
  for (size_t i = 0; i < embeddings.size(); ++i) {
    if (std::isfinite(embeddings[i])) continue;
    const auto swatch = first + static_cast<int64_t>(i / values);
    const Rgb& color = bank.color(swatch);
    throw InputError("the embedding of swatch " + std::to_string(swatch) + " of the bank, sRGB " +
                     std::to_string(color[0]) + " " + std::to_string(color[1]) + " " +
                     std::to_string(color[2]) + ", is not finite");
  }
  return embeddings;
}

void write_swatches(const std::filesystem::path& path,
                    const std::string& key,
                    const SwatchBank& bank,
                    const std::vector<int64_t>& embedding_shape,
                    int64_t first,
                    const std::vector<float>& embeddings) {
  const size_t values = values_of(embedding_shape);
  const auto count = static_cast<int64_t>(embeddings.size() / values);
  std::vector<float> colors;
  std::vector<uint64_t> checksums;
  for (int64_t i = 0; i < count; ++i) {
    const Rgb& color = bank.color(first + i);
    colors.insert(colors.end(), color.begin(), color.end());
    checksums.push_back(checksum_of({&embeddings[static_cast<size_t>(i) * values], values}, color));
  }
  const std::filesystem::path temporary = temporary_name(path);
  try {
    Hdf5Writer file(temporary);
    file.attribute("format", std::string("limewash-references"));
    file.attribute("version", kLatentCacheVersion);
    file.attribute("key", key);
    file.dataset(
        "embedding", Hdf5Type::kFloat32, sizes_of(count, embedding_shape), embeddings.data());
    file.dataset("color", Hdf5Type::kFloat32, {count, 3}, colors.data());
    file.dataset("checksum", Hdf5Type::kUint64, {count}, checksums.data());
    file.close();
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw;
  }
  publish(temporary, path);
}

SwatchFile::SwatchFile(std::filesystem::path path,
                       const std::string& key,
                       const std::vector<int64_t>& embedding_shape,
                       int64_t count)
    : SwatchFile(path, Hdf5Reader(path), key, embedding_shape, count) {}

SwatchFile::SwatchFile(std::filesystem::path path,
                       Hdf5Reader&& reader,
                       const std::string& key,
                       const std::vector<int64_t>& embedding_shape,
                       int64_t count)
    : path_(std::move(path)), file_(path_), count_(count) {
  if (reader.text_attribute("format") != "limewash-references" ||
      reader.integer_attribute("version") != kLatentCacheVersion ||
      reader.text_attribute("key") != key)
    throw InputError(path_.string() + ": holds the references of another latent cache");
  embedding_ = reader.array("embedding", Hdf5Type::kFloat32, sizes_of(count, embedding_shape));
  colors_ = reader.read_all<float>(reader.array("color", Hdf5Type::kFloat32, {count, 3}));
  checksums_ = reader.read_all<uint64_t>(reader.array("checksum", Hdf5Type::kUint64, {count}));
}

std::vector<float> SwatchFile::read(int64_t row) const {
  const int64_t bytes = embedding_.bytes / count_;
  std::vector<float> numbers(static_cast<size_t>(bytes) / sizeof(float));
  file_.read(embedding_.offset + row * bytes, bytes, numbers.data());
  const std::span<const float> color(&colors_.at(static_cast<size_t>(3 * row)), 3);
  if (checksum_of(numbers, color) != checksums_.at(static_cast<size_t>(row)))
    throw InputError(path_.string() + ": the embedding of row " + std::to_string(row) +
                     " is damaged; without the file it is made again");
  return numbers;
}

std::vector<float> SwatchFile::read() const {
  std::vector<float> all;
  for (int64_t row = 0; row < count_; ++row) {
    const std::vector<float> one = read(row);
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

}  // namespace limewash::data
