// read_lora: from the names of a file to modules.

#include <cmath>
#include <optional>

#include <spdlog/spdlog.h>
#include <torch/torch.h>

#include "models/adapter_files.h"
#include "models/ip_adapter_file.h"
#include "models/lora_formats.h"
#include "models/lora_keys.h"
#include "models/lora_metadata.h"
#include "models/strict_json.h"
#include "models/weights.h"
#include "models/weights_file.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::models {

namespace {

constexpr const char* kPeftConfigName = "adapter_config.json";
// A UNet of SD 1.5 has 700 layers; more than this is no LoRA of one.
constexpr size_t kMostModules = 8192;
constexpr size_t kLongestPath = 512;

/// The tensors of one module as the file has them.
struct FoundModule {
  std::string name;  // an example of its names, for messages
  at::Tensor a, b;
  std::optional<double> alpha;
  bool kohya = false;
};

class LoraReader {
 public:
  LoraReader(const std::filesystem::path& path, const std::vector<std::string>& module_paths)
      : path_(path), shown_(path.string()), file_(read_weights_file(path)) {
    for (const auto& module : module_paths) {
      auto& place = flattened_[kohya_module_name(module)];
      // Two modules of one flattened name: neither can be meant.
      place = place.empty() ? module : "?";
    }
    knows_modules_ = !module_paths.empty();
  }

  LoraWeights read() {
    if (is_ip_adapter_file(path_)) {
      throw InputError(shown_ + ": is an IP-Adapter file: expected a LoRA");
    }
    for (const auto& [name, tensor] : file_.tensors) add(name, tensor);
    if (found_.empty()) {
      throw InputError(shown_ + (text_encoder_tensors_ > 0
                                     ? ": has tensors of a text encoder only: expected a LoRA of a "
                                       "UNet"
                                     : ": has no tensor"));
    }
    if (text_encoder_tensors_ > 0) {
      spdlog::warn("{}: {} tensors of a text encoder are left out: limewash changes the UNet only",
                   shown_,
                   text_encoder_tensors_);
    }
    return finish();
  }

 private:
  void add(const std::string& name, const at::Tensor& tensor) {
    const auto key = parse_lora_key(name);
    if (key && key->network == LoraNetwork::kTextEncoder) {
      ++text_encoder_tensors_;
      return;
    }
    if (!key) {
      const bool of_text_encoder = name.starts_with("lora_te") || name.starts_with("text_encoder");
      if (of_text_encoder) {
        ++text_encoder_tensors_;
        return;
      }
      const std::string variant = unsupported_lora_variant(name);
      if (!variant.empty()) {
        throw InputError(shown_ + ": " + printable(name) + " belongs to " + variant +
                         ": limewash computes plain LoRA only");
      }
      throw InputError(shown_ + ": " + printable(name) +
                       " is no tensor of a LoRA for a UNet: expected names such as "
                       "unet.PATH.lora_A.weight or lora_unet_PATH.lora_down.weight");
    }
    if (!at::isFloatingType(tensor.scalar_type()) &&
        !(key->part == LoraPart::kAlpha && at::isIntegralType(tensor.scalar_type(), false))) {
      throw InputError(shown_ + ": " + printable(name) + " has the dtype " +
                       at::toString(tensor.scalar_type()) + ": expected floating point");
    }
    of_peft_library_ = of_peft_library_ || key->prefix == "base_model.model.";
    FoundModule& module = module_of(name, *key);
    if (key->part == LoraPart::kAlpha) {
      set_alpha(module, name, tensor);
      return;
    }
    at::Tensor& part = key->part == LoraPart::kA ? module.a : module.b;
    if (part.defined()) {
      throw InputError(shown_ + ": " + printable(name) + " stands in the file twice, as " +
                       printable(module.name) + " does");
    }
    part = tensor;
  }

  FoundModule& module_of(const std::string& name, const LoraKey& key) {
    const std::string path = key.flattened ? unflattened(name, key.module) : key.module;
    if (path.size() > kLongestPath) {
      throw InputError(shown_ + ": " + printable(name) + ": the name is too long");
    }
    FoundModule& module = found_[path];
    if (found_.size() > kMostModules) {
      throw InputError(shown_ + ": has more than " + std::to_string(kMostModules) +
                       " modules: no LoRA of a UNet");
    }
    if (module.name.empty()) module.name = name;
    module.kohya = module.kohya || key.flattened;
    return module;
  }

