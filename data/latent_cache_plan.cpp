#include "data/latent_cache_plan.h"

#include <algorithm>
#include <cstdio>
#include <span>

#include <spdlog/spdlog.h>

#include "data/hash.h"
#include "runtime/config.h"
#include "runtime/error.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;

/// Hex over everything that shapes the numbers of every sample.
std::string fingerprint_of(const LatentCacheOptions& options, const Encoders& encoders) {
  Hasher hasher;
  const int64_t numbers[] = {kLatentCacheVersion,
                             kSamplesOfPiece,
                             options.recolorings,
                             options.variants,
                             static_cast<int64_t>(options.seed),
                             encoders.latent_channels,
                             encoders.downscale,
                             encoders.swatch_size};
  hasher.values(std::span<const int64_t>(numbers));
  hasher.values(std::span<const int64_t>(encoders.embedding_shape));
  hasher.text(encoders.embedding_kind);
  hasher.text(encoders.fingerprint);
  for (const auto& [key, value] : config::flatten(options.reference)) {
    hasher.text(key);
    hasher.text(value);
  }
  return hasher.hex();
}

LatentShape shape_of(const Dataset& dataset,
                     const Bucket& bucket,
                     const LatentCacheOptions& options,
                     const Encoders& encoders) {
  const int64_t scale = encoders.downscale;
  if (scale < 1 || bucket.height % scale != 0 || bucket.width % scale != 0)
    throw InputError(dataset.folder().string() + ": its samples of " +
                     std::to_string(bucket.width) + "x" + std::to_string(bucket.height) +
                     " pixels are no multiple of the encoder's " + std::to_string(scale));
  LatentShape shape{options.recolorings,
                    encoders.latent_channels,
                    bucket.height / scale,
                    bucket.width / scale,
                    encoders.embedding_shape,
                    options.variants};
  if (options.reference.bank > 0) shape.embedding_shape.clear();
  return shape;
}

void require_positive(const char* key, int64_t value) {
  if (value < 1)
    throw ConfigError(std::string(key) + ": " + std::to_string(value) + ", expected at least 1");
}

}  // namespace

LatentCachePlan::LatentCachePlan(const Dataset& dataset,
                                 const LatentCacheOptions& options,
                                 const Encoders& encoders)
    : dataset_(dataset), options_(options), encoders_(encoders) {
  require_positive("data.recolorings", options.recolorings);
  require_positive("data.variants", options.variants);
  options.reference.validate();
  if (options.reference.bank > 0 && !encoders.embedding_shape.empty())
    bank_ = std::make_unique<SwatchBank>(options.reference, options.seed);
  fingerprint_ = fingerprint_of(options, encoders);
  folder_ = dataset.folder() / ("cache-" + fingerprint_);
  for (const Bucket& bucket : dataset.buckets()) {
    shapes_.push_back(shape_of(dataset, bucket, options, encoders));
    const auto samples = static_cast<int64_t>(bucket.samples.size());
    for (int64_t first = 0; first < samples; first += kSamplesOfPiece) {
      Piece piece{"", shapes_.size() - 1, first, std::min(kSamplesOfPiece, samples - first)};
      Hasher hasher;
      hasher.text(fingerprint_);
      for (int64_t i = first; i < first + piece.count; ++i) {
        const uint64_t checksum = dataset.info(bucket.samples[static_cast<size_t>(i)]).checksum;
        hasher.bytes(&checksum, sizeof(checksum));
      }
      // An exemplar may be any other sample.
      if (options.reference.image == "exemplar") hasher.text(dataset.fingerprint());
      piece.key = hasher.hex();
      pieces_.push_back(std::move(piece));
    }
  }
}

const fs::path& LatentCachePlan::folder() const {
  return folder_;
}

const LatentShape& LatentCachePlan::shape(size_t bucket) const {
  return shapes_.at(bucket);
}

const std::vector<LatentCachePlan::Piece>& LatentCachePlan::pieces() const {
  return pieces_;
}

fs::path LatentCachePlan::path(const Piece& piece) const {
  return folder_ / ("piece-" + piece.key + ".h5");
}

