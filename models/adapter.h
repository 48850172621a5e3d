#pragma once
// What limewash trains: a LoRA on the UNet's layers and an IP-Adapter that carries the reference.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "models/adapter_files.h"
#include "models/ip_adapter.h"
#include "models/lora.h"
#include "models/lora_weights.h"
#include "models/named_parameter.h"
#include "models/unet.h"
#include "runtime/config.h"

namespace limewash::models {

struct AdapterOptions {
  LoraOptions lora;
  IpAdapterOptions ip_adapter;
  void describe(config::Fields& fields);
  /// Also refuses an adapter of no parts, which an Adapter itself may be.
  void validate() const;
};

/// What Adapter::save writes, copied to the host: training goes on while another thread writes it.
class AdapterSnapshot {
 public:
  /// The same files as Adapter::save's, by the same rules.
  void save(const std::filesystem::path& folder,
            const std::map<std::string, std::string>& metadata) const;

 private:
  friend class Adapter;
  std::optional<LoraWeights> lora_;
  std::vector<NamedParameter> ip_adapter_;
  std::map<std::string, std::string> ip_adapter_metadata_;
};

/// LoRA and IP-Adapter together, either of which may be absent. Installs itself into a UNet, which
/// must outlive it, and owns the trainable tensors.
class Adapter {
 public:
  /// New weights from (seed, name): LoRA A uniform as peft, B zero; IP k/v copied from the UNet's
  /// attn2.to_k/to_v; projection as published (see IpAdapter). `image_embedding_size`: the last
  /// size of the reference features.
  Adapter(UNet2DConditionModel unet,
          const AdapterOptions& options,
          int64_t image_embedding_size,
          uint64_t seed);
  ~Adapter();

  /// Trainable tensors of the LoRA, or of the IP-Adapter (projection, then k/v), in file order.
  std::vector<NamedParameter> lora_parameters();
  std::vector<NamedParameter> ip_adapter_parameters();

  /// What project_reference takes.
  ReferenceFeatures reference_features() const;
  /// Reference features [N, E] or [N, P, E] -> reference tokens [N, T, D]; undefined tensor when
  /// the kind is none.
  at::Tensor project_reference(const at::Tensor& features);

  /// Switch both parts on or off in the UNet (off: the base alone).
  void set_enabled(bool enabled);

  /// Lora::begin_dropout and end_dropout; nothing without a LoRA, and for one that is frozen.
  void begin_dropout(uint64_t seed, std::vector<DropoutKey> keys);
  void end_dropout();
  /// Lora::merge and unmerge; nothing without a LoRA.
  void merge_lora();
  void unmerge_lora();

  /// `pytorch_lora_weights.safetensors` (peft keys, `lora_adapter_metadata`) and
  /// `ip_adapter.safetensors`
  /// (`image_proj.*`, `ip_adapter.N.*`) in `folder`, fp32, reloaded and compared before it returns.
  /// `metadata` is added to both files (hole kind and the like). What `folder` lies in has to be
  /// there: a run folder that vanishes while its checkpoint is written must not be made anew.
  void save(const std::filesystem::path& folder,
            const std::map<std::string, std::string>& metadata) const;
  /// The weights as they are now, to be saved later.
  AdapterSnapshot snapshot() const;
  /// Copy the weights of those files, or of others that locate_adapter finds, into this adapter's
  /// tensors. Modules, ranks, scales and shapes must be the same.
  void load(const std::filesystem::path& path);
  /// The same of files that lie apart. `name` stands for them in messages.
  void load(const AdapterPaths& files, const std::string& name);

  /// Start from a LoRA file or folder of any layout: its weights instead of new ones. Modules,
  /// ranks and scales must be those of the options; a ConfigError where there is no LoRA.
  void load_lora(const std::filesystem::path& path);

  /// Start from an IP-Adapter file, `.safetensors` or `.bin`: its weights instead of new ones. Kind
  /// and shapes must be those of the options; a ConfigError where there is no IP-Adapter.
  void load_ip_adapter(const std::filesystem::path& file);

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

/// `path`: what locate_adapter takes; `module_paths`: what read_lora takes. Throws InputError when
/// there is no adapter, or one that Adapter could not represent.
AdapterFiles inspect_adapter(const std::filesystem::path& path,
                             const std::vector<std::string>& module_paths = {});
/// The same of files that lie apart.
AdapterFiles inspect_adapter(const AdapterPaths& files,
                             const std::vector<std::string>& module_paths = {});

/// An adapter of just that shape with those weights, installed into `unet`. Several IP-Adapters may
/// be loaded into one UNet; each takes the next place of its `ip_hidden_states`.
std::unique_ptr<Adapter> load_adapter(UNet2DConditionModel unet, const std::filesystem::path& path);
/// The same of files that lie apart; `name` stands for them in messages.
std::unique_ptr<Adapter> load_adapter(UNet2DConditionModel unet,
                                      const AdapterPaths& files,
                                      const std::string& name);

}  // namespace limewash::models
