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

using Sizes = std::vector<int64_t>;

std::span<const float> slice(const std::vector<float>& values, int64_t index, int64_t size) {
  return std::span<const float>(values).subspan(static_cast<size_t>(index * size),
                                                static_cast<size_t>(size));
}

/// The sizes of each array of a piece of `n` samples.
struct PieceSizes {
  PieceSizes(const LatentShape& s, int64_t n)
      : target{n, s.variants, s.recolorings, s.channels, s.height, s.width},
        hole{n, s.variants, s.channels, s.height, s.width},
        plane{n, s.variants, s.height, s.width},
        embedding{n, s.recolorings},
        color{n, s.recolorings, 3},
        swatch{n, s.recolorings},
        area{n, s.variants, 2},
        checksum{n, s.checksums()},
        gram{s.channels + 1, s.channels + 1},
        response{s.channels + 1, 3} {
    embedding.insert(embedding.end(), s.embedding_shape.begin(), s.embedding_shape.end());
  }
  Sizes target, hole, plane, embedding, color, swatch, area, checksum, gram, response;
};

std::vector<LatentAreas> areas_of(const LatentPiece& piece) {
  std::vector<LatentAreas> areas;
  const auto sum = [](std::span<const float> values) {
    return std::accumulate(values.begin(), values.end(), 0.0);
  };
  for (int64_t row = 0; row < piece.count * piece.shape.variants; ++row)
    areas.push_back({sum(slice(piece.mask, row, piece.shape.plane())),
                     sum(slice(piece.core, row, piece.shape.plane()))});
  return areas;
}

/// Over what is read when a piece is opened.
uint64_t summary_checksum(const std::vector<uint64_t>& checksums,
                          const std::vector<LatentAreas>& areas,
                          const AffineFit& fit) {
  Hasher hasher;
  hasher.values(std::span<const uint64_t>(checksums));
  hasher.values(std::span<const LatentAreas>(areas));
  hasher.values(std::span<const double>(fit.gram));
  hasher.values(std::span<const double>(fit.response));
  return hasher.digest();
}

/// Row `row` of an array that is taken as `rows` rows.
template <class T>
std::vector<T> read_rows(const PositionedFile& file,
                         const Hdf5Array& array,
                         int64_t row,
                         int64_t rows) {
  const int64_t bytes = array.bytes / rows;
  std::vector<T> numbers(static_cast<size_t>(bytes) / sizeof(T));
  file.read(array.offset + row * bytes, bytes, numbers.data());
  return numbers;
}

}  // namespace

std::filesystem::path temporary_name(const std::filesystem::path& path) {
  std::random_device device;
  const uint64_t nonce = (static_cast<uint64_t>(device()) << 32) | device();
  return path.string() + ".tmp-" + std::to_string(::getpid()) + "-" + to_hex(nonce);
}

LatentPiece::LatentPiece(const LatentShape& piece_shape, int64_t samples)
    : shape(piece_shape),
      count(samples),
      target_mean(
          static_cast<size_t>(samples * shape.variants * shape.recolorings * shape.latent())),
      target_deviation(target_mean.size()),
      hole(static_cast<size_t>(samples * shape.variants * shape.latent())),
      mask(static_cast<size_t>(samples * shape.variants * shape.plane())),
      core(mask.size()),
      embedding(static_cast<size_t>(samples * shape.recolorings * shape.embedding())),
      color(static_cast<size_t>(samples * shape.recolorings * 3)),
      swatch(static_cast<size_t>(samples * shape.recolorings)),
      fit(shape.channels) {}

CachedSample LatentPiece::view(int64_t sample, int64_t k, int64_t variant) const {
  const int64_t seen = sample * shape.variants + variant, row = sample * shape.recolorings + k;
  const int64_t target = seen * shape.recolorings + k;
  CachedSample view;
  view.target_mean = slice(target_mean, target, shape.latent());
  view.target_deviation = slice(target_deviation, target, shape.latent());
  view.hole = slice(hole, seen, shape.latent());
  view.mask = slice(mask, seen, shape.plane());
  view.core = slice(core, seen, shape.plane());
  view.embedding = slice(embedding, row, shape.embedding());
  std::copy_n(&color[static_cast<size_t>(row * 3)], 3, view.color.begin());
  return view;
}

uint64_t LatentPiece::target_checksum(int64_t sample, int64_t variant, int64_t k) const {
  const CachedSample parts = view(sample, k, variant);
  Hasher hasher;
  hasher.values(parts.target_mean);
  hasher.values(parts.target_deviation);
  return hasher.digest();
}

