#pragma once
// What limewash trains: a LoRA on the UNet's linear layers and an IP-Adapter that carries the
// reference.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "models/unet.h"
#include "runtime/config.h"

namespace limewash::models {

/// `adapter.lora`. Hu et al., "LoRA", 2021; layout and start values follow peft's LoraConfig.
struct LoraOptions {
  int64_t rank = 16;  ///< 0: no LoRA
  double alpha = 16;  ///< scale is alpha / rank
  std::vector<std::string> targets = {
      "to_q", "to_k", "to_v", "to_out.0"};  ///< module path suffixes
  void describe(config::Fields& fields);
};

/// `adapter.ip_adapter`. Ye et al., "IP-Adapter", 2023.
struct IpAdapterOptions {
  std::string kind = "base";  ///< none | base
  int64_t tokens = 4;
  double scale = 1.0;
  void describe(config::Fields& fields);
};

struct AdapterOptions {
  LoraOptions lora;
  IpAdapterOptions ip_adapter;
  void describe(config::Fields& fields);
  void validate() const;
};

struct NamedParameter {
  std::string name;  ///< as in the exported file, unique over LoRA and IP-Adapter
  at::Tensor tensor;
};

/// Installs itself into a UNet and owns the trainable tensors. The UNet must outlive it.
class Adapter {
 public:
  /// New weights from (seed, name): LoRA A uniform as peft, B zero; IP k/v copied from the UNet's
  /// attn2.to_k/to_v; projection as torch.nn.Linear. `image_embedding_size`: the encoder's
  /// projection_dim.
  Adapter(UNet2DConditionModel unet,
          const AdapterOptions& options,
          int64_t image_embedding_size,
          uint64_t seed);
  ~Adapter();

  /// Trainable tensors of the LoRA, or of the IP-Adapter (projection, then k/v), in file order.
  std::vector<NamedParameter> lora_parameters();
  std::vector<NamedParameter> ip_adapter_parameters();

  /// Image embeddings [N, E] -> reference tokens [N, T, D]; undefined tensor when the kind is none.
  at::Tensor project_reference(const at::Tensor& image_embeds);

  /// Switch both parts on or off in the UNet (off: the base alone).
  void set_enabled(bool enabled);

  /// `pytorch_lora_weights.safetensors` (peft keys, `lora_adapter_metadata`) and
  /// `ip_adapter.safetensors`
  /// (`image_proj.*`, `ip_adapter.N.*`) in `folder`, fp32, reloaded and compared before it returns.
  /// `metadata` is added to both files (hole kind and the like).
  void save(const std::filesystem::path& folder,
            const std::map<std::string, std::string>& metadata) const;
  /// Copy the weights of those files into this adapter's tensors. Names and shapes must match
  /// exactly.
  void load(const std::filesystem::path& folder);

  const AdapterOptions& options() const;

  Adapter(const Adapter&) = delete;
  Adapter& operator=(const Adapter&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What the adapter files of a folder hold, read from names, shapes and metadata.
struct AdapterFiles {
  AdapterOptions options;            ///< targets are whole module paths
  int64_t image_embedding_size = 0;  ///< 0 without an IP-Adapter
  std::map<std::string, std::string> metadata;
};

/// Throws InputError when the folder has neither file, or one that Adapter could not represent.
AdapterFiles inspect_adapter(const std::filesystem::path& folder);

/// An adapter of just that shape with those weights, installed into `unet`.
std::unique_ptr<Adapter> load_adapter(UNet2DConditionModel unet,
                                      const std::filesystem::path& folder);

}  // namespace limewash::models