  std::string unflattened(const std::string& name, const std::string& module) const {
    if (!knows_modules_) {
      throw InputError(shown_ + ": " + printable(name) +
                       ": names of kohya's layout can be told apart with the UNet's modules only");
    }
    const auto found = flattened_.find(kohya_module_name(module));
    if (found == flattened_.end() || found->second == "?") {
      throw InputError(shown_ + ": " + printable(name) +
                       ": this UNet has no layer of that name (names of the original Stable "
                       "Diffusion layout, such as input_blocks, are not read)");
    }
    return found->second;
  }

  void set_alpha(FoundModule& module, const std::string& name, const at::Tensor& tensor) {
    const double alpha = tensor.numel() == 1 ? tensor.to(at::kDouble).item<double>() : NAN;
    if (!std::isfinite(alpha) || alpha <= 0) {
      throw InputError(shown_ + ": " + printable(name) + ": expected one number above 0");
    }
    module.alpha = alpha;
  }

  /// peft's configuration, out of the header or beside the file.
  std::optional<PeftLoraConfig> peft_config() const {
    const auto in_header = file_.metadata.find(kLoraMetadataKey);
    if (in_header != file_.metadata.end()) {
      return parse_peft_lora_config(in_header->second, shown_ + ": " + kLoraMetadataKey);
    }
    const auto beside = path_.parent_path() / kPeftConfigName;
    if (!of_peft_library_ || !std::filesystem::exists(beside)) return {};
    return parse_peft_lora_config(read_file(beside, uint64_t{16} << 20), beside.string());
  }

  void check_shapes(const FoundModule& module, const std::string& path) const {
    if (!module.a.defined() || !module.b.defined()) {
      const std::string missing = module.a.defined() ? lora_b_name(path) : lora_a_name(path);
      throw InputError(shown_ + ": missing tensor " + printable(missing) +
                       " (or its like): there is " + printable(module.name));
    }
    const at::Tensor &a = module.a, &b = module.b;
    bool fits = (a.dim() == 2 || a.dim() == 4) && b.dim() == a.dim() && a.numel() > 0 &&
                b.numel() > 0 && a.size(0) == b.size(1);
    for (int64_t i = 2; fits && i < b.dim(); ++i) fits = b.size(i) == 1;
    if (!fits) {
      throw InputError(shown_ + ": " + printable(lora_a_name(path)) + " has the shape " +
                       shape_text(a.sizes()) + " and its B " + shape_text(b.sizes()) +
                       ": expected [rank, in] and [out, rank], or [rank, in, k, k] and [out, rank, "
                       "1, 1]");
    }
  }

  LoraWeights finish() {
    const auto config = peft_config();
    LoraWeights weights;
    weights.use_rslora = config && config->use_rslora;
    size_t without_alpha = 0;
    for (const auto& [path, found] : found_) {
      check_shapes(found, path);
      LoraModule module{found.a, found.b, static_cast<double>(found.a.size(0))};
      if (config) {
        const double alpha = config->alpha_of(path, module.rank());
        if (found.alpha && *found.alpha != alpha) {
          throw InputError(shown_ + ": " + printable(path) + " has the alpha " +
                           number_text(*found.alpha) + " as a tensor and " + number_text(alpha) +
                           " in the metadata: expected the same");
        }
        module.alpha = alpha;
      } else if (found.alpha) {
        module.alpha = *found.alpha;
      } else if (!found.kohya) {
        ++without_alpha;  // kohya's own readers take the rank
      }
      weights.modules.emplace(path, std::move(module));
    }
    if (without_alpha > 0) {
      spdlog::warn("{}: nothing says the alpha of {} modules: taken as the rank, as diffusers does",
                   shown_,
                   without_alpha);
    }
    weights.metadata = file_.metadata;
    weights.metadata.erase(kLoraMetadataKey);
    weights.metadata.erase("format");
    return weights;
  }

  std::filesystem::path path_;
  std::string shown_;
  WeightsFile file_;
  std::map<std::string, std::string> flattened_;  // kohya's name -> path
  bool knows_modules_ = false;
  std::map<std::string, FoundModule> found_;
  size_t text_encoder_tensors_ = 0;
  bool of_peft_library_ = false;  // saved by PeftModel, with its configuration beside it
};

}  // namespace

LoraWeights read_lora(const std::filesystem::path& path,
                      const std::vector<std::string>& module_paths) {
  return LoraReader(path, module_paths).read();
}

}  // namespace limewash::models
