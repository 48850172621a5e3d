#pragma once
// A bank of swatches that all samples share: what the image encoder makes of them is stored once a
// swatch, not once a reference (an IP-Adapter Plus keeps 1.3 MB of each).

#include <cstdint>
#include <vector>

#include "data/color.h"
#include "data/image.h"
#include "data/reference.h"

namespace limewash::data {

/// `options.bank` colours that fill the range of random references evenly: the additive recurrence
/// in three dimensions (Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018)
/// from a start that `seed` draws. The first n of a larger bank are the bank of n.
class SwatchBank {
 public:
  SwatchBank(const ReferenceOptions& options, uint64_t seed);

  int64_t size() const;
  const Rgb& color(int64_t swatch) const;
  /// The swatch whose colour is nearest in CIELAB (CIE76).
  int64_t nearest(const Rgb& color) const;
  /// Its image, with noise and light drawn from (seed, kSwatch, 0, swatch).
  Image render(int64_t swatch, int64_t size) const;

 private:
  ReferenceOptions options_;
  uint64_t seed_;
  std::vector<Rgb> colors_;
  std::vector<Lab> labs_;
};

/// A reference that shows a swatch of a bank.
struct BankReference {
  Reference reference;
  int64_t swatch;
};

/// `draw_reference` with the colours of a bank. A random colour is any swatch's, each as often as
/// another; an own colour becomes that of the nearest swatch, which is what is asked for, so that
/// the target is repainted by that little: reference and target show one colour.
BankReference draw_bank_reference(const ReferenceOptions& options,
                                  const SwatchBank& bank,
                                  uint64_t seed,
                                  uint64_t sample_id,
                                  int64_t k,
                                  const Rgb& own_color);

}  // namespace limewash::data
