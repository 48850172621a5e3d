#pragma once
// The frozen networks that only the loss needs.

#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "eval/lpips.h"
#include "models/autoencoder.h"
#include "trainer/loss_options.h"

namespace limewash::trainer {

/// Each is nullptr where nothing asks for it.
struct LossNetworks {
  std::shared_ptr<models::Autoencoder> decoder;  ///< of loss.decoder
  std::shared_ptr<const eval::Lpips> lpips;
};

/// Read what `options` name. ConfigError for a decoder of other latents than those of `vae`, and
/// for crops too small for LPIPS.
LossNetworks load_loss_networks(const LossOptions& options,
                                const models::Autoencoder& vae,
                                at::ScalarType type,
                                at::Device device = at::kCPU);

/// Fingerprints of the files behind them, as lines of YAML: with other bytes a run is another run.
std::string loss_networks_yaml(const LossOptions& options);

}  // namespace limewash::trainer
