#pragma once
// Which photos there are, and where their masks lie.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace limewash::data {

struct PhotoPair {
  std::string id;  ///< the photo's path relative to its folder, with '/'
  std::filesystem::path photo;
  std::optional<std::filesystem::path> mask;
};

/// All photos under `images` (jpg, jpeg, png, bmp, tif, tiff, webp; hidden files and folders left
/// out), in the order of their ids. A photo's mask is `masks`/ID with the extension png, else
/// `masks`/ID itself. A `masks` folder inside `images` is not searched for photos. Throws
/// InputError when a folder cannot be listed or holds no photo, or when both are the same.
std::vector<PhotoPair> find_photo_pairs(const std::filesystem::path& images,
                                        const std::filesystem::path& masks);

/// Hex over ids and file sizes: whether a later start sees the same photos.
std::string hash_of(const std::vector<PhotoPair>& pairs);

}  // namespace limewash::data
