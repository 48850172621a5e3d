#pragma once
// Pixels of predicted latents, with gradient: a crop of each sample's wall, decoded.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "models/autoencoder.h"
#include "trainer/batch.h"

namespace limewash::trainer {

/// A square of latents, `side` a side, as far as the picture allows.
struct CropPlace {
  int64_t top = 0, left = 0;
};

/// Where the crop of a sample lies: around a pixel of its core [h, w] (where it has none, of the
/// picture), drawn from (seed, kLossCrop, epoch, id), and inside the picture.
CropPlace crop_place(uint64_t seed,
                     const StreamSample& sample,
                     const at::Tensor& core,
                     int64_t side);

/// Cut a crop out of each row of `tensor` [N, C, h, w]: [N, C, min(side, h), min(side, w)].
at::Tensor cut_crops(const at::Tensor& tensor, const std::vector<CropPlace>& places, int64_t side);

/// Scaled latents -> pixels [N, 3, H, W] in [-1, 1], not clamped. The decoder is frozen; the
/// gradient reaches the latents.
at::Tensor decode_with_gradient(models::Autoencoder& decoder, const at::Tensor& latents);

}  // namespace limewash::trainer