LatentPieceFile LatentCachePlan::open(const Piece& piece, bool keep_open) const {
  return {path(piece), piece.key, shapes_[piece.bucket], piece.count, keep_open};
}

int64_t LatentCachePlan::swatch_files() const {
  return bank_ ? (bank_->size() + kSwatchesOfFile - 1) / kSwatchesOfFile : 0;
}

fs::path LatentCachePlan::swatch_path(int64_t file) const {
  char name[40];
  std::snprintf(name, sizeof(name), "references-%05lld.h5", static_cast<long long>(file));
  return folder_ / name;
}

std::string LatentCachePlan::swatch_key(int64_t file) const {
  return fingerprint_ + "-" + std::to_string(file);
}

int64_t LatentCachePlan::swatches_of(int64_t file) const {
  return std::min(kSwatchesOfFile, bank_->size() - file * kSwatchesOfFile);
}

SwatchFile LatentCachePlan::open_swatches(int64_t file) const {
  return {swatch_path(file), swatch_key(file), encoders_.embedding_shape, swatches_of(file)};
}

const SwatchBank* LatentCachePlan::bank() const {
  return bank_.get();
}

int64_t LatentCachePlan::num_files() const {
  return static_cast<int64_t>(pieces_.size()) + swatch_files();
}

int64_t LatentCachePlan::entries(int64_t file) const {
  const auto pieces = static_cast<int64_t>(pieces_.size());
  return file < pieces ? pieces_[static_cast<size_t>(file)].count : swatches_of(file - pieces);
}

fs::path LatentCachePlan::file_path(int64_t file) const {
  const auto pieces = static_cast<int64_t>(pieces_.size());
  return file < pieces ? path(pieces_[static_cast<size_t>(file)]) : swatch_path(file - pieces);
}

int64_t LatentCachePlan::bytes(int64_t file) const {
  const auto pieces = static_cast<int64_t>(pieces_.size());
  if (file < pieces) {
    const Piece& piece = pieces_[static_cast<size_t>(file)];
    return shapes_[piece.bucket].bytes(piece.count);
  }
  LatentShape of_swatch;
  of_swatch.embedding_shape = encoders_.embedding_shape;
  return swatches_of(file - pieces) * of_swatch.embedding() * static_cast<int64_t>(sizeof(float));
}

bool LatentCachePlan::in_memory() const {
  int64_t total = 0;
  for (int64_t file = 0; file < num_files(); ++file) total += bytes(file);
  return total < options_.max_bytes_in_memory;
}

int64_t LatentCachePlan::missing_bytes() const {
  int64_t missing = 0;
  std::error_code ignored;
  for (int64_t file = 0; file < num_files(); ++file)
    if (!fs::exists(file_path(file), ignored)) missing += bytes(file);
  return missing;
}

bool LatentCachePlan::usable(int64_t file) const {
  std::error_code ignored;
  if (!fs::exists(file_path(file), ignored)) return false;
  const auto pieces = static_cast<int64_t>(pieces_.size());
  try {
    if (file >= pieces) {
      open_swatches(file - pieces).read();
    } else {
      const LatentPieceFile piece = open(pieces_[static_cast<size_t>(file)], false);
      if (in_memory()) piece.read();
    }
    return true;
  } catch (const InputError& error) {
    spdlog::warn("{}; making it again", error.what());
    return false;
  }
}

void LatentCachePlan::make(int64_t file) const {
  const auto pieces = static_cast<int64_t>(pieces_.size());
  if (file >= pieces) {
    const int64_t number = file - pieces, first = number * kSwatchesOfFile;
    write_swatches(swatch_path(number),
                   swatch_key(number),
                   *bank_,
                   encoders_.embedding_shape,
                   first,
                   encode_swatches(*bank_, encoders_, first, swatches_of(number)));
    return;
  }
  const Piece& piece = pieces_[static_cast<size_t>(file)];
  const auto& samples = dataset_.buckets()[piece.bucket].samples;
  const PieceSamples own(&samples[static_cast<size_t>(piece.first)],
                         static_cast<size_t>(piece.count));
  write_piece(path(piece),
              piece.key,
              encode_piece(dataset_, options_, encoders_, shapes_[piece.bucket], bank_.get(), own));
}

}  // namespace limewash::data
