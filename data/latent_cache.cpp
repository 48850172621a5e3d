#include "data/latent_cache.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <utility>

#include <spdlog/spdlog.h>

#include "data/hash.h"
#include "data/latent_piece.h"
#include "runtime/config.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/progress.h"
#include "runtime/stop_signal.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;

/// A cache below this is kept in memory, verified once; a larger one is read sample by sample.
constexpr int64_t kMaxBytesInMemory = int64_t{2} << 30;

constexpr const char* kStopped = "stopped";

LatentShape shape_of(const Dataset& dataset,
                     const LatentCacheOptions& options,
                     const Encoders& encoders) {
  const int64_t scale = encoders.downscale;
  if (scale < 1 || dataset.height() % scale != 0 || dataset.width() % scale != 0)
    throw InputError(dataset.folder().string() + ": its samples of " +
                     std::to_string(dataset.width()) + "x" + std::to_string(dataset.height()) +
                     " pixels are no multiple of the encoder's " + std::to_string(scale));
  if (options.recolorings < 1)
    throw ConfigError("data.recolorings: " + std::to_string(options.recolorings) +
                      ", expected at least 1");
  return {options.recolorings,
          encoders.latent_channels,
          dataset.height() / scale,
          dataset.width() / scale,
          encoders.embedding_shape};
}

/// Hex over everything that shapes the numbers.
std::string fingerprint_of(const Dataset& dataset,
                           const LatentCacheOptions& options,
                           const Encoders& encoders) {
  Hasher hasher;
  const int64_t numbers[] = {kLatentCacheVersion,
                             kSamplesOfPiece,
                             options.recolorings,
                             static_cast<int64_t>(options.seed),
                             encoders.latent_channels,
                             encoders.downscale,
                             encoders.swatch_size};
  hasher.values(std::span<const int64_t>(numbers));
  hasher.values(std::span<const int64_t>(encoders.embedding_shape));
  hasher.text(encoders.embedding_kind);
  hasher.text(dataset.fingerprint());
  hasher.text(encoders.fingerprint);
  for (const auto& [key, value] : config::flatten(options.reference)) {
    hasher.text(key);
    hasher.text(value);
  }
  return hasher.hex();
}

/// The pieces of one cache on disk.
struct Pieces {
  fs::path folder;
  std::string fingerprint;
  LatentShape shape;
  int64_t samples;

  int64_t count() const {
    return (samples + kSamplesOfPiece - 1) / kSamplesOfPiece;
  }
  int64_t first(int64_t piece) const {
    return piece * kSamplesOfPiece;
  }
  int64_t size(int64_t piece) const {
    return std::min(kSamplesOfPiece, samples - first(piece));
  }
  bool in_memory() const {
    return samples * shape.values() * static_cast<int64_t>(sizeof(float)) < kMaxBytesInMemory;
  }
  fs::path path(int64_t piece) const {
    char name[32];
    std::snprintf(name, sizeof(name), "piece-%05lld.h5", static_cast<long long>(piece));
    return folder / name;
  }
  LatentPieceFile open(int64_t piece) const {
    return {path(piece), fingerprint, shape, first(piece), size(piece)};
  }
  /// Whether a piece is there, whole and of this cache.
  bool usable(int64_t piece) const {
    std::error_code ignored;
    if (!fs::exists(path(piece), ignored)) return false;
    try {
      const LatentPieceFile file = open(piece);
      if (in_memory()) file.read();
      return true;
    } catch (const InputError& error) {
      spdlog::warn("{}; making it again", error.what());
      return false;
    }
  }
};

/// Remove what builders that were killed have left of a piece; a living one's file is younger.
void remove_leftovers(const fs::path& piece) {
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  for (const auto& entry : fs::directory_iterator(piece.parent_path(), error))
    if (entry.path().filename().string().starts_with(piece.filename().string() + ".tmp-") &&
        entry.last_write_time(error) < now - std::chrono::hours(1))
      fs::remove(entry.path(), error);
}

