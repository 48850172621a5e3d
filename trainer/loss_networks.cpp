#include "trainer/loss_networks.h"

#include <filesystem>

#include <torch/torch.h>

#include "models/fingerprint.h"
#include "models/weights_file.h"
#include "runtime/error.h"

namespace limewash::trainer {

LossNetworks load_loss_networks(const LossOptions& options,
                                const models::Autoencoder& vae,
                                at::ScalarType type,
                                at::Device device) {
  LossNetworks networks;
  if (!options.decoder.empty() && options.decodes()) {
    networks.decoder = models::load_autoencoder(options.decoder, type);
    networks.decoder->module().to(device);
    const auto& decoder = *networks.decoder;
    if (decoder.latent_channels() != vae.latent_channels() ||
        decoder.downscale() != vae.downscale()) {
      const auto size = [](const models::Autoencoder& network) {
        return std::to_string(network.latent_channels()) + " channels, one latent for " +
               std::to_string(network.downscale()) + " pixels a side";
      };
      throw ConfigError("loss.decoder = '" + options.decoder + "': it decodes latents of " +
                        size(decoder) + "; expected those of the base: " + size(vae));
    }
  }
  if (options.perceptual.lpips.weight > 0) {
    auto lpips = std::make_shared<eval::Lpips>(options.perceptual.lpips.weights);
    lpips->to(device);
    networks.lpips = lpips;
    const int64_t pixels = options.crop * vae.downscale(), least = networks.lpips->least_side();
    if (pixels < least) {
      throw ConfigError("loss.crop = " + std::to_string(options.crop) + ": crops of " +
                        std::to_string(pixels) + " pixels a side; LPIPS by " +
                        networks.lpips->network() + " takes " + std::to_string(least) + " or more");
    }
  }
  return networks;
}

std::string loss_networks_yaml(const LossOptions& options) {
  std::string text;
  if (!options.decoder.empty() && options.decodes()) {
    std::vector<std::pair<std::string, std::filesystem::path>> files;
    const std::filesystem::path folder(options.decoder);
    files.emplace_back("config.json", folder / "config.json");
    for (const auto& path : models::find_weights(folder, "diffusion_pytorch_model").files)
      files.emplace_back(path.filename().string(), path);
    text += "loss.decoder: " + models::fingerprint_files(files) + "\n";
  }
  if (options.perceptual.lpips.weight > 0) {
    text += "loss.perceptual.lpips.weights: " +
            models::fingerprint_files({{"lpips", options.perceptual.lpips.weights}}) + "\n";
  }
  return text;
}

}  // namespace limewash::trainer
