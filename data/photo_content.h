#pragma once
// What the files of one photo hold: pixels, the wall, a second opinion on it, the caption.

#include <optional>
#include <string>

#include "data/image.h"
#include "data/photo_file.h"
#include "data/photo_pairs.h"

namespace limewash::data {

/// Ends the work on one photo.
struct Rejected {
  std::string reason;  ///< one of a few, to be counted
  std::string detail;  ///< what exactly, for a person
};

/// The photo, with its header read. Throws Rejected: unreadable photo.
PhotoFile load_photo(const PhotoPair& pair);

/// The pixels of `part`. Throws Rejected: unreadable photo.
PhotoPart decode_photo(PhotoFile& photo, const Rectangle& part);

/// Throws Rejected, unreadable photo, wherever decode_photo does.
void check_photo(const PhotoFile& photo);

/// The wall at the photo's size: the union of all masks, each of them decoded as `options` say
/// (mask_classes, mask_threshold). Throws Rejected: missing mask, unreadable mask, mask of another
/// shape.
Mask load_mask(const PhotoPair& pair, const PhotoFile& photo, const PrepareOptions& options);

/// The same by another hand; nothing when there is none. Throws Rejected: unreadable second mask,
/// second mask of another shape.
std::optional<Mask> load_second_mask(const PhotoPair& pair,
                                     const PhotoFile& photo,
                                     const PrepareOptions& options);

/// The caption, trimmed; empty when there is none. Throws Rejected: unreadable caption.
std::string load_caption(const PhotoPair& pair);

}  // namespace limewash::data
