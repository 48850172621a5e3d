#include "models/weights.h"

#include <array>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include <torch/torch.h>

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

/// The memory that parameters lie in already.
class UsedMemory {
 public:
  /// False when some of the tensor's memory is in use.
  bool claim(const at::Tensor& tensor) {
    const auto* begin = static_cast<const char*>(tensor.const_data_ptr());
    const char* end = begin + tensor.nbytes();
    const auto next = ranges_.lower_bound(begin);
    if (next != ranges_.end() && next->first < end) return false;
    if (next != ranges_.begin() && std::prev(next)->second > begin) return false;
    ranges_.emplace(begin, end);
    return true;
  }

 private:
  std::map<const char*, const char*> ranges_;  // begin -> end
};

}  // namespace

std::string shape_text(at::IntArrayRef sizes) {
  std::string text = "[";
  for (size_t i = 0; i < sizes.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
  return text + "]";
}

void load_weights(torch::nn::Module& module,
                  const WeightsFiles& files,
                  const KeyAdapter& adapt_key,
                  std::optional<at::ScalarType> dtype) {
  torch::NoGradGuard no_grad;
  WeightsFile content = read_weights(files);
  const std::string file = files.shown().string();
  std::map<std::string, at::Tensor> parameters;
  for (const auto& item : module.named_parameters()) parameters.emplace(item.key(), item.value());

  std::vector<std::string> surplus;
  UsedMemory used_memory;
  while (!content.tensors.empty()) {
    const auto node = content.tensors.extract(content.tensors.begin());
    const std::string& key = node.key();
    const at::Tensor& tensor = node.mapped();
    const std::string name = adapt_key ? adapt_key(key) : key;
    if (name.empty()) continue;
    const auto found = parameters.find(name);
    if (found == parameters.end()) {
      surplus.push_back(key);
      continue;
    }
    at::Tensor& parameter = found->second;
    if (parameter.sizes() != tensor.sizes()) {
      throw InputError(file + ": " + printable(key) + " has the shape " +
                       shape_text(tensor.sizes()) + ", the network built from config.json needs " +
                       shape_text(parameter.sizes()));
    }
    if (!at::isFloatingType(tensor.scalar_type())) {
      throw InputError(file + ": " + printable(key) + " has the dtype " +
                       at::toString(tensor.scalar_type()) + ": expected floating point");
    }
    const auto options = parameter.options().dtype(dtype.value_or(parameter.scalar_type()));
    const bool fits = tensor.is_contiguous() && parameter.is_contiguous() &&
                      tensor.options().type_equal(options) && tensor.device() == options.device();
    // Parameters that were saved as one memory become two: training one must not move the other.
    if (fits && used_memory.claim(tensor)) {
      parameter.set_data(tensor);
    } else {
      // In the order that the layer wants, which for convolutions is not the file's.
      parameter.set_data(
          at::empty(tensor.sizes(), options.requires_grad(false), parameter.suggest_memory_format())
              .copy_(tensor));
      content.drop(tensor);
    }
    parameters.erase(found);
  }
  if (!parameters.empty()) {
    std::vector<std::string> missing;
    for (const auto& [name, parameter] : parameters) {
      missing.push_back(name + " " + shape_text(parameter.sizes()));
    }
    throw InputError(file + ": missing tensors: " + listed(missing) +
                     (surplus.empty() ? "" : "; surplus tensors: " + listed(surplus)));
  }
  if (!surplus.empty()) {
    throw InputError(file +
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
