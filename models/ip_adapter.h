#pragma once
// An IP-Adapter on the cross-attentions of a UNet: the projection of the reference, its keys and
// values, and the file.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "models/named_parameter.h"
#include "models/reference_features.h"
#include "models/unet.h"
#include "runtime/config.h"

namespace limewash::models {

/// `adapter.ip_adapter.resampler`: what the Plus kind's projection is made of. The defaults are
/// those of ip-adapter-plus_sd15.
struct ResamplerOptions {
  int64_t dim = 0;  ///< width of the queries; 0: the UNet's cross_attention_dim
  int64_t depth = 4;
  int64_t heads = 12;
  int64_t head_dim = 64;
  int64_t ff_mult = 4;
  void describe(config::Fields& fields);
};

/// `adapter.ip_adapter`. Ye et al., "IP-Adapter", 2023.
struct IpAdapterOptions {
  std::string kind = "base";  ///< none | base | plus
  int64_t tokens = 0;  ///< that a reference becomes; 0: as published, 4 for base, 16 for plus
  double scale = 1.0;
  ResamplerOptions resampler;  ///< of the kind plus
  void describe(config::Fields& fields);
  void validate() const;
  int64_t token_count() const;
  ReferenceFeatures reference_features() const;
};

/// Installs itself into a UNet and owns the trainable tensors, fp32 whatever the UNet is computed
/// in. The UNet must outlive it. Several may stand in one UNet.
class IpAdapter {
 public:
  /// New weights from (seed, name), as the published training code starts: k/v copied from the
  /// UNet's attn2.to_k/to_v, linear layers as torch.nn.Linear, the Plus kind's queries normal with
  /// deviation dim^-1/2. `image_embedding_size`: the last size of the reference features, which is
  /// the encoder's projection_dim for the base kind and its hidden_size for plus.
  IpAdapter(UNet2DConditionModel unet,
            const IpAdapterOptions& options,
            int64_t image_embedding_size,
            uint64_t seed);
  ~IpAdapter();

  /// image_proj.* and ip_adapter.N.*, in file order.
  const std::vector<NamedParameter>& parameters() const;
  /// Reference features [N, E] or [N, P, E], as options().reference_features() says -> reference
  /// tokens [N, T, D] in fp32.
  at::Tensor project_reference(const at::Tensor& features);
  /// Its place among the UNet's `ip_hidden_states`.
  size_t place() const;
  /// Off: the attentions compute what they compute without it.
  void set_enabled(bool enabled);

  /// What the file says of itself beside its tensors: kind, tokens, scale.
  std::map<std::string, std::string> file_metadata() const;
  /// `ip_adapter.safetensors` in `folder`, fp32, with `metadata`; reloaded and compared.
  void save(const std::filesystem::path& folder, std::map<std::string, std::string> metadata) const;
  /// Copy the weights of an IP-Adapter file into the tensors. Another kind, other sizes, missing
  /// and surplus tensors are an InputError that names the difference.
  void load(const std::filesystem::path& file);

  const IpAdapterOptions& options() const;

  IpAdapter(const IpAdapter&) = delete;
  IpAdapter& operator=(const IpAdapter&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace limewash::models
