#pragma once
// What `prepare` does with one photo; a pure function of its files and the options.

#include <optional>

#include "data/photo_pairs.h"
#include "data/prepare.h"
#include "data/room_manifest.h"
#include "data/shard.h"

namespace limewash::data {

struct PreparedPhoto {
  std::optional<ShardSample> sample;  ///< nothing when it was rejected
  Rejection rejection;                ///< why
  bool enlarged = false;              ///< the photo is smaller than the sample
  bool foreign_room = false;  ///< the manifest names a room, but the photo is another picture
};

/// Decode, check, crop and scale, measure. Rejects instead of throwing, whatever the files hold.
PreparedPhoto prepare_photo(const PhotoPair& pair,
                            const PrepareOptions& options,
                            const RoomManifest& rooms,
                            const MaskScorer& scorer = nullptr);

}  // namespace limewash::data
