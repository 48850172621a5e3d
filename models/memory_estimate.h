#pragma once
// How much memory a training step takes: an estimate from the network's configuration, before
// anything is allocated.

#include <cstdint>

#include <c10/core/ScalarType.h>

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
};

/// In bytes. What the data loader takes comes on top.
struct MemoryEstimate {
  int64_t weights = 0;      ///< frozen networks
  int64_t training = 0;     ///< trained tensors, their gradients, AdamW's two moments: fp32
  int64_t activations = 0;  ///< saved by one forward pass, and the backward pass's peak
  int64_t program = 0;      ///< the process itself, with its libraries
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

/// Parameters of a LoRA on to_q, to_k, to_v and to_out.0, and of an IP-Adapter of the base kind.
int64_t count_adapter_parameters(const UNetConfig& config,
                                 int64_t lora_rank,
                                 int64_t reference_tokens,
                                 int64_t image_embedding_size);

}  // namespace limewash::models
