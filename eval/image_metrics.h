#pragma once
// How much two images differ: PSNR, SSIM and mean colour differences.

#include <cstdint>
#include <optional>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "data/image.h"
#include "eval/lab_image.h"

namespace limewash::eval {

/// Missing: no pixel to measure; psnr also of equal images (infinite); ssim also of images below 11
/// pixels a side; lpips needs weights that are not there.
struct ImageDifference {
  std::optional<double> delta_e_76_mean, delta_e_2000_mean;  ///< means over pixels
  std::optional<double> psnr;                                ///< decibels, peak 255
  std::optional<double> ssim;                                ///< in [-1, 1]
  std::optional<double> lpips;
};

/// Over the pixels of `mask`, or all without one. Sizes must agree (InputError).
ImageDifference compare_images(const data::Image& a, const data::Image& b, const data::Mask* mask);
/// {delta_e_76_mean, delta_e_2000_mean, psnr, ssim, lpips}; missing is null.
nlohmann::json to_json(const ImageDifference& difference);

/// 10 log10(255^2 / mean squared error) over all channels of `pixels`; nullopt when there are none
/// or the images are equal there.
std::optional<double> psnr(const data::Image& a, const data::Image& b, const Pixels& pixels);

/// Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004:
/// 11 x 11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, population covariance, channels
/// averaged; equal to scikit-image's structural_similarity(gaussian_weights=True, sigma=1.5,
/// use_sample_covariance=False). The map [height, width] is defined 5 pixels away from the border;
/// NaN elsewhere.
std::vector<double> ssim_map(const data::Image& a, const data::Image& b);

/// Mean of the map over the pixels of `pixels` where it is defined; nullopt when there are none.
std::optional<double> ssim(const data::Image& a, const data::Image& b, const Pixels& pixels);

}  // namespace limewash::eval
