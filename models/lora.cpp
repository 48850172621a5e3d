#include "models/lora.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <torch/torch.h>

#include "models/adapter_files.h"
#include "models/lora_layer.h"
#include "models/module_pattern.h"
#include "models/strict_json.h"
#include "models/weights.h"
#include "runtime/error.h"
#include "runtime/random.h"

namespace limewash::models {

namespace {

/// A layer of the UNet, kept alive by `module`.
struct LayerAt {
  std::string path;
  std::shared_ptr<torch::nn::Module> module;
  LoraLayer* layer = nullptr;
};

std::vector<LayerAt> lora_layers(const UNet2DConditionModel& unet) {
  std::vector<LayerAt> layers;
  for (const auto& item : unet->named_modules("", /*include_self=*/false)) {
    if (auto* layer = dynamic_cast<LoraLayer*>(item.value().get())) {
      layers.push_back({item.key(), item.value(), layer});
    }
  }
  std::sort(
      layers.begin(), layers.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return layers;
}

/// Patterns that must all be of use.
class Patterns {
 public:
  Patterns(const char* key, const std::vector<std::string>& texts) : key_(key), texts_(texts) {
    for (const auto& text : texts) patterns_.emplace_back(text);
    used_.resize(texts.size(), false);
  }

  /// The place of the first pattern that matches; all that match count as used.
  std::optional<size_t> first_match(const std::string& path) {
    std::optional<size_t> first;
    for (size_t i = 0; i < patterns_.size(); ++i) {
      if (!patterns_[i].matches(path)) continue;
      used_[i] = true;
      if (!first) first = i;
    }
    return first;
  }

  void require_all_used(const std::string& what) const {
    for (size_t i = 0; i < texts_.size(); ++i) {
      if (used_[i]) continue;
      throw ConfigError(std::string("adapter.lora.") + key_ + ": '" + texts_[i] + "' names no " +
                        what);
    }
  }

 private:
  const char* key_;
  std::vector<std::string> texts_;
  std::vector<ModulePattern> patterns_;
  std::vector<bool> used_;
};

template <class Value>
std::vector<std::string> keys_of(const config::Map<Value>& map) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : map) keys.push_back(key);
  return keys;
}

/// Where the LoRA goes, and what it is there.
struct Place {
  LayerAt at;
  int64_t rank = 0;
  double alpha = 0;
};

std::vector<Place> find_places(const UNet2DConditionModel& unet, const LoraOptions& options) {
  Patterns targets("targets", options.targets),
      excluded("exclude_modules", options.exclude_modules);
  Patterns ranks("rank_pattern", keys_of(options.rank_pattern));
  Patterns alphas("alpha_pattern", keys_of(options.alpha_pattern));
  std::vector<Place> places;
  for (auto& layer : lora_layers(unet)) {
    const std::string path = layer.path;
    if (!targets.first_match(path) || excluded.first_match(path)) continue;
    Place place{std::move(layer), options.rank, options.alpha};
    if (const auto i = ranks.first_match(path)) place.rank = options.rank_pattern[*i].second;
    if (const auto i = alphas.first_match(path)) place.alpha = options.alpha_pattern[*i].second;
    places.push_back(std::move(place));
  }
  targets.require_all_used(
      "layer of this UNet; usual names are to_q, to_k, to_v, to_out.0, ff.net.0.proj, ff.net.2, "
      "proj_in, proj_out, conv1, conv2");
  const std::string of_targets = "layer that adapter.lora.targets names";
  excluded.require_all_used(of_targets);
  ranks.require_all_used(of_targets + ", less the excluded ones");
  alphas.require_all_used(of_targets + ", less the excluded ones");
  if (places.empty()) {
    throw ConfigError("adapter.lora.exclude_modules leaves no layer that gets a LoRA");
  }
  return places;
}

/// [out, in] and [out, in, 1, 1] are the same to a linear layer.
bool is_reshapable(const at::Tensor& tensor, const at::Tensor& wanted) {
  const auto ones_after_two = [](const at::Tensor& t) {
    return t.dim() == 2 || (t.dim() == 4 && t.size(2) == 1 && t.size(3) == 1);
  };
  return tensor.sizes() == wanted.sizes() ||
         (ones_after_two(tensor) && ones_after_two(wanted) && tensor.size(0) == wanted.size(0) &&
          tensor.size(1) == wanted.size(1));
}

}  // namespace

struct Lora::Impl {
  /// One layer's tensors.
  struct Installed {
    Place place;
    at::Tensor a, b;
  };

  UNet2DConditionModel unet{nullptr};
  LoraOptions options;
  std::shared_ptr<LoraDropout> dropout;  // null without
  std::vector<Installed> layers;
  std::vector<NamedParameter> parameters;

  at::Tensor added(const std::string& name, const at::Tensor& start) {
    const at::Tensor tensor = start.to(unet->parameters().front().device()).set_requires_grad(true);
    parameters.push_back({name, tensor});
    return tensor;
  }
  void install(uint64_t seed);
  std::string difference(const LoraWeights& file) const;
};

