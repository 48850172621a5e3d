#pragma once
// Which files make a latent cache: what each holds, under which key, and where.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/latent_cache.h"
#include "data/latent_piece.h"
#include "data/swatch_bank.h"
#include "data/swatch_features.h"

namespace limewash::data {

/// The files of one cache. A piece's name is its key, a hash of everything that shapes its numbers,
/// so that pieces of samples that have not changed are found again when a dataset has grown.
class LatentCachePlan {
 public:
  struct Piece {
    std::string key;
    size_t bucket = 0;
    int64_t first = 0, count = 0;  ///< places in the bucket's samples
  };

  /// Throws InputError or ConfigError when samples, options and encoders do not go together.
  LatentCachePlan(const Dataset& dataset,
                  const LatentCacheOptions& options,
                  const Encoders& encoders);

  const std::filesystem::path& folder() const;
  const LatentShape& shape(size_t bucket) const;
  const std::vector<Piece>& pieces() const;
  std::filesystem::path path(const Piece& piece) const;
  LatentPieceFile open(const Piece& piece, bool keep_open) const;

  /// The files of the swatch bank; none without a bank.
  int64_t swatch_files() const;
  std::filesystem::path swatch_path(int64_t file) const;
  SwatchFile open_swatches(int64_t file) const;
  int64_t swatches_of(int64_t file) const;
  const SwatchBank* bank() const;

  /// All of it fits into memory.
  bool in_memory() const;
  /// Bytes of the files that are not there yet.
  int64_t missing_bytes() const;
  /// Pieces first, then files of swatches: everything that a rank can be given to make.
  int64_t num_files() const;
  /// Whether a file is there, whole and the one that is meant; warns of one that is not.
  bool usable(int64_t file) const;
  /// Make a file.
  void make(int64_t file) const;
  /// How many samples or swatches it holds.
  int64_t entries(int64_t file) const;

 private:
  int64_t bytes(int64_t file) const;
  std::string swatch_key(int64_t file) const;
  std::filesystem::path file_path(int64_t file) const;

  const Dataset& dataset_;
  const LatentCacheOptions& options_;
  const Encoders& encoders_;
  std::unique_ptr<SwatchBank> bank_;
  std::filesystem::path folder_;
  std::string fingerprint_;
  std::vector<LatentShape> shapes_;  ///< by bucket
  std::vector<Piece> pieces_;        ///< bucket after bucket
};

}  // namespace limewash::data
