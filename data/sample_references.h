#pragma once
// The K references of a sample: which colour each asks for, the picture that shows it, and the
// target that answers it.

#include <cstdint>

#include "data/dataset.h"
#include "data/latent_cache.h"
#include "data/reference.h"
#include "data/swatch_bank.h"

namespace limewash::data {

/// What one reference of a sample asks for.
struct AskedReference {
  Rgb color{};            ///< the colour asked for
  bool unpainted = true;  ///< the target is the photo itself
  int64_t swatch = -1;    ///< of the bank; -1: the reference has a picture of its own
  int64_t exemplar = -1;  ///< the sample whose wall is asked for; -1: none but its own
};

/// Draws from (seed, sample id, k) alone, whoever asks.
class SampleReferences {
 public:
  /// `bank` is null where there is none. All three must outlive this.
  SampleReferences(const Dataset& dataset,
                   const LatentCacheOptions& options,
                   const SwatchBank* bank);

  /// `own` is what `own_color` says of the sample. Under reference.image: exemplar, a random
  /// reference is the wall of another sample, and asks for that wall's colour; where there is no
  /// other, it is a random colour on the sample's own wall.
  AskedReference ask(int64_t index, const Rgb& own, int64_t k) const;

  /// What the network should answer: the photo, or the photo repainted.
  Image target(int64_t index, const Sample& sample, const Rgb& own, const AskedReference&) const;

  /// The reference picture, `size` x `size`; not for references to a bank. `target` is the answer,
  /// whose wall is in the colour asked for. A wall too small to be cut from gives a swatch.
  Image picture(int64_t index,
                const Sample& sample,
                int64_t k,
                const AskedReference& asked,
                const Image& target,
                int64_t size) const;

 private:
  const Dataset& dataset_;
  const LatentCacheOptions& options_;
  const SwatchBank* bank_;
};

}  // namespace limewash::data
