#include "models/ip_adapter.h"

#include <cmath>
#include <utility>

#include <torch/torch.h>

#include "models/adapter_files.h"
#include "models/image_projection.h"
#include "models/ip_adapter_file.h"
#include "models/resampler.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

const std::string kProjectionPrefix = "image_proj.";

/// Linear layers start as torch.nn.Linear's, the queries normal; norms stay at 1 and 0.
void set_start_values(torch::nn::Module& projection, uint64_t seed) {
  torch::NoGradGuard no_grad;
  const auto parameters = projection.named_parameters();
  for (const auto& item : parameters) {
    const std::string name = kProjectionPrefix + item.key();
    at::Tensor tensor = item.value();
    if (item.key() == "latents") {
      const double deviation = 1 / std::sqrt(static_cast<double>(tensor.size(2)));
      tensor.copy_(normal_start(tensor.sizes(), deviation, seed, name));
      continue;
    }
    const std::string layer = item.key().substr(0, item.key().rfind('.'));
    const at::Tensor& weight = parameters[layer + ".weight"];
    if (weight.dim() != 2) continue;
    const double bound = 1 / std::sqrt(static_cast<double>(weight.size(1)));
    tensor.copy_(uniform_start(tensor.sizes(), bound, seed, name));
  }
}

}  // namespace

struct IpAdapter::Impl {
  UNet2DConditionModel unet{nullptr};
  IpAdapterOptions options;
  int64_t image_embedding_size = 0;
  ImageProjection image_projection{nullptr};  // base
  Resampler resampler{nullptr};               // plus
  std::vector<Attention> cross_attentions;
  size_t place = 0;
  std::vector<NamedParameter> parameters;

  void add(const std::string& name, at::Tensor& tensor) {
    tensor = tensor.to(unet->parameters().front().device()).set_requires_grad(true);
    parameters.push_back({name, tensor});
  }
  std::shared_ptr<torch::nn::Module> make_projection();
  void install(uint64_t seed);
};

std::shared_ptr<torch::nn::Module> IpAdapter::Impl::make_projection() {
  const int64_t width = unet->config().cross_attention_dim[0];
  options.tokens = options.token_count();
  if (options.kind == "base") {
    image_projection = ImageProjection(image_embedding_size, width, options.tokens);
    return image_projection.ptr();
  }
  if (options.resampler.dim == 0) options.resampler.dim = width;
  resampler = Resampler(ResamplerConfig{.embedding_dim = image_embedding_size,
                                        .dim = options.resampler.dim,
                                        .output_dim = width,
                                        .depth = options.resampler.depth,
                                        .heads = options.resampler.heads,
                                        .head_dim = options.resampler.head_dim,
                                        .num_queries = options.tokens,
                                        .ff_mult = options.resampler.ff_mult});
  return resampler.ptr();
}

void IpAdapter::Impl::install(uint64_t seed) {
  TORCH_CHECK(
      image_embedding_size > 0, "IP-Adapter: image_embedding_size is ", image_embedding_size);
  const auto attentions = unet->attentions();
  if (attentions.empty()) {
    throw ConfigError("adapter.ip_adapter.kind is '" + options.kind +
                      "': this UNet has no cross-attention for it");
  }
  const auto projection = make_projection();
  set_start_values(*projection, seed);
  projection->to(unet->parameters().front().device());
  for (const auto& item : projection->named_parameters()) {
    at::Tensor tensor = item.value();
    add(kProjectionPrefix + item.key(), tensor);
  }
  for (size_t number = 1; number < attentions.size(); number += 2) {
    Attention attention = attentions[number].second;
    const auto copy_of = [](const at::Tensor& weight) {
      return weight.detach().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    };
    at::Tensor key = copy_of(attention->to_k->weight), value = copy_of(attention->to_v->weight);
    add(ip_key_name(number), key);
    add(ip_value_name(number), value);
    const size_t taken = attention->add_ip_adapter(key, value, options.scale);
    cross_attentions.push_back(attention);
    if (number == 1) place = taken;
    TORCH_CHECK(taken == place, "IP-Adapter: the attentions of the UNet hold different ones");
  }
  sort_by_name(parameters);
}

IpAdapter::IpAdapter(UNet2DConditionModel unet,
                     const IpAdapterOptions& options,
                     int64_t image_embedding_size,
                     uint64_t seed)
    : impl_(std::make_unique<Impl>()) {
  options.validate();
  TORCH_CHECK(options.kind != "none", "IpAdapter: the kind is none");
  impl_->unet = std::move(unet);
  impl_->options = options;
  impl_->image_embedding_size = image_embedding_size;
  impl_->install(seed);
}

IpAdapter::~IpAdapter() {
  for (auto& attention : impl_->cross_attentions) attention->remove_ip_adapter(impl_->place);
}

const std::vector<NamedParameter>& IpAdapter::parameters() const {
  return impl_->parameters;
}

at::Tensor IpAdapter::project_reference(const at::Tensor& features) {
  if (impl_->image_projection) return impl_->image_projection->forward(features.to(at::kFloat));
  // Large enough to be worth computing in the UNet's own type.
  return impl_->resampler->forward(
      features.to(impl_->cross_attentions.front()->to_k->weight.scalar_type()));
}

size_t IpAdapter::place() const {
  return impl_->place;
}

void IpAdapter::set_enabled(bool enabled) {
  for (auto& attention : impl_->cross_attentions)
    attention->set_ip_adapter_enabled(impl_->place, enabled);
}

std::map<std::string, std::string> IpAdapter::file_metadata() const {
  const IpAdapterOptions& options = impl_->options;
  std::map<std::string, std::string> metadata;
  metadata["format"] = "pt";
  metadata[kIpKindKey] = options.kind;
  metadata[kIpTokensKey] = std::to_string(options.tokens);
  metadata[kIpScaleKey] = number_text(options.scale);
  if (impl_->resampler) metadata[kIpHeadDimKey] = std::to_string(options.resampler.head_dim);
  return metadata;
}

void IpAdapter::save(const std::filesystem::path& folder,
                     std::map<std::string, std::string> metadata) const {
  for (const auto& [key, value] : file_metadata()) metadata[key] = value;
  write_parameters(folder / kIpAdapterFileName, impl_->parameters, metadata);
}

void IpAdapter::load(const std::filesystem::path& file) {
  const IpAdapterFile content = read_ip_adapter_file(file);
  require_same_adapter(file.string(), content, impl_->options, impl_->image_embedding_size);
  copy_parameters(content.tensors, file.string(), impl_->parameters);
}

const IpAdapterOptions& IpAdapter::options() const {
  return impl_->options;
}

}  // namespace limewash::models