uint64_t LatentPiece::hole_checksum(int64_t sample, int64_t variant) const {
  const CachedSample parts = view(sample, 0, variant);
  Hasher hasher;
  hasher.values(parts.hole);
  hasher.values(parts.mask);
  hasher.values(parts.core);
  return hasher.digest();
}

uint64_t LatentPiece::reference_checksum(int64_t sample, int64_t k) const {
  const CachedSample parts = view(sample, k, 0);
  Hasher hasher;
  hasher.values(parts.embedding);
  hasher.values(std::span<const float>(parts.color));
  hasher.values(
      std::span<const uint64_t>(&swatch[static_cast<size_t>(sample * shape.recolorings + k)], 1));
  return hasher.digest();
}

std::vector<uint64_t> LatentPiece::checksums(int64_t sample) const {
  std::vector<uint64_t> sums;
  for (int64_t v = 0; v < shape.variants; ++v)
    for (int64_t k = 0; k < shape.recolorings; ++k) sums.push_back(target_checksum(sample, v, k));
  for (int64_t v = 0; v < shape.variants; ++v) sums.push_back(hole_checksum(sample, v));
  for (int64_t k = 0; k < shape.recolorings; ++k) sums.push_back(reference_checksum(sample, k));
  return sums;
}

void write_piece(const std::filesystem::path& path,
                 const std::string& key,
                 const LatentPiece& piece) {
  const PieceSizes sizes(piece.shape, piece.count);
  std::vector<uint64_t> checksums;
  for (int64_t sample = 0; sample < piece.count; ++sample) {
    const auto own = piece.checksums(sample);
    checksums.insert(checksums.end(), own.begin(), own.end());
  }
  const std::vector<LatentAreas> areas = areas_of(piece);
  const uint64_t summary = summary_checksum(checksums, areas, piece.fit);

  const std::filesystem::path temporary = temporary_name(path);
  try {
    Hdf5Writer file(temporary);
    file.attribute("format", std::string("limewash-latents"));
    file.attribute("version", kLatentCacheVersion);
    file.attribute("key", key);
    const auto floats = [&](const char* name, const Sizes& shape, const std::vector<float>& v) {
      file.dataset(name, Hdf5Type::kFloat32, shape, v.data());
    };
    floats("target_mean", sizes.target, piece.target_mean);
    floats("target_deviation", sizes.target, piece.target_deviation);
    floats("hole", sizes.hole, piece.hole);
    floats("mask", sizes.plane, piece.mask);
    floats("core", sizes.plane, piece.core);
    if (piece.shape.embedding() > 0) floats("embedding", sizes.embedding, piece.embedding);
    floats("color", sizes.color, piece.color);
    file.dataset("swatch", Hdf5Type::kUint64, sizes.swatch, piece.swatch.data());
    file.dataset("area", Hdf5Type::kFloat64, sizes.area, areas.data());
    file.dataset("checksum", Hdf5Type::kUint64, sizes.checksum, checksums.data());
    file.dataset("fit_gram", Hdf5Type::kFloat64, sizes.gram, piece.fit.gram.data());
    file.dataset("fit_response", Hdf5Type::kFloat64, sizes.response, piece.fit.response.data());
    file.dataset("summary_checksum", Hdf5Type::kUint64, {1}, &summary);
    file.close();
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw;
  }
  publish(temporary, path);
}

LatentPieceFile::LatentPieceFile(std::filesystem::path path,
                                 const std::string& key,
                                 const LatentShape& shape,
                                 int64_t count,
                                 bool keep_open)
    : LatentPieceFile(path, Hdf5Reader(path), key, shape, count, keep_open) {}

