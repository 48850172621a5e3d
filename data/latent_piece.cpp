#include "data/latent_piece.h"

#include <algorithm>
#include <random>
#include <unistd.h>
#include <utility>

#include "data/hash.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::data {
namespace {

std::span<const float> slice(const std::vector<float>& values, int64_t index, int64_t size) {
  return std::span<const float>(values).subspan(static_cast<size_t>(index * size),
                                                static_cast<size_t>(size));
}

/// [count, K, ...embedding_shape]
std::vector<int64_t> embedding_sizes(const LatentShape& shape, int64_t count) {
  std::vector<int64_t> sizes{count, shape.recolorings};
  sizes.insert(sizes.end(), shape.embedding_shape.begin(), shape.embedding_shape.end());
  return sizes;
}

/// A temporary name that no other process on any host takes.
std::filesystem::path temporary_name(const std::filesystem::path& path) {
  std::random_device device;
  const uint64_t nonce = (static_cast<uint64_t>(device()) << 32) | device();
  return path.string() + ".tmp-" + std::to_string(::getpid()) + "-" + to_hex(nonce);
}

}  // namespace

LatentPiece::LatentPiece(const LatentShape& piece_shape, int64_t first_sample, int64_t samples)
    : shape(piece_shape),
      first(first_sample),
      count(samples),
      target_mean(static_cast<size_t>(samples * shape.recolorings * shape.latent())),
      target_deviation(target_mean.size()),
      hole(static_cast<size_t>(samples * shape.latent())),
      mask(static_cast<size_t>(samples * shape.plane())),
      core(mask.size()),
      embedding(static_cast<size_t>(samples * shape.recolorings * shape.embedding())),
      color(static_cast<size_t>(samples * shape.recolorings * 3)),
      fit(shape.channels) {}

CachedSample LatentPiece::view(int64_t sample, int64_t k) const {
  const int64_t row = sample * shape.recolorings + k;
  CachedSample view;
  view.target_mean = slice(target_mean, row, shape.latent());
  view.target_deviation = slice(target_deviation, row, shape.latent());
  view.hole = slice(hole, sample, shape.latent());
  view.mask = slice(mask, sample, shape.plane());
  view.core = slice(core, sample, shape.plane());
  view.embedding = slice(embedding, row, shape.embedding());
  std::copy_n(&color[static_cast<size_t>(row * 3)], 3, view.color.begin());
  return view;
}

uint64_t LatentPiece::checksum(int64_t sample, int64_t k) const {
  Hasher hasher;
  const CachedSample parts = view(sample, std::min(k, shape.recolorings - 1));
  if (k < shape.recolorings) {
    hasher.values(parts.target_mean);
    hasher.values(parts.target_deviation);
    hasher.values(parts.embedding);
    hasher.values(std::span<const float>(parts.color));
  } else {
    hasher.values(parts.hole);
    hasher.values(parts.mask);
    hasher.values(parts.core);
  }
  return hasher.digest();
}

void write_piece(const std::filesystem::path& path,
                 const std::string& fingerprint,
                 const LatentPiece& piece) {
  const LatentShape& shape = piece.shape;
  const int64_t n = piece.count, k = shape.recolorings, h = shape.height, w = shape.width;
  std::vector<uint64_t> checksums;
  for (int64_t sample = 0; sample < n; ++sample)
    for (int64_t i = 0; i <= k; ++i) checksums.push_back(piece.checksum(sample, i));

  const std::filesystem::path temporary = temporary_name(path);
  try {
    Hdf5Writer file(temporary);
    file.attribute("format", std::string("limewash-latents"));
    file.attribute("version", kLatentCacheVersion);
    file.attribute("fingerprint", fingerprint);
    file.attribute("first_sample", piece.first);
    const auto floats =
        [&](const char* name, const std::vector<int64_t>& sizes, const std::vector<float>& values) {
          file.dataset(name, Hdf5Type::kFloat32, sizes, values.data());
        };
    floats("target_mean", {n, k, shape.channels, h, w}, piece.target_mean);
    floats("target_deviation", {n, k, shape.channels, h, w}, piece.target_deviation);
    floats("hole", {n, shape.channels, h, w}, piece.hole);
    floats("mask", {n, h, w}, piece.mask);
    floats("core", {n, h, w}, piece.core);
    if (shape.embedding() > 0) floats("embedding", embedding_sizes(shape, n), piece.embedding);
    floats("color", {n, k, 3}, piece.color);
    file.dataset("checksum", Hdf5Type::kUint64, {n, k + 1}, checksums.data());
    const int64_t c = shape.channels + 1;
    file.dataset("fit_gram", Hdf5Type::kFloat64, {c, c}, piece.fit.gram.data());
    file.dataset("fit_response", Hdf5Type::kFloat64, {c, 3}, piece.fit.response.data());
    file.close();
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw;
  }
  publish(temporary, path);
}

