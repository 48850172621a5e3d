#pragma once
// rooms.json, which `synthesize` writes beside its images: which photo is which procedural room.

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "data/dataset.h"

namespace limewash::data {

/// One photo's entry.
struct ManifestRoom {
  RoomSource source;
  std::optional<Rgb> paint;  ///< of the photo; the room's own paint when the manifest names none
};

class RoomManifest {
 public:
  /// Read rooms.json beside the folder of photos or in it. Without one the manifest is empty; a
  /// damaged one is an InputError naming file and key.
  explicit RoomManifest(const std::filesystem::path& images);
  /// The entry of a photo, by its path.
  const ManifestRoom* find(const std::filesystem::path& photo) const;
  bool empty() const;

 private:
  std::map<std::string, ManifestRoom> rooms_;  ///< by absolute path
};

}  // namespace limewash::data
