#pragma once
// Which photos there are, and where their masks and captions lie: folders, globs and lists.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/prepare_options.h"

namespace limewash::data {

struct PhotoPair {
  std::string
      id;  ///< the photo's path relative to its folder, with '/'; in a list as written there
  std::filesystem::path photo;
  std::vector<std::filesystem::path> masks;  ///< their union is the wall; empty: there is none
  std::vector<std::filesystem::path> second_masks;    ///< by another hand; empty: there is none
  std::string caption;                                ///< from a list, valid and trimmed
  std::optional<std::filesystem::path> caption_file;  ///< else the file that holds it
};

/// All photos of `options.images` with their masks, second masks and captions, by the rules of
/// docs/data.md. Folders and globs in the order of their ids, lists in their own. Throws
/// ConfigError when no masks are named, InputError when a folder cannot be listed, nothing is
/// found, photos and masks are the same folder, or a list is damaged (naming file and line).
std::vector<PhotoPair> find_photo_pairs(const PrepareOptions& options);

/// The folder that the ids of `images` count from: the folder itself, the part of a glob before its
/// first wildcard, the folder of a list.
std::filesystem::path photos_folder(const std::string& images);

/// Hex over ids, captions, and the sizes of photos, masks and caption files, in order: whether a
/// later start sees the same photos.
std::string hash_of(const std::vector<PhotoPair>& pairs);

}  // namespace limewash::data