/// Encode this rank's share of the missing pieces. Returns early on a stop request.
void build_share(const Pieces& pieces,
                 const Dataset& dataset,
                 const LatentCacheOptions& options,
                 const Encoders& encoders,
                 const Communicator& communicator) {
  std::vector<int64_t> missing;
  int64_t samples = 0;
  for (int64_t piece = communicator.rank(); piece < pieces.count(); piece += communicator.size())
    if (!pieces.usable(piece)) {
      missing.push_back(piece);
      samples += pieces.size(piece);
    }
  if (missing.empty()) return;
  std::error_code error;
  fs::create_directories(pieces.folder, error);
  if (error) throw InputError(pieces.folder.string() + ": cannot be made: " + error.message());
  Progress progress("encode", samples, "photos", communicator.rank() == 0);
  for (const int64_t piece : missing) {
    if (stop_requested()) return;
    remove_leftovers(pieces.path(piece));
    write_piece(
        pieces.path(piece),
        pieces.fingerprint,
        encode_piece(
            dataset, options, encoders, pieces.shape, pieces.first(piece), pieces.size(piece)));
    progress.advance(pieces.size(piece));
  }
}

/// What all ranks learn of each other when their shares are done: the first error, or that one was
/// stopped. The only collective, so no rank waits in one while others encode more than their share.
bool agree(Communicator& communicator, const std::string& own_outcome) {
  bool stopped = false;
  std::string failure;
  for (const std::string& outcome : communicator.all_gather(own_outcome)) {
    if (outcome == kStopped)
      stopped = true;
    else if (!outcome.empty() && failure.empty())
      failure = outcome;
  }
  if (!failure.empty()) throw InputError(failure);
  return !stopped;
}

}  // namespace

struct LatentCache::Impl {
  LatentShape shape;
  int64_t size = 0;
  std::vector<LatentPiece> pieces;     ///< when all of it is in memory
  std::vector<LatentPieceFile> files;  ///< otherwise
  std::vector<float> latent_to_rgb;
};

LatentCache::LatentCache() : impl_(std::make_unique<Impl>()) {}
LatentCache::~LatentCache() = default;

std::unique_ptr<LatentCache> LatentCache::open(const Dataset& dataset,
                                               const LatentCacheOptions& options,
                                               const Encoders& encoders,
                                               Communicator& communicator) {
  Pieces pieces{{},
                fingerprint_of(dataset, options, encoders),
                shape_of(dataset, options, encoders),
                dataset.size()};
  pieces.folder = dataset.folder() / ("cache-" + pieces.fingerprint);
  std::string outcome;
  try {
    build_share(pieces, dataset, options, encoders, communicator);
    if (stop_requested()) outcome = kStopped;
  } catch (const std::exception& error) {
    // The others must hear of it: they would wait for ever.
    outcome = error.what();
  }
  if (!agree(communicator, outcome)) return nullptr;

  std::unique_ptr<LatentCache> cache(new LatentCache());
  Impl& impl = *cache->impl_;
  impl.shape = pieces.shape;
  impl.size = pieces.samples;
  AffineFit fit(pieces.shape.channels);
  for (int64_t piece = 0; piece < pieces.count(); ++piece) {
    LatentPieceFile file = pieces.open(piece);
    fit.add(file.fit());
    if (pieces.in_memory())
      impl.pieces.push_back(file.read());
    else
      impl.files.push_back(std::move(file));
  }
  impl.latent_to_rgb = fit.solve();
  return cache;
}

int64_t LatentCache::size() const {
  return impl_->size;
}

int64_t LatentCache::latent_height() const {
  return impl_->shape.height;
}

int64_t LatentCache::latent_width() const {
  return impl_->shape.width;
}

const std::vector<int64_t>& LatentCache::embedding_shape() const {
  return impl_->shape.embedding_shape;
}

CachedSample LatentCache::sample(int64_t index, int64_t k) const {
  if (index < 0 || index >= impl_->size || k < 0 || k >= impl_->shape.recolorings)
    throw InputError("the latent cache has no reference " + std::to_string(k) + " of sample " +
                     std::to_string(index));
  const auto piece = static_cast<size_t>(index / kSamplesOfPiece);
  const int64_t place = index % kSamplesOfPiece;
  if (impl_->files.empty()) return impl_->pieces[piece].view(place, k);
  const auto owned = std::make_shared<const LatentPiece>(impl_->files[piece].read(place, k));
  CachedSample sample = owned->view(0, 0);
  sample.owner = owned;
  return sample;
}

const std::vector<float>& LatentCache::latent_to_rgb() const {
  return impl_->latent_to_rgb;
}

}  // namespace limewash::data
