#pragma once
// The least-squares affine map from latents to colours: what a latent pixel looks like, without the
// decoder.

#include <cstdint>
#include <vector>

namespace limewash::data {

/// Sums over (latent, colour) pairs, from which the map follows; sums of parts add up to the sum of
/// all.
struct AffineFit {
  explicit AffineFit(int64_t channels);

  int64_t channels;
  double count = 0;
  std::vector<double> gram;      ///< [C + 1, C + 1]: sum of x x^T with x = (latent, 1)
  std::vector<double> response;  ///< [C + 1, 3]: sum of x rgb^T

  /// Add `positions` pairs. `latents` is planar [C, positions], `rgb` interleaved [positions, 3] in
  /// [0, 1].
  void add(const float* latents, const float* rgb, int64_t positions);
  void add(const AffineFit& other);
  /// Row-major [C + 1, 3], the last row the offset, with a ridge of 1e-8 of the mean square of the
  /// latents, which keeps the map defined where the pairs do not span all channels.
  std::vector<float> solve() const;
};

}  // namespace limewash::data