LatentPieceFile::LatentPieceFile(std::filesystem::path path,
                                 Hdf5Reader&& reader,
                                 const std::string& key,
                                 const LatentShape& shape,
                                 int64_t count,
                                 bool keep_open)
    : path_(std::move(path)), shape_(shape), count_(count), fit_(shape.channels) {
  if (reader.text_attribute("format") != "limewash-latents" ||
      reader.integer_attribute("version") != kLatentCacheVersion ||
      reader.text_attribute("key") != key)
    throw InputError(path_.string() + ": is a piece of another latent cache");
  const PieceSizes sizes(shape, count);
  target_mean_ = reader.array("target_mean", Hdf5Type::kFloat32, sizes.target);
  target_deviation_ = reader.array("target_deviation", Hdf5Type::kFloat32, sizes.target);
  hole_ = reader.array("hole", Hdf5Type::kFloat32, sizes.hole);
  mask_ = reader.array("mask", Hdf5Type::kFloat32, sizes.plane);
  core_ = reader.array("core", Hdf5Type::kFloat32, sizes.plane);
  if (shape.embedding() > 0)
    embedding_ = reader.array("embedding", Hdf5Type::kFloat32, sizes.embedding);
  color_ = reader.array("color", Hdf5Type::kFloat32, sizes.color);
  swatch_ = reader.array("swatch", Hdf5Type::kUint64, sizes.swatch);
  checksums_ =
      reader.read_all<uint64_t>(reader.array("checksum", Hdf5Type::kUint64, sizes.checksum));
  areas_ = reader.read_all<LatentAreas>(reader.array("area", Hdf5Type::kFloat64, sizes.area));
  fit_.gram = reader.read_all<double>(reader.array("fit_gram", Hdf5Type::kFloat64, sizes.gram));
  fit_.response =
      reader.read_all<double>(reader.array("fit_response", Hdf5Type::kFloat64, sizes.response));
  const auto summary =
      reader.read_all<uint64_t>(reader.array("summary_checksum", Hdf5Type::kUint64, {1}));
  if (summary[0] != summary_checksum(checksums_, areas_, fit_))
    throw InputError(path_.string() +
                     ": its checksums or sums are damaged; without the file it is made again");
  if (keep_open) file_.emplace(path_);
}

void LatentPieceFile::damaged(int64_t sample) const {
  throw InputError(path_.string() + ": the encoder outputs in row " + std::to_string(sample) +
                   " are damaged; without the file they are made again");
}

LatentPiece LatentPieceFile::read() const {
  LatentPiece piece(shape_, count_);
  const PositionedFile file(path_);
  piece.target_mean = read_rows<float>(file, target_mean_, 0, 1);
  piece.target_deviation = read_rows<float>(file, target_deviation_, 0, 1);
  piece.hole = read_rows<float>(file, hole_, 0, 1);
  piece.mask = read_rows<float>(file, mask_, 0, 1);
  piece.core = read_rows<float>(file, core_, 0, 1);
  piece.embedding = read_rows<float>(file, embedding_, 0, 1);
  piece.color = read_rows<float>(file, color_, 0, 1);
  piece.swatch = read_rows<uint64_t>(file, swatch_, 0, 1);
  piece.fit = fit_;
  auto expected = checksums_.begin();
  for (int64_t sample = 0; sample < count_; ++sample)
    for (const uint64_t checksum : piece.checksums(sample))
      if (checksum != *expected++) damaged(sample);
  return piece;
}

LatentPiece LatentPieceFile::read(int64_t sample, int64_t k, int64_t variant) const {
  LatentShape one = shape_;
  one.recolorings = one.variants = 1;
  LatentPiece piece(one, 0);
  piece.count = 1;
  const int64_t seen = sample * shape_.variants + variant, row = sample * shape_.recolorings + k;
  const int64_t all_seen = count_ * shape_.variants, rows = count_ * shape_.recolorings;
  const int64_t target = seen * shape_.recolorings + k;
  std::optional<PositionedFile> opened;
  if (!file_) opened.emplace(path_);
  const PositionedFile& file = file_ ? *file_ : *opened;
  piece.target_mean = read_rows<float>(file, target_mean_, target, all_seen * shape_.recolorings);
  piece.target_deviation =
      read_rows<float>(file, target_deviation_, target, all_seen * shape_.recolorings);
  piece.hole = read_rows<float>(file, hole_, seen, all_seen);
  piece.mask = read_rows<float>(file, mask_, seen, all_seen);
  piece.core = read_rows<float>(file, core_, seen, all_seen);
  piece.embedding = read_rows<float>(file, embedding_, row, rows);
  piece.color = read_rows<float>(file, color_, row, rows);
  piece.swatch = read_rows<uint64_t>(file, swatch_, row, rows);
  const uint64_t* expected = &checksums_[static_cast<size_t>(sample * shape_.checksums())];
  const int64_t targets = shape_.variants * shape_.recolorings;
  if (piece.target_checksum(0, 0, 0) != expected[variant * shape_.recolorings + k] ||
      piece.hole_checksum(0, 0) != expected[targets + variant] ||
      piece.reference_checksum(0, 0) != expected[targets + shape_.variants + k])
    damaged(sample);
  return piece;
}

const AffineFit& LatentPieceFile::fit() const {
  return fit_;
}

const LatentAreas& LatentPieceFile::areas(int64_t sample, int64_t variant) const {
  return areas_.at(static_cast<size_t>(sample * shape_.variants + variant));
}

}  // namespace limewash::data
