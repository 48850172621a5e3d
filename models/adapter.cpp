#include "models/adapter.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <torch/torch.h>

#include "models/adapter_files.h"
#include "models/ip_adapter.h"
#include "models/safetensors.h"
#include "models/weights.h"
#include "runtime/error.h"
#include "runtime/random.h"

namespace limewash::models {

namespace {

bool matches(const std::string& path, const std::string& target) {
  return path == target || path.ends_with("." + target);
}

/// The linear layers of `unet` that the targets name, by path. Throws ConfigError for a target that
/// names none.
std::vector<std::pair<std::string, LoraLinear>> targeted_linears(
    UNet2DConditionModel& unet, const std::vector<std::string>& targets) {
  std::vector<std::pair<std::string, LoraLinear>> linears;
  std::vector<bool> used(targets.size(), false);
  for (const auto& item : unet->named_modules("", /*include_self=*/false)) {
    auto linear = std::dynamic_pointer_cast<LoraLinearImpl>(item.value());
    if (!linear) continue;
    bool wanted = false;
    for (size_t i = 0; i < targets.size(); ++i) {
      if (!matches(item.key(), targets[i])) continue;
      used[i] = wanted = true;
    }
    if (wanted) linears.emplace_back(item.key(), LoraLinear(linear));
  }
  for (size_t i = 0; i < targets.size(); ++i) {
    if (used[i]) continue;
    throw ConfigError(
        "adapter.lora.targets: '" + targets[i] +
        "' names no linear layer of this UNet; usual names are to_q, to_k, to_v, to_out.0, "
        "ff.net.0.proj, ff.net.2, proj_in, proj_out");
  }
  std::sort(linears.begin(), linears.end(), [](const auto& a, const auto& b) {
    return a.first < b.first;
  });
  return linears;
}

/// Uniform in [-bound, bound), a pure function of seed and name.
at::Tensor uniform_start(at::IntArrayRef shape,
                         double bound,
                         uint64_t seed,
                         const std::string& name) {
  at::Tensor values = at::empty(shape);
  RandomStream stream(seed, Purpose::kInitialization, 0, stable_id(name));
  const auto limit = static_cast<float>(bound);
  float* data = values.data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i) data[i] = stream.uniform(-limit, limit);
  return values;
}

void sort_by_name(std::vector<NamedParameter>& parameters) {
  std::sort(parameters.begin(), parameters.end(), [](const auto& a, const auto& b) {
    return a.name < b.name;
  });
}

TensorMap host_copy(const std::vector<NamedParameter>& parameters) {
  TensorMap tensors;
  for (const auto& [name, tensor] : parameters) {
    tensors.emplace(name, tensor.detach().to(at::kCPU, at::kFloat).contiguous());
  }
  return tensors;
}

/// A file that cannot be read back to the same bits does not count as written.
void write_verified(const std::filesystem::path& path,
                    const TensorMap& tensors,
                    const std::map<std::string, std::string>& metadata) {
  write_safetensors(path, tensors, metadata);
  const SafetensorsFile back = read_safetensors(path);
  bool equal = back.tensors.size() == tensors.size() && back.metadata == metadata;
  for (auto ours = tensors.begin(), theirs = back.tensors.begin(); equal && ours != tensors.end();
       ++ours, ++theirs) {
    // Compared as bits, since a NaN equals nothing, itself included.
    equal = ours->first == theirs->first && ours->second.sizes() == theirs->second.sizes() &&
            at::equal(ours->second.view(at::kInt), theirs->second.view(at::kInt));
  }
  if (!equal)
    throw InputError(path.string() + ": what was written does not read back to the same values");
}

void copy_from_file(const std::filesystem::path& path, std::vector<NamedParameter>& parameters) {
  torch::NoGradGuard no_grad;
  const SafetensorsFile file = read_safetensors(path);
  for (auto& [name, tensor] : parameters) {
    const auto found = file.tensors.find(name);
    if (found == file.tensors.end()) {
      throw InputError(path.string() + ": missing tensor " + name + " " +
                       shape_text(tensor.sizes()));
    }
    if (found->second.sizes() != tensor.sizes() ||
        !at::isFloatingType(found->second.scalar_type())) {
      throw InputError(path.string() + ": " + name + " has " +
                       at::toString(found->second.scalar_type()) + " " +
                       shape_text(found->second.sizes()) + ", this adapter needs floating point " +
                       shape_text(tensor.sizes()));
    }
  }
  if (file.tensors.size() != parameters.size()) {
    for (const auto& [name, tensor] : file.tensors) {
      const bool known = std::any_of(parameters.begin(),
                                     parameters.end(),
                                     [&](const auto& parameter) { return parameter.name == name; });
      if (!known)
        throw InputError(path.string() + ": surplus tensor " + name + ": this adapter has none");
    }
  }
  for (auto& [name, tensor] : parameters) tensor.copy_(file.tensors.at(name));
}

}  // namespace

struct Adapter::Impl {
  UNet2DConditionModel unet{nullptr};
  AdapterOptions options;
  std::vector<std::pair<std::string, LoraLinear>> linears;
  std::vector<std::pair<std::string, Attention>> cross_attentions;
  ImageProjection projection{nullptr};
  std::vector<NamedParameter> lora, ip_adapter;

