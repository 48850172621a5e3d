#pragma once
// What the image encoder makes of a swatch bank, in files of 64 swatches beside the pieces of the
// latent cache (docs/formats.md).

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/hdf5_file.h"
#include "data/latent_cache.h"
#include "data/swatch_bank.h"

namespace limewash::data {

inline constexpr int64_t kSwatchesOfFile = 64;

/// Encode swatches [first, first + count) -> [count, ...embedding_shape]. Values that are not
/// finite are an InputError naming the swatch's colour.
std::vector<float> encode_swatches(const SwatchBank& bank,
                                   const Encoders& encoders,
                                   int64_t first,
                                   int64_t count);

/// Write them under a name of this process's own, then rename to `path`. `key` is a hash of
/// everything that shaped the numbers.
void write_swatches(const std::filesystem::path& path,
                    const std::string& key,
                    const SwatchBank& bank,
                    const std::vector<int64_t>& embedding_shape,
                    int64_t first,
                    const std::vector<float>& embeddings);

/// One of these files, its key and shapes checked. Safe to read from any thread.
class SwatchFile {
 public:
  SwatchFile(std::filesystem::path path,
             const std::string& key,
             const std::vector<int64_t>& embedding_shape,
             int64_t count);
  /// Read and verify one swatch's embedding.
  std::vector<float> read(int64_t row) const;
  /// All of them: [count, ...embedding_shape].
  std::vector<float> read() const;

 private:
  SwatchFile(std::filesystem::path path,
             Hdf5Reader&& reader,
             const std::string& key,
             const std::vector<int64_t>& embedding_shape,
             int64_t count);
  std::filesystem::path path_;
  PositionedFile file_;
  int64_t count_;
  Hdf5Array embedding_;
  std::vector<float> colors_;
  std::vector<uint64_t> checksums_;
};

}  // namespace limewash::data
