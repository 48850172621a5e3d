#include "trainer/adversary.h"

#include <torch/torch.h>

#include "runtime/error.h"

namespace limewash::trainer {

namespace {

constexpr double kSmallestArea = 1e-6;

/// The mean of `values` [N, 1, h', w'] over `region` [N, 1, h, w], which is area-scaled to their
/// size: [N].
at::Tensor region_mean(const at::Tensor& values, const at::Tensor& region) {
  const auto weight = at::adaptive_avg_pool2d(region, {values.size(2), values.size(3)});
  return (values * weight).sum({1, 2, 3}) / weight.sum({1, 2, 3}).clamp_min(kSmallestArea);
}

/// `inside` in the hole, `outside` elsewhere.
at::Tensor composed(const at::Tensor& inside, const at::Tensor& outside, const at::Tensor& mask) {
  return mask * inside + (1 - mask) * outside;
}

OptimizerOptions optimizer_options(const AdversarialLossOptions& options) {
  OptimizerOptions result;
  result.learning_rate = options.learning_rate;
  result.beta1 = options.beta1;
  result.beta2 = options.beta2;
  result.weight_decay = 0;
  result.clip = 0;
  return result;
}

std::unique_ptr<models::Discriminator> make_discriminator(const AdversarialLossOptions& options,
                                                          int64_t in_channels,
                                                          const std::string& name,
                                                          uint64_t seed) {
  return std::make_unique<models::Discriminator>(
      models::DiscriminatorOptions{in_channels, options.channels, options.num_halvings},
      name,
      seed);
}

std::vector<models::NamedParameter> all_parameters(const models::Discriminator* first,
                                                   const models::Discriminator* second) {
  std::vector<models::NamedParameter> all;
  for (const auto* network : {first, second}) {
    if (network == nullptr) continue;
    all.insert(all.end(), network->parameters().begin(), network->parameters().end());
  }
  return all;
}

/// Hinge loss of one discriminator with its penalty, [N].
at::Tensor hinge(const models::Discriminator& network,
                 const at::Tensor& real,
                 const at::Tensor& real_region,
                 const at::Tensor& fake,
                 const at::Tensor& fake_region,
                 double r1) {
  const auto input = real.detach().clone().requires_grad_(r1 > 0);
  const auto real_logits = network.forward(input);
  auto loss = region_mean(torch::relu(1 - real_logits), real_region) +
              region_mean(torch::relu(1 + network.forward(fake.detach())), fake_region);
  if (r1 <= 0) return loss;
  const auto slope = torch::autograd::grad({region_mean(real_logits, real_region).sum()},
                                           {input},
                                           {},
                                           /*retain_graph=*/true,
                                           /*create_graph=*/true)[0];
  return loss + 0.5 * r1 * slope.square().sum({1, 2, 3});
}

}  // namespace

Adversary::Adversary(const AdversarialLossOptions& options,
                     int64_t latent_channels,
                     uint64_t seed,
                     at::Device device)
    : options_(options),
      wall_(options.wall > 0
                ? make_discriminator(options, latent_channels + 1, "discriminator.wall", seed)
                : nullptr),
      paint_(options.paint > 0
                 ? make_discriminator(options, latent_channels, "discriminator.paint", seed)
                 : nullptr),
      named_(all_parameters(wall_.get(), paint_.get())),
      parameters_(named_, /*tail=*/0, device),
      optimizer_(optimizer_options(options), parameters_.values()) {}

at::Tensor Adversary::wall_term(const at::Tensor& predicted,
                                const at::Tensor& z0,
                                const at::Tensor& mask) const {
  const auto input = torch::cat({composed(predicted, z0, mask), mask}, 1);
  return -region_mean(wall_->forward(input, /*frozen=*/true), mask);
}

at::Tensor Adversary::paint_term(const at::Tensor& predicted) const {
  return -paint_->forward(predicted, /*frozen=*/true).mean(at::IntArrayRef{1, 2, 3});
}

at::Tensor Adversary::painted(const at::Tensor& z0,
                              const at::Tensor& mask,
                              const at::Tensor& core) {
  const auto area = core.sum({2, 3}, /*keepdim=*/true).clamp_min(kSmallestArea);
  const auto wall = (z0 * core).sum({2, 3}, /*keepdim=*/true) / area;  // [N, C, 1, 1]
  const auto around =
      at::avg_pool2d(z0, {5, 5}, {1, 1}, {2, 2}, /*ceil_mode=*/false, /*count_include_pad=*/false);
  return composed(z0, z0 - around + wall, mask);
}

Adversary::Losses Adversary::learn(const at::Tensor& predicted,
                                   const at::Tensor& z0,
                                   const at::Tensor& mask,
                                   const at::Tensor& core,
                                   const at::Tensor& weight) {
  Losses losses;
  const auto teach = [&weight](const at::Tensor& rows) {
    const auto loss = (rows * weight).sum();
    loss.backward();
    return loss.detach();
  };
  if (wall_) {
    losses.wall = teach(hinge(*wall_,
                              torch::cat({z0, mask}, 1),
                              mask,
                              torch::cat({composed(predicted, z0, mask), mask}, 1),
                              mask,
                              options_.r1));
  }
  if (paint_) {
    // A noisy mask holds more than wall: only its core may pass for properly painted. A sample
    // without core has no colour to paint with.
    const auto has_core = (core.sum({1, 2, 3}) > 0).to(torch::kFloat);
    losses.paint = teach(hinge(*paint_,
                               z0,
                               1 - mask + core.minimum(mask),
                               painted(z0, mask, core),
                               1 - mask,
                               options_.r1) *
                         has_core);
  }
  return losses;
}

at::Tensor& Adversary::reduced() {
  return parameters_.reduced();
}

void Adversary::zero() {
  parameters_.zero();
}

void Adversary::step() {
  optimizer_.step(parameters_.gradients(), options_.learning_rate);
}

std::map<std::string, at::Tensor> Adversary::state() {
  const auto updates = torch::full({1}, optimizer_.updates(), torch::kLong);
  return {{"discriminators.values", parameters_.values()},
          {"discriminators.exp_avg", optimizer_.exp_avg},
          {"discriminators.exp_avg_sq", optimizer_.exp_avg_sq},
          {"discriminators.updates", updates}};
}

void Adversary::load_state(const std::map<std::string, at::Tensor>& state) {
  torch::NoGradGuard no_grad;
  const auto copy = [&](const std::string& name, at::Tensor& to) {
    const auto found = state.find(name);
    if (found == state.end() || found->second.sizes() != to.sizes()) {
      throw InputError("the checkpoint's training state: no tensor '" + name + "' of " +
                       std::to_string(to.numel()) + " numbers");
    }
    to.copy_(found->second);
  };
  copy("discriminators.values", parameters_.values());
  copy("discriminators.exp_avg", optimizer_.exp_avg);
  copy("discriminators.exp_avg_sq", optimizer_.exp_avg_sq);
  auto updates = torch::zeros({1}, torch::kLong);
  copy("discriminators.updates", updates);
  optimizer_.set_updates(updates.item<int64_t>());
}

const std::vector<models::NamedParameter>& Adversary::parameters() const {
  return named_;
}

}  // namespace limewash::trainer
