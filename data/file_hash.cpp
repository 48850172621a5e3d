#include "data/file_hash.h"

#include <algorithm>
#include <vector>

#include "data/hash.h"
#include "data/hdf5_file.h"

namespace limewash::data {

uint64_t hash_of_file(const std::filesystem::path& path, const WriteBytes& also) {
  constexpr int64_t kPiece = 1 << 20;
  const PositionedFile file(path);
  const int64_t size = file.size();
  std::vector<char> piece(static_cast<size_t>(kPiece));
  Hasher hasher;
  for (int64_t done = 0; done < size; done += kPiece) {
    const int64_t bytes = std::min(kPiece, size - done);
    file.read(done, bytes, piece.data());
    hasher.bytes(piece.data(), static_cast<size_t>(bytes));
    if (also) also({piece.data(), static_cast<size_t>(bytes)});
  }
  return hasher.digest();
}

}  // namespace limewash::data
