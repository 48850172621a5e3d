#include "data/latent_cache.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <spdlog/spdlog.h>

#include "data/disk_space.h"
#include "data/latent_cache_plan.h"
#include "data/latent_piece.h"
#include "runtime/error.h"
#include "runtime/progress.h"
#include "runtime/stop_signal.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStopped = "stopped";

/// Pieces beyond these are opened for each read, so that a large cache does not use up the
/// process's descriptors.
constexpr size_t kMaxOpenPieces = 256;

/// Remove what builders that were killed have left; a living one's files are younger.
void remove_leftovers(const fs::path& folder) {
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().filename().string().find(".h5.tmp-") != std::string::npos &&
        entry.last_write_time(error) < now - std::chrono::hours(1))
      fs::remove(entry.path(), error);
}

/// What all ranks learn of each other: the first error, or that one was stopped.
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

/// Run `work` and agree on how it ended. The others must hear of an error: they would wait for
/// ever.
template <class Work>
bool run_and_agree(Communicator& communicator, const Work& work) {
  std::string outcome;
  try {
    work();
    if (stop_requested()) outcome = kStopped;
  } catch (const std::exception& error) {
    outcome = error.what();
  }
  return agree(communicator, outcome);
}

/// Whether the disk holds what is missing. Before anyone encodes, so nobody waits for it.
void check_disk(const LatentCachePlan& plan) {
  const int64_t missing = plan.missing_bytes();
  if (missing == 0) return;
  std::error_code error;
  fs::create_directories(plan.folder(), error);
  if (error) throw InputError(plan.folder().string() + ": cannot be made: " + error.message());
  remove_leftovers(plan.folder());
  require_disk_space(plan.folder(), missing, "the latent cache");
}

/// Make this rank's share of the missing files. Returns early on a stop request.
void build_share(const LatentCachePlan& plan, const Communicator& communicator) {
  std::vector<int64_t> missing;
  int64_t entries = 0;
  for (int64_t file = communicator.rank(); file < plan.num_files(); file += communicator.size())
    if (!plan.usable(file)) {
      missing.push_back(file);
      entries += plan.entries(file);
    }
  if (missing.empty()) return;
  const char* unit = plan.bank() != nullptr ? "pictures" : "photos";
  Progress progress("encode", entries, unit, communicator.rank() == 0);
  for (const int64_t file : missing) {
    if (stop_requested()) return;
    plan.make(file);
    progress.advance(plan.entries(file));
  }
}

/// One sample of a cache that is read from disk.
struct ReadSample {
  LatentPiece piece;
  std::vector<float> embedding;  ///< of the bank
};

}  // namespace

struct LatentCache::Impl {
  explicit Impl(const LatentCachePlan& plan)
      : variants(plan.shape(0).variants),
        recolorings(plan.shape(0).recolorings),
        bank_size(plan.bank() != nullptr ? plan.bank()->size() : 0) {}

  struct Place {
    uint32_t piece = 0;
    int32_t row = 0;
  };
  int64_t variants, recolorings, bank_size;
  std::vector<int64_t> embedding_shape;
  std::vector<Place> places;                       ///< by index into the dataset
  std::vector<std::pair<int64_t, int64_t>> sizes;  ///< latent height and width of each piece
  std::vector<LatentPieceFile> files;
  std::vector<LatentPiece> pieces;  ///< when all of it is in memory
  std::vector<SwatchFile> swatch_files;
  std::vector<float> swatches;  ///< when all of it is in memory
  std::vector<float> latent_to_rgb;

  const Place& place(int64_t index, int64_t variant) const {
    if (index < 0 || index >= static_cast<int64_t>(places.size()) || variant < 0 ||
        variant >= variants)
      throw InputError("the latent cache has no variant " + std::to_string(variant) +
                       " of sample " + std::to_string(index));
    return places[static_cast<size_t>(index)];
  }

  int64_t checked_swatch(uint64_t swatch) const {
    if (swatch >= static_cast<uint64_t>(bank_size))
      throw InputError("the latent cache asks for swatch " + std::to_string(swatch) +
                       " of a bank of " + std::to_string(bank_size));
    return static_cast<int64_t>(swatch);
  }

  CachedSample from_memory(const Place& place, int64_t k, int64_t variant) const {
    const LatentPiece& piece = pieces[place.piece];
    CachedSample sample = piece.view(place.row, k, variant);
    if (bank_size > 0) {
      const auto row = static_cast<size_t>(
          checked_swatch(piece.swatch[static_cast<size_t>(place.row * recolorings + k)]));
      const size_t values = swatches.size() / static_cast<size_t>(bank_size);
      sample.embedding = std::span<const float>(swatches).subspan(row * values, values);
    }
    return sample;
  }

