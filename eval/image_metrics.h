#pragma once
// How much two images differ: PSNR, SSIM and mean colour differences.

#include <cstdint>
#include <optional>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "data/image.h"
#include "eval/lab_image.h"

namespace limewash::eval {

class Lpips;

/// Missing: no pixel to measure; psnr also of equal images (infinite); ssim also of images below 11
/// pixels a side, ssim_uniform below 7; lpips also without weights, and of images that are too
/// small for its network.
struct ImageDifference {
  std::optional<double> delta_e_76_mean, delta_e_2000_mean;  ///< means over pixels
  std::optional<double> psnr;                                ///< decibels, peak 255
  std::optional<double> ssim, ssim_uniform;                  ///< in [-1, 1]; see SsimWindow
  std::optional<double> lpips;
};

/// Over the pixels of `mask`, or all without one. Sizes must agree (InputError). Under a mask SSIM
/// and LPIPS are the means of their maps over it, whose windows also see beyond it.
ImageDifference compare_images(const data::Image& a,
                               const data::Image& b,
                               const data::Mask* mask,
                               const Lpips* lpips = nullptr);
/// {delta_e_76_mean, delta_e_2000_mean, psnr, ssim, ssim_uniform, lpips}; missing is null.
nlohmann::json to_json(const ImageDifference& difference);

/// 10 log10(255^2 / mean squared error) over all channels of `pixels`; nullopt when there are none
/// or the images are equal there.
std::optional<double> psnr(const data::Image& a, const data::Image& b, const Pixels& pixels);

/// The two settings of SSIM that are in use (Wang et al., "Image quality assessment: from error
/// visibility to structural similarity", 2004); K1 = 0.01, K2 = 0.03, channels averaged.
enum class SsimWindow {
  /// The paper's: 11 x 11 Gaussian of sigma 1.5, population covariance. scikit-image's
  /// structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False).
  kGaussian,
  /// scikit-image's default: 7 x 7, all pixels alike, sample covariance.
  kUniform,
};

/// [height, width]; NaN where the window does not fit: 5 pixels from the border, or 3.
std::vector<double> ssim_map(const data::Image& a,
                             const data::Image& b,
                             SsimWindow window = SsimWindow::kGaussian);

/// Mean of the map over the pixels of `pixels` where it is defined; nullopt when there are none.
std::optional<double> ssim(const data::Image& a,
                           const data::Image& b,
                           const Pixels& pixels,
                           SsimWindow window = SsimWindow::kGaussian);

}  // namespace limewash::eval
