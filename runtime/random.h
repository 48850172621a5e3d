#pragma once
// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). Every draw is a pure function of (seed, purpose, epoch, id), never of rank,
// position in a batch, thread or time. `purpose` keeps uses apart that share the other three.

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace limewash {

/// What a stream is for. Values are part of the results: never renumber, only append.
enum class Purpose : uint32_t {
  kOrder = 1,
  kReference = 2,
  kTimestep = 3,
  kNoise = 4,
  kDrop = 5,
  kVaeSample = 6,
  kSwatch = 7,
  kRoom = 8,
  kPaint = 9,
  kInitialization = 10,
  kEvaluation = 11,
  kCrop = 12,
  kDropout = 13,
  kReferenceCrop = 14,
  kVariant = 15,
  kCorruption = 16,
  kBucket = 17,
  kValidationLoss = 32,
  kOffsetNoise = 18,
  kLossCrop = 19,
};

/// The ten-round Philox4x32 block function.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// A stable 64-bit id of a name (a photo's relative path): xxh3.
uint64_t stable_id(std::string_view name);

/// One stream of draws. Copying continues from the same point.
class RandomStream {
 public:
  RandomStream(uint64_t seed, Purpose purpose, uint64_t epoch, uint64_t id);

  uint32_t next_u32();
  uint64_t next_u64();
  /// Uniform in [0, 1), 24 bits.
  float uniform();
  /// Uniform in [low, high).
  float uniform(float low, float high);
  /// Unbiased integer in [0, bound), bound > 0.
  uint64_t below(uint64_t bound);
  /// Standard normal (Box-Muller, computed in double and rounded once).
  float normal();
  /// Standard normals; equal to calling normal() that often.
  void fill_normal(std::span<float> values);

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
  bool has_spare_ = false;
  float spare_ = 0;
};

/// A pseudorandom permutation of [0, size) evaluated at one point in O(1): position `index` of the
/// order that (seed, epoch) fixes. A Feistel network over Philox with cycle walking.
uint64_t permuted_index(uint64_t seed, uint64_t epoch, uint64_t size, uint64_t index);

}  // namespace limewash