  CachedSample from_disk(const Place& place, int64_t k, int64_t variant) const {
    const auto owned = std::make_shared<ReadSample>(
        ReadSample{files[place.piece].read(place.row, k, variant), {}});
    CachedSample sample = owned->piece.view(0, 0, 0);
    if (bank_size > 0) {
      const int64_t swatch = checked_swatch(owned->piece.swatch.front());
      owned->embedding = swatch_files[static_cast<size_t>(swatch / kSwatchesOfFile)].read(
          swatch % kSwatchesOfFile);
      sample.embedding = owned->embedding;
    }
    sample.owner = owned;
    return sample;
  }
};

LatentCache::LatentCache() = default;
LatentCache::~LatentCache() = default;

std::unique_ptr<LatentCache> LatentCache::open(const Dataset& dataset,
                                               const LatentCacheOptions& options,
                                               const Encoders& encoders,
                                               Communicator& communicator) {
  const LatentCachePlan plan(dataset, options, encoders);
  const auto check = [&] {
    if (communicator.rank() == 0) check_disk(plan);
  };
  if (!run_and_agree(communicator, check)) return nullptr;
  // No rank waits for another before its own share is done.
  if (!run_and_agree(communicator, [&] { build_share(plan, communicator); })) return nullptr;

  std::unique_ptr<LatentCache> cache(new LatentCache());
  cache->impl_ = std::make_unique<Impl>(plan);
  Impl& impl = *cache->impl_;
  impl.embedding_shape = encoders.embedding_shape;
  const bool in_memory = plan.in_memory();
  AffineFit fit(encoders.latent_channels);
  for (const LatentCachePlan::Piece& piece : plan.pieces()) {
    impl.files.push_back(plan.open(piece, !in_memory && impl.files.size() < kMaxOpenPieces));
    fit.add(impl.files.back().fit());
    impl.sizes.emplace_back(plan.shape(piece.bucket).height, plan.shape(piece.bucket).width);
    if (in_memory) impl.pieces.push_back(impl.files.back().read());
  }
  for (int64_t file = 0; file < plan.swatch_files(); ++file) {
    impl.swatch_files.push_back(plan.open_swatches(file));
    if (!in_memory) continue;
    const std::vector<float> own = impl.swatch_files.back().read();
    impl.swatches.insert(impl.swatches.end(), own.begin(), own.end());
  }
  impl.places.resize(static_cast<size_t>(dataset.size()));
  for (size_t p = 0; p < plan.pieces().size(); ++p) {
    const LatentCachePlan::Piece& piece = plan.pieces()[p];
    const auto& samples = dataset.buckets()[piece.bucket].samples;
    for (int64_t row = 0; row < piece.count; ++row)
      impl.places[static_cast<size_t>(samples[static_cast<size_t>(piece.first + row)])] = {
          static_cast<uint32_t>(p), static_cast<int32_t>(row)};
  }
  impl.latent_to_rgb = fit.solve();
  return cache;
}

int64_t LatentCache::size() const {
  return static_cast<int64_t>(impl_->places.size());
}

int64_t LatentCache::variants() const {
  return impl_->variants;
}

int64_t LatentCache::latent_height(int64_t index) const {
  return impl_->sizes[impl_->place(index, 0).piece].first;
}

int64_t LatentCache::latent_width(int64_t index) const {
  return impl_->sizes[impl_->place(index, 0).piece].second;
}

const std::vector<int64_t>& LatentCache::embedding_shape() const {
  return impl_->embedding_shape;
}

CachedSample LatentCache::sample(int64_t index, int64_t k, int64_t variant) const {
  const Impl::Place& place = impl_->place(index, variant);
  if (k < 0 || k >= impl_->recolorings)
    throw InputError("the latent cache has no reference " + std::to_string(k) + " of sample " +
                     std::to_string(index));
  if (!impl_->pieces.empty()) return impl_->from_memory(place, k, variant);
  return impl_->from_disk(place, k, variant);
}

double LatentCache::hole_area(int64_t index, int64_t variant) const {
  const Impl::Place& place = impl_->place(index, variant);
  return impl_->files[place.piece].areas(place.row, variant).hole;
}

double LatentCache::core_area(int64_t index, int64_t variant) const {
  const Impl::Place& place = impl_->place(index, variant);
  return impl_->files[place.piece].areas(place.row, variant).core;
}

const std::vector<float>& LatentCache::latent_to_rgb() const {
  return impl_->latent_to_rgb;
}

}  // namespace limewash::data
