#pragma once
// The figures of one painting by the names of design §10, as docs/evaluation.md defines them.

#include <optional>
#include <string>
#include <vector>

#include "data/color.h"
#include "data/image.h"
#include "eval/lab_image.h"
#include "eval/metrics.h"

namespace limewash::eval {

class PerceptualNetworks;

/// Below this chroma a colour has no hue worth a number.
inline constexpr double kLeastChroma = 5.0;

/// The smaller angle between two hues, in degrees [0, 180]; nullopt when either chroma is below 5.
std::optional<double> hue_error(const data::Lab& a, const data::Lab& b);

/// `delta_e_2000`, `delta_e_76`, `lab_distance`, `hue_error`, `lightness_difference`,
/// `chroma_difference` of the robust mean over `core` against `reference`, and of its pixels the
/// median `delta_e_2000_pixel` and the percentiles `delta_e_2000_p05`, `_p25`, `_p75` and `_p95`.
/// All missing for an empty core.
void add_color_metrics(Metrics& metrics,
                       const LabImage& image,
                       const Pixels& core,
                       const data::Lab& reference);

/// Pearson correlation of the low-passed L of two images over `hole` (Gaussian, sigma 1/64 of the
/// longer side, taken over hole pixels only). nullopt for fewer than two pixels, or when either
/// varies by less than a standard deviation of 0.01: nothing to correlate.
std::optional<double> shading_fidelity(const LabImage& image,
                                       const LabImage& truth,
                                       const Pixels& hole);

/// A painting and what it is measured against. All of one size.
struct Painting {
  const data::Image&
      output;  ///< before anything is pasted back; empty (0 x 0): not finite, all is missing
  const data::Image& source;  ///< the photo
  const data::Mask& wall;     ///< the hole
  const data::Mask& core;     ///< where colour is measured
  data::Rgb asked;            ///< the reference colour
  const data::Image* exact;   ///< the exact repaint of a procedural room, or nullptr
  /// A reference picture, whose robust mean then stands for `asked`; nullptr: none.
  const data::Image* reference = nullptr;
};

/// All names of docs/evaluation.md, in its order. `lpips_outside` and `clip_similarity` need
/// networks and are missing without.
Metrics measure_painting(const Painting& painting, PerceptualNetworks* networks = nullptr);

/// The colour names of one image against a colour over a mask: `limewash metrics --reference`.
Metrics measure_color(const data::Image& image, const data::Mask& core, const data::Lab& reference);

}  // namespace limewash::eval