  void add(std::vector<NamedParameter>& list, const std::string& name, at::Tensor& tensor) {
    tensor = tensor.to(unet->parameters().front().device()).set_requires_grad(true);
    list.push_back({name, tensor});
  }
  void install_lora(uint64_t seed);
  void install_ip_adapter(int64_t image_embedding_size, uint64_t seed);
};

void Adapter::Impl::install_lora(uint64_t seed) {
  if (options.lora.rank == 0) return;
  const double scale = options.lora.alpha / static_cast<double>(options.lora.rank);
  linears = targeted_linears(unet, options.lora.targets);
  for (auto& [path, linear] : linears) {
    std::vector<int64_t> a_shape = linear->weight.sizes().vec(), b_shape = a_shape;
    a_shape[0] = b_shape[1] = options.lora.rank;
    // peft: Kaiming with a = sqrt(5), which is this bound; and B starts at zero.
    const double bound = 1 / std::sqrt(static_cast<double>(linear->in_features()));
    at::Tensor a = uniform_start(a_shape, bound, seed, lora_a_name(path));
    at::Tensor b = at::zeros(b_shape);
    add(lora, lora_a_name(path), a);
    add(lora, lora_b_name(path), b);
    linear->install_lora(a, b, scale);
  }
  sort_by_name(lora);
}

void Adapter::Impl::install_ip_adapter(int64_t image_embedding_size, uint64_t seed) {
  if (options.ip_adapter.kind == "none") return;
  TORCH_CHECK(
      image_embedding_size > 0, "IP-Adapter: image_embedding_size is ", image_embedding_size);
  projection = ImageProjection(
      image_embedding_size, unet->config().cross_attention_dim[0], options.ip_adapter.tokens);
  {
    torch::NoGradGuard no_grad;
    const double bound = 1 / std::sqrt(static_cast<double>(image_embedding_size));
    auto& linear = *projection->proj;
    linear.weight.copy_(
        uniform_start(linear.weight.sizes(), bound, seed, "image_proj.proj.weight"));
    linear.bias.copy_(uniform_start(linear.bias.sizes(), bound, seed, "image_proj.proj.bias"));
  }
  projection->to(unet->parameters().front().device());
  for (const auto& item : projection->named_parameters()) {
    at::Tensor tensor = item.value();
    add(ip_adapter, "image_proj." + item.key(), tensor);
  }
  const auto attentions = unet->attentions();
  for (size_t place = 1; place < attentions.size(); place += 2) {
    Attention attention = attentions[place].second;
    at::Tensor key = attention->to_k->weight.detach().clone();
    at::Tensor value = attention->to_v->weight.detach().clone();
    add(ip_adapter, ip_key_name(place), key);
    add(ip_adapter, ip_value_name(place), value);
    attention->install_ip_adapter(key, value, options.ip_adapter.scale);
    cross_attentions.push_back(attentions[place]);
  }
  sort_by_name(ip_adapter);
}

Adapter::Adapter(UNet2DConditionModel unet,
                 const AdapterOptions& options,
                 int64_t image_embedding_size,
                 uint64_t seed)
    : impl_(std::make_unique<Impl>()) {
  options.validate();
  impl_->unet = std::move(unet);
  impl_->options = options;
  impl_->install_lora(seed);
  impl_->install_ip_adapter(image_embedding_size, seed);
}

Adapter::~Adapter() {
  for (auto& [path, linear] : impl_->linears) linear->remove_lora();
  for (auto& [path, attention] : impl_->cross_attentions) attention->remove_ip_adapter();
}

std::vector<NamedParameter> Adapter::lora_parameters() {
  return impl_->lora;
}

std::vector<NamedParameter> Adapter::ip_adapter_parameters() {
  return impl_->ip_adapter;
}

at::Tensor Adapter::project_reference(const at::Tensor& image_embeds) {
  return impl_->projection ? impl_->projection->forward(image_embeds) : at::Tensor();
}

void Adapter::set_enabled(bool enabled) {
  for (auto& [path, linear] : impl_->linears) linear->set_lora_enabled(enabled);
  for (auto& [path, attention] : impl_->cross_attentions)
    attention->set_ip_adapter_enabled(enabled);
}

void Adapter::save(const std::filesystem::path& folder,
                   const std::map<std::string, std::string>& metadata) const {
  std::filesystem::create_directories(folder);
  if (!impl_->lora.empty()) {
    std::vector<std::string> paths;
    for (const auto& [path, linear] : impl_->linears) paths.push_back(path);
    auto all = metadata;
    all["format"] = "pt";
    all[kLoraMetadataKey] =
        lora_metadata_json(impl_->options.lora.rank, impl_->options.lora.alpha, paths);
    write_verified(folder / kLoraFileName, host_copy(impl_->lora), all);
  }
  if (!impl_->ip_adapter.empty()) {
    auto all = metadata;
    all["format"] = "pt";
    all[kIpScaleKey] = number_text(impl_->options.ip_adapter.scale);
    write_verified(folder / kIpAdapterFileName, host_copy(impl_->ip_adapter), all);
  }
}

void Adapter::load(const std::filesystem::path& folder) {
  if (!impl_->lora.empty()) copy_from_file(folder / kLoraFileName, impl_->lora);
  if (!impl_->ip_adapter.empty()) copy_from_file(folder / kIpAdapterFileName, impl_->ip_adapter);
}

const AdapterOptions& Adapter::options() const {
  return impl_->options;
}

}  // namespace limewash::models
