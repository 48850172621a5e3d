#pragma once
// How much memory a training step takes: an estimate from the network's configuration, before
// anything is allocated.

#include <cstdint>
#include <filesystem>

#include <c10/core/ScalarType.h>

#include "models/adapter.h"
#include "models/unet.h"

namespace limewash::models {

/// What decides the size of a training step.
struct TrainingStepShape {
  int64_t batch = 1;  ///< samples a forward pass: training.micro_batch
  int64_t latent_height = 64;
  int64_t latent_width = 64;
  int64_t text_tokens = 77;
  int64_t reference_tokens = 4;  ///< 0: no IP-Adapter
  int64_t lora_rank = 16;        ///< on the attentions' linear layers; 0: no LoRA
  c10::ScalarType type = c10::ScalarType::Float;
  bool gradient_checkpointing = false;
  bool ema = false;           ///< the trained tensors are averaged too
  int64_t decoded_bytes = 0;  ///< what the loss holds of pictures that it decodes
};

/// In bytes.
struct MemoryEstimate {
  int64_t weights = 0;   ///< frozen networks
  int64_t training = 0;  ///< trained tensors, their gradients, AdamW's two moments, averages: fp32
  int64_t activations = 0;  ///< saved by one forward pass, and the backward pass's peak
  /// What encoding or painting pictures holds instead of the activations, between the steps.
  int64_t inference = 0;
  int64_t caches = 0;   ///< encoded samples that are kept in memory
  int64_t program = 0;  ///< the process itself, with its libraries
  int64_t total() const;
};

/// An estimate: it adds up the tensors that autograd saves, layer by layer. Of what LibTorch
/// allocated, and of the process's peak on the CPU at the size of Stable Diffusion, it was within a
/// quarter wherever that was measured (tests/models/memory_estimate_test.cpp, docs/decisions.md).
/// `frozen_parameters`: of all networks that are loaded; `trained_parameters`: of the adapter.
MemoryEstimate estimate_training_memory(const UNetConfig& config,
                                        int64_t frozen_parameters,
                                        int64_t trained_parameters,
                                        const TrainingStepShape& shape);

/// What one forward pass of the UNet without gradients holds beside its weights: the skip
/// connections and the widest layer. Of `shape`, batch, sizes and type count.
int64_t estimate_unet_inference_memory(const UNetConfig& config, const TrainingStepShape& shape);

/// What the VAE of `folder`, of either class, holds beside its weights for one batch.
struct AutoencoderMemory {
  int64_t encode = 0, decode = 0;  ///< without gradients
  int64_t decode_backward = 0;     ///< decoding and then its gradient with regard to the latents
};
AutoencoderMemory estimate_autoencoder_memory(const std::filesystem::path& folder,
                                              int64_t batch,
                                              int64_t height,
                                              int64_t width,
                                              c10::ScalarType type);

/// Parameters of an adapter's two parts.
struct AdapterSize {
  int64_t lora = 0, ip_adapter = 0;
};
/// Of any adapter: builds it on a network without weights. Throws ConfigError as Adapter does.
AdapterSize count_adapter_parameters(const UNetConfig& config,
                                     const AdapterOptions& options,
                                     int64_t image_embedding_size);

/// Parameters of a LoRA on to_q, to_k, to_v and to_out.0, and of an IP-Adapter of the base kind.
int64_t count_adapter_parameters(const UNetConfig& config,
                                 int64_t lora_rank,
                                 int64_t reference_tokens,
                                 int64_t image_embedding_size);

}  // namespace limewash::models
