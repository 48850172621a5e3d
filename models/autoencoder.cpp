#include "models/autoencoder.h"

#include <utility>

#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "models/autoencoder_tiny.h"
#include "models/strict_json.h"

namespace limewash::models {

namespace {

LatentDistribution distribution(LatentDistribution latents) {
  return latents;
}

LatentDistribution distribution(const at::Tensor& latents) {
  return {latents, at::zeros_like(latents)};
}

template <class Network>
class AutoencoderOf final : public Autoencoder {
 public:
  explicit AutoencoderOf(Network network) : network_(std::move(network)) {}
  LatentDistribution encode(const at::Tensor& pixels) override {
    return distribution(network_->encode(pixels));
  }
  at::Tensor decode(const at::Tensor& latents) override {
    return network_->decode(latents);
  }
  int64_t in_channels() const override {
    return network_->config().in_channels;
  }
  int64_t latent_channels() const override {
    return network_->config().latent_channels;
  }
  int64_t downscale() const override {
    return network_->config().downscale();
  }
  double scaling_factor() const override {
    return network_->config().scaling_factor;
  }
  torch::nn::Module& module() override {
    return *network_;
  }

 private:
  Network network_;
};

}  // namespace

bool is_autoencoder_tiny(const std::filesystem::path& folder) {
  const auto config = read_json_object(folder / "config.json");
  return config.value("_class_name", nlohmann::json()) == "AutoencoderTiny";
}

std::shared_ptr<Autoencoder> load_autoencoder(const std::filesystem::path& folder,
                                              at::ScalarType type) {
  if (is_autoencoder_tiny(folder)) {
    return std::make_shared<AutoencoderOf<AutoencoderTiny>>(load_autoencoder_tiny(folder, type));
  }
  return std::make_shared<AutoencoderOf<AutoencoderKL>>(load_autoencoder_kl(folder, type));
}

}  // namespace limewash::models
