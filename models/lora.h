#pragma once
// A LoRA on layers of a UNet: which layers, the trainable tensors, and the files.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "models/lora_dropout.h"
#include "models/lora_formats.h"
#include "models/named_parameter.h"
#include "models/unet.h"
#include "runtime/config.h"

namespace limewash::models {

/// `adapter.lora`. Hu et al., "LoRA", 2021; names, layout and start values follow peft's
/// LoraConfig. Every pattern is a ModulePattern: the end of a module's path, or a regular
/// expression for it. Linear layers and convolutions can take a LoRA.
struct LoraOptions {
  int64_t rank = 16;   ///< 0: no LoRA
  double alpha = 16;   ///< scale is alpha / rank
  double dropout = 0;  ///< of the input of A, while training; in [0, 1)
  std::vector<std::string> targets = {"to_q", "to_k", "to_v", "to_out.0"};  ///< patterns
  std::vector<std::string> exclude_modules;  ///< patterns; they win over the targets
  config::Map<int64_t> rank_pattern;         ///< pattern -> rank; the first that matches wins
  config::Map<double> alpha_pattern;         ///< pattern -> alpha; the first that matches wins
  bool use_rslora = false;                   ///< scale is alpha / sqrt(rank)
  void describe(config::Fields& fields);
  void validate() const;
};

/// Installs itself into a UNet and owns the trainable tensors A and B. The UNet must outlive it.
class Lora {
 public:
  /// New weights from (seed, name): A uniform as peft draws it, B zero. Throws ConfigError for a
  /// pattern that names no layer.
  Lora(UNet2DConditionModel unet, const LoraOptions& options, uint64_t seed);
  ~Lora();

  /// unet.PATH.lora_A.weight and lora_B.weight, in file order.
  const std::vector<NamedParameter>& parameters() const;
  /// Off: the layers compute what the base computes.
  void set_enabled(bool enabled);

  /// Drop out the inputs from here on, row i of a batch by `keys[i]`. Nothing may change until the
  /// backward pass is done: checkpointed layers draw their masks again.
  void begin_dropout(uint64_t seed, std::vector<DropoutKey> keys);
  /// No dropout, as before the first `begin_dropout`.
  void end_dropout();

  /// Fold scale * B A into the UNet's weights, so that the LoRA costs nothing. For inference: what
  /// changes the tensors or moves the UNet must unmerge before.
  void merge();
  /// The UNet's weights have the same bits again as before `merge`.
  void unmerge();

  /// The tensors with their alphas, as files hold them.
  LoraWeights weights() const;
  /// `pytorch_lora_weights.safetensors` in `folder`: peft keys and `lora_adapter_metadata`, and
  /// `metadata`; fp32, reloaded and compared.
  void save(const std::filesystem::path& folder, std::map<std::string, std::string> metadata) const;
  /// Copy the weights of a LoRA file of any layout into the tensors. Modules, ranks and scales must
  /// be the same; otherwise InputError naming the difference.
  void load(const std::filesystem::path& file);

  const LoraOptions& options() const;

  Lora(const Lora&) = delete;
  Lora& operator=(const Lora&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Paths of the layers of `unet` that can take a LoRA, in order.
std::vector<std::string> lora_module_paths(UNet2DConditionModel unet);

/// Options that a Lora for these weights has: targets and patterns are whole module paths.
LoraOptions lora_options_of(const LoraWeights& weights);

}  // namespace limewash::models
