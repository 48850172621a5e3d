#pragma once
// What `bench data` measures on: photos, datasets and encoders that cost little to make.

#include <cstdint>
#include <filesystem>

#include "data/latent_cache.h"

namespace limewash::data {

/// A folder in the system's temporary one, removed with all that is in it at the end.
class BenchFolder {
 public:
  BenchFolder();
  ~BenchFolder();
  BenchFolder(const BenchFolder&) = delete;
  BenchFolder& operator=(const BenchFolder&) = delete;
  const std::filesystem::path& path() const {
    return path_;
  }

 private:
  std::filesystem::path path_;
};

/// `count` procedural rooms of 1600 x 1200 pixels: FOLDER/images/*.jpg (quality 92) and
/// FOLDER/masks/*.png.
void make_photos(const std::filesystem::path& folder, int64_t count, int64_t threads);

/// A finished dataset of `samples` patterns of `size` x `size` pixels.
void make_pixel_dataset(const std::filesystem::path& folder, int64_t samples, int64_t size);

/// Encoders that make latents of a picture's own size with 4 channels, and embeddings of 1024, out
/// of next to no work.
Encoders cheap_encoders();

}  // namespace limewash::data
