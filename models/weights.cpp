#include "models/weights.h"

#include <array>
#include <map>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include "models/safetensors.h"
#include "models/strict_json.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

constexpr size_t kNamesShown = 5;

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < kNamesShown; ++i) {
    text += (i == 0 ? "" : ", ") + printable(names[i]);
  }
  if (names.size() > kNamesShown) {
    text += " and " + std::to_string(names.size() - kNamesShown) + " more";
  }
  return text;
}

}  // namespace

std::string shape_text(at::IntArrayRef sizes) {
  std::string text = "[";
  for (size_t i = 0; i < sizes.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
  return text + "]";
}

std::filesystem::path find_weights(const std::filesystem::path& folder, const std::string& stem) {
  const auto full = folder / (stem + ".safetensors");
  if (std::filesystem::exists(full)) return full;
  const auto half = folder / (stem + ".fp16.safetensors");
  if (std::filesystem::exists(half)) return half;
  throw InputError(folder.string() + ": no weights: expected " + full.filename().string() + " or " +
                   half.filename().string());
}

void load_weights(torch::nn::Module& module,
                  const std::filesystem::path& file,
                  const KeyAdapter& adapt_key) {
  torch::NoGradGuard no_grad;
  const SafetensorsFile content = read_safetensors(file);
  std::map<std::string, at::Tensor> parameters;
  for (const auto& item : module.named_parameters()) parameters.emplace(item.key(), item.value());

  std::vector<std::string> surplus;
  for (const auto& [key, tensor] : content.tensors) {
    const std::string name = adapt_key ? adapt_key(key) : key;
    if (name.empty()) continue;
    const auto found = parameters.find(name);
    if (found == parameters.end()) {
      surplus.push_back(key);
      continue;
    }
    at::Tensor& parameter = found->second;
    if (parameter.sizes() != tensor.sizes()) {
      throw InputError(file.string() + ": " + printable(key) + " has the shape " +
                       shape_text(tensor.sizes()) + ", the network built from config.json needs " +
                       shape_text(parameter.sizes()));
    }
    if (!at::isFloatingType(tensor.scalar_type())) {
      throw InputError(file.string() + ": " + printable(key) + " has the dtype " +
                       at::toString(tensor.scalar_type()) + ": expected floating point");
    }
    parameter.copy_(tensor);
    parameters.erase(found);
  }
  if (!parameters.empty()) {
    std::vector<std::string> missing;
    for (const auto& [name, parameter] : parameters) {
      missing.push_back(name + " " + shape_text(parameter.sizes()));
    }
    throw InputError(file.string() + ": missing tensors: " + listed(missing) +
                     (surplus.empty() ? "" : "; surplus tensors: " + listed(surplus)));
  }
  if (!surplus.empty()) {
    throw InputError(file.string() +
                     ": surplus tensors that config.json has no place for: " + listed(surplus));
  }
  for (auto& parameter : module.parameters()) parameter.set_requires_grad(false);
  module.eval();
}

std::string adapt_clip_text_key(const std::string& key) {
  const std::string name = key.starts_with("text_model.") ? key : "text_model." + key;
  return name == "text_model.embeddings.position_ids" ? "" : name;
}

std::string adapt_clip_vision_key(const std::string& key) {
  return key == "vision_model.embeddings.position_ids" ? "" : key;
}

std::string adapt_vae_key(const std::string& key) {
  static constexpr std::array<std::pair<const char*, const char*>, 4> kRenamed = {
      {{"query", "to_q"}, {"key", "to_k"}, {"value", "to_v"}, {"proj_attn", "to_out.0"}}};
  for (const auto& [old_name, new_name] : kRenamed) {
    const std::string part = std::string(".mid_block.attentions.0.") + old_name + ".";
    const size_t position = key.find(part);
    if (position == std::string::npos) continue;
    return key.substr(0, position) + ".mid_block.attentions.0." + new_name + "." +
           key.substr(position + part.size());
  }
  return key;
}

}  // namespace limewash::models
