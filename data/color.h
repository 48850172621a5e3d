#pragma once
// Colour, as CIE and IEC define it and scikit-image computes it: sRGB (IEC 61966-2-1), CIELAB under
// D65/2 degrees, colour differences CIE76 and CIEDE2000. Float, never OpenCV's scaled 8-bit Lab.

#include <array>
#include <cstdint>

namespace limewash::data {

/// sRGB in [0, 1].
using Rgb = std::array<float, 3>;
/// L in [0, 100], a, b. A type of its own, so that neither passes for the other.
struct Lab : std::array<float, 3> {};

float srgb_to_linear(float value);
float linear_to_srgb(float value);  ///< input clipped to [0, 1]
Lab rgb_to_lab(const Rgb& rgb);
/// Out-of-gamut colours are clipped in linear light.
Rgb lab_to_rgb(const Lab& lab);
double delta_e_76(const Lab& a, const Lab& b);
/// Sharma, Wu, Dalal, "The CIEDE2000 color-difference formula", 2005.
double delta_e_2000(const Lab& a, const Lab& b);

}  // namespace limewash::data