void Lora::Impl::install(uint64_t seed) {
  if (options.dropout > 0) dropout = std::make_shared<LoraDropout>(options.dropout);
  for (auto& place : find_places(unet, options)) {
    const std::string path = place.at.path;
    const at::Tensor& weight = place.at.layer->lora_base_weight();
    std::vector<int64_t> a_shape = weight.sizes().vec();
    std::vector<int64_t> b_shape(a_shape.size(), 1);
    b_shape[0] = a_shape[0];
    a_shape[0] = b_shape[1] = place.rank;
    // peft: Kaiming with a = sqrt(5), which is this bound; and B starts at zero.
    const auto fan_in = static_cast<double>(weight.numel() / weight.size(0));
    const double bound = 1 / std::sqrt(fan_in);
    const at::Tensor a =
        added(lora_a_name(path), uniform_start(a_shape, bound, seed, lora_a_name(path)));
    const at::Tensor b = added(lora_b_name(path), at::zeros(b_shape));
    const double scale = lora_scale(place.alpha, place.rank, options.use_rslora);
    place.at.layer->install_lora({a, b, scale, dropout, stable_id(path)});
    layers.push_back({std::move(place), a, b});
  }
  sort_by_name(parameters);
}

Lora::Lora(UNet2DConditionModel unet, const LoraOptions& options, uint64_t seed)
    : impl_(std::make_unique<Impl>()) {
  options.validate();
  TORCH_CHECK(options.rank > 0, "Lora: the rank is 0");
  impl_->unet = std::move(unet);
  impl_->options = options;
  impl_->install(seed);
}

Lora::~Lora() {
  for (auto& layer : impl_->layers) layer.place.at.layer->remove_lora();
}

const std::vector<NamedParameter>& Lora::parameters() const {
  return impl_->parameters;
}

void Lora::set_enabled(bool enabled) {
  for (auto& layer : impl_->layers) layer.place.at.layer->set_lora_enabled(enabled);
}

void Lora::begin_dropout(uint64_t seed, std::vector<DropoutKey> keys) {
  if (impl_->dropout) impl_->dropout->begin(seed, std::move(keys));
}

void Lora::end_dropout() {
  if (impl_->dropout) impl_->dropout->end();
}

void Lora::merge() {
  for (auto& layer : impl_->layers) layer.place.at.layer->merge_lora();
}

void Lora::unmerge() {
  for (auto& layer : impl_->layers) layer.place.at.layer->unmerge_lora();
}

LoraWeights Lora::weights() const {
  LoraWeights weights;
  weights.use_rslora = impl_->options.use_rslora;
  for (const auto& layer : impl_->layers) {
    weights.modules[layer.place.at.path] = {layer.a.detach(), layer.b.detach(), layer.place.alpha};
  }
  return weights;
}

void Lora::save(const std::filesystem::path& folder,
                std::map<std::string, std::string> metadata) const {
  LoraWeights all = weights();
  all.metadata = std::move(metadata);
  write_lora(folder / kLoraFileName, all);
}

/// The first thing in which a file differs from this LoRA, or "".
std::string Lora::Impl::difference(const LoraWeights& file) const {
  for (const auto& layer : layers) {
    const std::string& path = layer.place.at.path;
    const auto found = file.modules.find(path);
    if (found == file.modules.end()) {
      return "missing tensor " + lora_a_name(path) + " " + shape_text(layer.a.sizes()) +
             ": adapter.lora.targets names this layer";
    }
    const LoraModule& module = found->second;
    if (module.rank() != layer.place.rank) {
      return printable(path) + " has the rank " + std::to_string(module.rank()) + ", by A " +
             shape_text(module.a.sizes()) + ": by adapter.lora.rank and rank_pattern it is " +
             std::to_string(layer.place.rank);
    }
    if (!is_reshapable(module.a, layer.a) || !is_reshapable(module.b, layer.b)) {
      return lora_a_name(path) + " has the shape " + shape_text(module.a.sizes()) + " and its B " +
             shape_text(module.b.sizes()) + ", this UNet needs " + shape_text(layer.a.sizes()) +
             " and " + shape_text(layer.b.sizes());
    }
  }
  for (const auto& [path, module] : file.modules) {
    const bool known = std::any_of(layers.begin(), layers.end(), [&](const auto& layer) {
      return layer.place.at.path == path;
    });
    if (!known) {
      return "surplus tensor " + printable(lora_a_name(path)) +
             ": the adapter has none; adapter.lora.targets does not name this layer";
    }
  }
  for (const auto& layer : layers) {
    const LoraModule& module = file.modules.at(layer.place.at.path);
    const double scale = file.scale_of(module);
    const double wanted = lora_scale(layer.place.alpha, layer.place.rank, options.use_rslora);
    // kohya's files hold alpha in fp32.
    if (std::abs(scale - wanted) <= 1e-6 * wanted) continue;
    return printable(layer.place.at.path) + " has the alpha " + number_text(module.alpha) +
           " and the scale " + number_text(scale) +
           ": by adapter.lora.alpha, alpha_pattern and use_rslora they are " +
           number_text(layer.place.alpha) + " and " + number_text(wanted);
  }
  return "";
}

void Lora::load(const std::filesystem::path& file) {
  torch::NoGradGuard no_grad;
  const LoraWeights found = read_lora(file, lora_module_paths(impl_->unet));
  const std::string difference = impl_->difference(found);
  if (!difference.empty()) throw InputError(file.string() + ": " + difference);
  for (auto& layer : impl_->layers) {
    const LoraModule& module = found.modules.at(layer.place.at.path);
    layer.a.copy_(module.a.reshape(layer.a.sizes()));
    layer.b.copy_(module.b.reshape(layer.b.sizes()));
  }
}

const LoraOptions& Lora::options() const {
  return impl_->options;
}

std::vector<std::string> lora_module_paths(UNet2DConditionModel unet) {
  std::vector<std::string> paths;
  for (const auto& layer : lora_layers(unet)) paths.push_back(layer.path);
  return paths;
}

}  // namespace limewash::models
