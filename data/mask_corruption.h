#pragma once
// Wrong masks made from right ones, of known error: what a scorer of masks learns from and is
// measured on. Each kind imitates a fault that segmenters and annotators have.

#include <cstdint>
#include <string>
#include <vector>

#include "data/image.h"
#include "runtime/random.h"

namespace limewash::data {

/// Values are part of the results: never renumber, only append.
enum class Corruption : uint32_t {
  kNone,             ///< the right mask
  kDilation,         ///< too large everywhere
  kErosion,          ///< too small everywhere
  kWavyBoundary,     ///< the boundary wanders: low-frequency noise
  kRaggedBoundary,   ///< the boundary is frayed: high-frequency noise
  kShift,            ///< moved
  kLowResolution,    ///< in blocks
  kMissingPieces,    ///< ellipses and boxes cut out at random
  kMissingRegion,    ///< nothing beyond a straight line
  kObjectIncluded,   ///< things in front of or beside the wall, by flood fill of their colours
  kSurfaceIncluded,  ///< the floor below, or the ceiling above the wall
  kHoles,            ///< many small holes
  kSplinters,        ///< scratches across wall and room, right and wrong exchanged
  kOverSmoothing,    ///< round corners, thin parts lost
  kPolygon,          ///< a coarse polygon, holes filled
  kRotatedScaled,    ///< turned and of another size
  kMixed,            ///< wavy and ragged, with objects included: like a weak segmenter
};
inline constexpr uint32_t kCorruptions = 17;

/// `dilation`, `missing_region`, …
const std::string& corruption_name(Corruption kind);

struct CorruptedMask {
  Mask mask;
  Corruption kind = Corruption::kNone;
  double iou = 1;  ///< with the right mask
};

/// The intersection of two masks over their union; 1 when both are empty. Of one size.
double mask_iou(const Mask& left, const Mask& right);

/// A mask of this kind whose IoU with the right one is as near to `wanted_iou`, in (0, 1], as the
/// kind can come; some cannot come far. All that is left to chance is drawn from `stream`.
CorruptedMask corrupt_mask(
    const Image& photo, const Mask& mask, Corruption kind, double wanted_iou, RandomStream stream);

/// The k-th wrong mask of a sample: kind (one of kCorruptions) and IoU (evenly in [0.3, 1)) are
/// drawn from Philox(seed, kCorruption, k, sample_id).
CorruptedMask corrupt_mask(
    const Image& photo, const Mask& mask, uint64_t seed, uint64_t k, uint64_t sample_id);

}  // namespace limewash::data
