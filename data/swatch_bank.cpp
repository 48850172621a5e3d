#include "data/swatch_bank.h"

#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "runtime/random.h"

namespace limewash::data {
namespace {

/// Swatches draw from streams that no sample's swatch has: those are keyed by (k, sample).
constexpr uint64_t kBankEpoch = ~uint64_t{0};

/// The real root of x^4 = x + 1: the golden ratio's counterpart in three dimensions.
constexpr double kHarmonious = 1.2207440846057596;

}  // namespace

SwatchBank::SwatchBank(const ReferenceOptions& options, uint64_t seed)
    : options_(options), seed_(seed) {
  if (options.bank < 1) throw std::invalid_argument("a swatch bank needs at least one swatch");
  RandomStream stream(seed, Purpose::kReference, kBankEpoch, kBankEpoch);
  std::array<double, 3> start{}, step{};
  for (size_t c = 0; c < 3; ++c) {
    start[c] = stream.uniform();
    step[c] = std::pow(kHarmonious, -static_cast<double>(c + 1));
  }
  const double low = kDarkestReference, span = double{kBrightestReference} - kDarkestReference;
  for (int64_t i = 0; i < options.bank; ++i) {
    Rgb color;
    for (size_t c = 0; c < 3; ++c) {
      const double place = start[c] + static_cast<double>(i + 1) * step[c];
      color[c] = static_cast<float>(low + span * (place - std::floor(place)));
    }
    colors_.push_back(color);
    labs_.push_back(rgb_to_lab(color));
  }
}

int64_t SwatchBank::size() const {
  return static_cast<int64_t>(colors_.size());
}

const Rgb& SwatchBank::color(int64_t swatch) const {
  return colors_.at(static_cast<size_t>(swatch));
}

int64_t SwatchBank::nearest(const Rgb& color) const {
  const Lab lab = rgb_to_lab(color);
  size_t best = 0;
  float least = std::numeric_limits<float>::max();
  for (size_t i = 0; i < labs_.size(); ++i) {
    float distance = 0;
    for (size_t axis = 0; axis < 3; ++axis)
      distance += (labs_[i][axis] - lab[axis]) * (labs_[i][axis] - lab[axis]);
    if (distance < least) {
      least = distance;
      best = i;
    }
  }
  return static_cast<int64_t>(best);
}

Image SwatchBank::render(int64_t swatch, int64_t size) const {
  return render_swatch(
      options_,
      color(swatch),
      size,
      RandomStream(seed_, Purpose::kSwatch, kBankEpoch, static_cast<uint64_t>(swatch)));
}

BankReference draw_bank_reference(const ReferenceOptions& options,
                                  const SwatchBank& bank,
                                  uint64_t seed,
                                  uint64_t sample_id,
                                  int64_t k,
                                  const Rgb& own_color) {
  // The nearest swatch to a random colour would come as often as its surroundings are large: the
  // draw picks a swatch itself.
  const Reference drawn = draw_reference(options, seed, sample_id, k, own_color);
  const int64_t swatch =
      drawn.random
          ? static_cast<int64_t>(
                RandomStream(seed, Purpose::kReferenceCrop, static_cast<uint64_t>(k), sample_id)
                    .below(static_cast<uint64_t>(bank.size())))
          : bank.nearest(drawn.color);
  return {{bank.color(swatch), false, drawn.random}, swatch};
}

}  // namespace limewash::data
