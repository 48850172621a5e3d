// write_lora: the peft and the kohya layout.

#include <utility>

#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "models/adapter_files.h"
#include "models/lora_formats.h"
#include "models/lora_keys.h"
#include "models/lora_metadata.h"
#include "models/verified_safetensors.h"

namespace limewash::models {

namespace {

using Metadata = std::map<std::string, std::string>;

/// B times `factor`; the same bits for 1.
at::Tensor scaled(const at::Tensor& b, double factor) {
  return factor == 1 ? b : b.detach().to(at::kFloat) * factor;
}

/// alpha == rank and plain scales, the rest in B.
void fold_scales(LoraWeights& weights) {
  for (auto& [path, module] : weights.modules) {
    module.b = scaled(module.b, weights.scale_of(module));
    module.alpha = static_cast<double>(module.rank());
  }
  weights.use_rslora = false;
}

/// One alpha for all modules, the rest in B: diffusers 0.42 loses alphas of attention layers that
/// differ from the usual one in kohya's layout, without a word. Alphas are fp32 there and know
/// alpha / rank only.
void share_one_alpha(LoraWeights& weights) {
  for (auto& [path, module] : weights.modules) {
    module.alpha = weights.scale_of(module) * static_cast<double>(module.rank());
  }
  weights.use_rslora = false;
  const double alpha = weights.usual_alpha();
  for (auto& [path, module] : weights.modules) {
    module.b = scaled(module.b, module.alpha / alpha);
    module.alpha = static_cast<float>(alpha);
  }
}

/// The weights as the file will hold them.
LoraWeights prepared(const LoraWeights& weights,
                     const LoraFileOptions& options,
                     const std::string& path) {
  LoraWeights result = weights;
  if (options.fold_alpha) {
    fold_scales(result);
  } else if (options.layout == LoraLayout::kKohya) {
    share_one_alpha(result);
  }
  for (auto& [module_path, module] : result.modules) {
    module.a = converted_for_file(module.a, options.dtype, path, lora_a_name(module_path));
    module.b = converted_for_file(module.b, options.dtype, path, lora_b_name(module_path));
  }
  return result;
}

/// Whether the alphas are all one number, which every reader gets right.
bool has_one_alpha(const LoraWeights& weights) {
  const double alpha = weights.usual_alpha();
  for (const auto& [path, module] : weights.modules) {
    if (module.alpha != alpha) return false;
  }
  return true;
}

void fill_peft(const LoraWeights& weights, TensorMap& tensors, Metadata& metadata) {
  for (const auto& [path, module] : weights.modules) {
    tensors[lora_a_name(path)] = module.a;
    tensors[lora_b_name(path)] = module.b;
  }
  metadata[kLoraMetadataKey] = peft_lora_metadata(weights);
}

/// The width of the text, by which kohya's tools tell the bases apart; 0 when no module says it.
int64_t context_width(const LoraWeights& weights) {
  for (const auto& [path, module] : weights.modules) {
    if (path.ends_with(".attn2.to_k") || path.ends_with(".attn2.to_v")) return module.a.size(1);
  }
  return 0;
}

void fill_kohya(const LoraWeights& weights, TensorMap& tensors, Metadata& metadata) {
  bool has_convolution = false;
  // Folded alphas of several ranks are several: without any, every reader takes the rank.
  const bool with_alpha = has_one_alpha(weights);
  for (const auto& [path, module] : weights.modules) {
    const std::string name = kohya_module_name(path);
    const bool is_new = tensors.emplace(name + ".lora_down.weight", module.a).second;
    TORCH_CHECK(is_new, "two modules are called ", name, " in kohya's layout");
    tensors[name + ".lora_up.weight"] = module.b;
    if (with_alpha) tensors[name + ".alpha"] = at::scalar_tensor(module.alpha, at::kFloat);
    has_convolution = has_convolution || (module.a.dim() == 4 && module.a.size(2) > 1);
  }
  const std::string rank = std::to_string(weights.usual_rank());
  const std::string alpha = number_text(weights.usual_alpha());
  metadata["ss_network_module"] = "networks.lora";
  metadata["ss_network_dim"] = rank;
  metadata["ss_network_alpha"] = alpha;
  if (has_convolution) {
    metadata["ss_network_args"] =
        nlohmann::json({{"conv_dim", rank}, {"conv_alpha", alpha}}).dump();
  }
  const int64_t width = context_width(weights);
  if (width == 768) metadata["ss_base_model_version"] = "sd_v1";
  if (width == 1024) metadata["ss_base_model_version"] = "sd_v2";
}

bool same_weights(const LoraWeights& ours, const LoraWeights& back) {
  if (ours.use_rslora != back.use_rslora || ours.modules.size() != back.modules.size()) {
    return false;
  }
  for (auto one = ours.modules.begin(), other = back.modules.begin(); one != ours.modules.end();
       ++one, ++other) {
    const LoraModule &left = one->second, &right = other->second;
    if (one->first != other->first || left.alpha != right.alpha || !same_bits(left.a, right.a) ||
        !same_bits(left.b, right.b)) {
      return false;
    }
  }
  return true;
}

}  // namespace

void write_lora(const std::filesystem::path& path,
                const LoraWeights& weights,
                const LoraFileOptions& options) {
  TORCH_CHECK(!weights.modules.empty(), "write_lora: there is no module");
  const LoraWeights file = prepared(weights, options, path.string());
  TensorMap tensors;
  Metadata metadata = file.metadata;
  // Hashes and the description of another layout would lie.
  std::erase_if(metadata, [](const auto& entry) {
    return entry.first.starts_with("sshs_") || entry.first.starts_with("ss_network_");
  });
  metadata["format"] = "pt";
  if (options.layout == LoraLayout::kPeft) fill_peft(file, tensors, metadata);
  if (options.layout == LoraLayout::kKohya) fill_kohya(file, tensors, metadata);
  write_safetensors(path, tensors, metadata);

  std::vector<std::string> modules;
  for (const auto& [module_path, module] : file.modules) modules.push_back(module_path);
  const LoraWeights back = read_lora(path, modules);
  metadata.erase("format");
  metadata.erase(kLoraMetadataKey);
  if (!same_weights(file, back) || back.metadata != metadata) {
    refuse_unequal(path);
  }
}

}  // namespace limewash::models