LatentPieceFile::LatentPieceFile(std::filesystem::path path,
                                 const std::string& fingerprint,
                                 const LatentShape& shape,
                                 int64_t first,
                                 int64_t count)
    : LatentPieceFile(path, Hdf5Reader(path), fingerprint, shape, first, count) {}

LatentPieceFile::LatentPieceFile(std::filesystem::path path,
                                 Hdf5Reader&& reader,
                                 const std::string& fingerprint,
                                 const LatentShape& shape,
                                 int64_t first,
                                 int64_t count)
    : path_(std::move(path)),
      file_(path_),
      shape_(shape),
      first_(first),
      count_(count),
      fit_(shape.channels) {
  if (reader.text_attribute("format") != "limewash-latents" ||
      reader.integer_attribute("version") != kLatentCacheVersion ||
      reader.text_attribute("fingerprint") != fingerprint ||
      reader.integer_attribute("first_sample") != first)
    throw InputError(path_.string() + ": is a piece of another latent cache");
  const int64_t k = shape.recolorings, h = shape.height, w = shape.width, c = shape.channels;
  const auto floats = [&](const char* name, const std::vector<int64_t>& sizes) {
    return reader.array(name, Hdf5Type::kFloat32, sizes);
  };
  target_mean_ = floats("target_mean", {count, k, c, h, w});
  target_deviation_ = floats("target_deviation", {count, k, c, h, w});
  hole_ = floats("hole", {count, c, h, w});
  mask_ = floats("mask", {count, h, w});
  core_ = floats("core", {count, h, w});
  if (shape.embedding() > 0) embedding_ = floats("embedding", embedding_sizes(shape, count));
  color_ = floats("color", {count, k, 3});
  checksums_ =
      reader.read_all<uint64_t>(reader.array("checksum", Hdf5Type::kUint64, {count, k + 1}));
  fit_.gram = reader.read_all<double>(reader.array("fit_gram", Hdf5Type::kFloat64, {c + 1, c + 1}));
  fit_.response =
      reader.read_all<double>(reader.array("fit_response", Hdf5Type::kFloat64, {c + 1, 3}));
}

void LatentPieceFile::damaged(int64_t sample) const {
  throw InputError(path_.string() + ": the encoder outputs of sample " +
                   std::to_string(first_ + sample) +
                   " are damaged; without the file they are made again");
}

std::vector<float> LatentPieceFile::values(const Hdf5Array& array,
                                           int64_t row,
                                           int64_t rows) const {
  // Arrays of [count, K, ...] have count * K rows here, the others count.
  const int64_t row_bytes = array.bytes / rows;
  std::vector<float> numbers(static_cast<size_t>(row_bytes) / sizeof(float));
  file_.read(array.offset + row * row_bytes, row_bytes, numbers.data());
  return numbers;
}

LatentPiece LatentPieceFile::read() const {
  LatentPiece piece(shape_, first_, count_);
  piece.target_mean = values(target_mean_, 0, 1);
  piece.target_deviation = values(target_deviation_, 0, 1);
  piece.hole = values(hole_, 0, 1);
  piece.mask = values(mask_, 0, 1);
  piece.core = values(core_, 0, 1);
  piece.embedding = values(embedding_, 0, 1);
  piece.color = values(color_, 0, 1);
  piece.fit = fit_;
  auto expected = checksums_.begin();
  for (int64_t sample = 0; sample < count_; ++sample)
    for (int64_t k = 0; k <= shape_.recolorings; ++k)
      if (piece.checksum(sample, k) != *expected++) damaged(sample);
  return piece;
}

LatentPiece LatentPieceFile::read(int64_t sample, int64_t k) const {
  LatentShape one = shape_;
  one.recolorings = 1;
  LatentPiece piece(one, first_ + sample, 1);
  const int64_t row = sample * shape_.recolorings + k, rows = count_ * shape_.recolorings;
  piece.target_mean = values(target_mean_, row, rows);
  piece.target_deviation = values(target_deviation_, row, rows);
  piece.embedding = values(embedding_, row, rows);
  piece.color = values(color_, row, rows);
  piece.hole = values(hole_, sample, count_);
  piece.mask = values(mask_, sample, count_);
  piece.core = values(core_, sample, count_);
  const auto* expected = &checksums_[static_cast<size_t>(sample * (shape_.recolorings + 1))];
  if (piece.checksum(0, 0) != expected[k] || piece.checksum(0, 1) != expected[shape_.recolorings])
    damaged(sample);
  return piece;
}

const AffineFit& LatentPieceFile::fit() const {
  return fit_;
}

}  // namespace limewash::data
