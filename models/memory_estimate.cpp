#include "models/memory_estimate.h"

#include <algorithm>
#include <vector>

#include <c10/core/ScalarTypeToTypeMeta.h>

#include "models/autoencoder.h"
#include "models/autoencoder_tiny.h"
#include "models/small_products.h"
#include "models/unet_layers.h"

namespace limewash::models {

namespace {

/// Resident memory of a process that has loaded LibTorch and nothing else.
constexpr int64_t kProgramBytes = int64_t{700} << 20;

/// Numbers of the softmax that one sample's attention over `keys` keeps where it is computed by
/// plain products: by small ones on AMX it keeps none.
int64_t attention_weights(const UNetLayer& layer, int64_t keys, const TrainingStepShape& shape) {
  const bool plain = shape.type == c10::ScalarType::BFloat16 && !small_products_use_amx() &&
                     layer.pixels * keys <= kPlainAttentionProducts && keys > 0;
  return plain ? layer.heads * layer.pixels * keys : 0;
}

/// Numbers that autograd keeps of one sample's way through the layer; its output is one of them.
int64_t saved_by(const UNetLayer& layer, const TrainingStepShape& shape) {
  const int64_t in = layer.in_channels * layer.pixels, out = layer.out_channels * layer.pixels;
  // Inputs of norm1 (its own where it was joined) and norm2; and the sum.
  int64_t saved = (layer.concatenates ? in : 0) + 2 * out;
  if (layer.transformers == 0) return saved;
  const int64_t tokens = layer.pixels;
  int64_t block = 0;
  // Three norms' inputs. attn1: q, k, v, result. attn2: q, result.
  block += (3 + 4 + 2) * out;
  // With an IP-Adapter: its attention's result, and the sum that goes on.
  if (shape.reference_tokens > 0) block += 2 * out;
  // A LoRA's input is kept, where the frozen layer alone would not need it: two norms' outputs.
  if (shape.lora_rank > 0) block += 2 * out + 6 * shape.lora_rank * tokens;
  // GEGLU: both halves of a projection to 8 times the width.
  block += 8 * out;
  // Plain products: the softmax. The scaled query, key and value that they multiply are kept in the
  // place of those above.
  for (const int64_t keys : {tokens, shape.text_tokens, shape.reference_tokens}) {
    block += attention_weights(layer, keys, shape);
  }
  // Keys and values of text and reference, and what attention keeps of its softmax, in fp32.
  block += 2 * (shape.text_tokens + shape.reference_tokens) * layer.out_channels;
  block += 3 * layer.heads * tokens;
  return saved + layer.transformers * block + out;
}

/// The most that the backward pass through the layer holds beside what was saved: gradients around
/// GEGLU, or around the convolutions.
int64_t peak_of_backward(const UNetLayer& layer, const TrainingStepShape& shape) {
  const int64_t out = layer.out_channels * layer.pixels;
  if (layer.transformers == 0) return 2 * (out + layer.in_channels * layer.pixels);
  return std::max(20 * out, 6 * out + 2 * attention_weights(layer, layer.pixels, shape));
}

/// `plane`: bytes of one channel at full size.
AutoencoderMemory memory_of(const AutoencoderTinyConfig& config, int64_t plane) {
  const int64_t channels = config.decoder_block_out_channels.back();
  const auto& blocks = config.num_decoder_blocks;
  // A block: input, what the next convolution reads, what it gives.
  AutoencoderMemory memory{.encode = 4 * config.encoder_block_out_channels.front() * plane,
                           .decode = 4 * channels * plane};
  // Of each block, what its three activations gave. And the gradients around a convolution.
  for (size_t level = 0; level < blocks.size(); ++level) {
    const int64_t here = plane >> (2 * level);
    memory.decode_backward += 3 * blocks[blocks.size() - 1 - level] * channels * here;
  }
  memory.decode_backward += 3 * channels * plane;
  return memory;
}

AutoencoderMemory memory_of(const AutoencoderKLConfig& config, int64_t plane) {
  const auto& channels = config.block_out_channels;
  AutoencoderMemory memory;
  for (size_t level = 0; level < channels.size(); ++level) {
    // The decoder's first block of a level still has the width of the level below.
    const int64_t in = channels[std::min(level + 1, channels.size() - 1)], out = channels[level];
    const int64_t here = plane >> (2 * level);
    memory.encode = std::max(memory.encode, 5 * out * here);
    memory.decode = std::max(memory.decode, (2 * in + out) * here);
    // The inputs of the two norms of each residual block, of which there is one more than of the
    // encoder's.
    memory.decode_backward += (in + (2 * config.layers_per_block + 1) * out) * here;
  }
  // The middle: two residual blocks, and around the attention six tensors more.
  const int64_t deepest = channels.back() * (plane >> (2 * (channels.size() - 1)));
  memory.decode_backward += (2 * 2 + (config.mid_block_add_attention ? 6 : 0)) * deepest;
  // The last norm's input, and the gradients around a convolution of the full size.
  memory.decode_backward += (1 + 3) * channels.front() * plane;
  return memory;
}

}  // namespace

int64_t MemoryEstimate::total() const {
  return weights + training + std::max(activations, inference) + caches + program;
}

MemoryEstimate estimate_training_memory(const UNetConfig& config,
                                        int64_t frozen_parameters,
                                        int64_t trained_parameters,
                                        const TrainingStepShape& shape) {
  const auto bytes = static_cast<int64_t>(c10::elementSize(shape.type));
  int64_t kept = 0, largest_layer = 0, largest_backward = 0;
  for (const UNetLayer& layer : unet_layers(config, shape.latent_height, shape.latent_width)) {
    const int64_t saved = saved_by(layer, shape);
    kept += shape.gradient_checkpointing ? layer.out_channels * layer.pixels : saved;
    largest_layer = std::max(largest_layer, saved);
    largest_backward = std::max(largest_backward, peak_of_backward(layer, shape));
  }
  if (shape.gradient_checkpointing) kept += largest_layer;
  // Values, gradients, two moments; the averages, and the values set aside while those are in use.
  const int64_t copies = shape.ema ? 6 : 4;
  return {.weights = frozen_parameters * bytes,
          .training = trained_parameters * copies * static_cast<int64_t>(sizeof(float)),
          // The loss is differentiated before the network is.
          .activations = kept * shape.batch * bytes +
                         std::max(largest_backward * shape.batch * bytes, shape.decoded_bytes),
          .inference = 0,
          .caches = 0,
          .program = kProgramBytes};
}

int64_t estimate_unet_inference_memory(const UNetConfig& config, const TrainingStepShape& shape) {
  const auto bytes = static_cast<int64_t>(c10::elementSize(shape.type));
  int64_t skips = 0, largest = 0;
  for (const UNetLayer& layer : unet_layers(config, shape.latent_height, shape.latent_width)) {
    const int64_t in = layer.in_channels * layer.pixels, out = layer.out_channels * layer.pixels;
    if (!layer.concatenates) skips += out;
    // GEGLU: its input, 8 times the width, the gate's half and the product. Or a convolution.
    largest = std::max(largest, layer.transformers > 0 ? 18 * out : 3 * in + 2 * out);
  }
  return (skips + largest) * shape.batch * bytes;
}

AutoencoderMemory estimate_autoencoder_memory(const std::filesystem::path& folder,
                                              int64_t batch,
                                              int64_t height,
                                              int64_t width,
                                              c10::ScalarType type) {
  const int64_t plane = batch * height * width * static_cast<int64_t>(c10::elementSize(type));
  return is_autoencoder_tiny(folder)
             ? memory_of(AutoencoderTinyConfig::from_json(folder / "config.json"), plane)
             : memory_of(AutoencoderKLConfig::from_json(folder / "config.json"), plane);
}

AdapterSize count_adapter_parameters(const UNetConfig& config,
                                     const AdapterOptions& options,
                                     int64_t image_embedding_size) {
  Adapter adapter(UNet2DConditionModel(config), options, image_embedding_size, /*seed=*/0);
  AdapterSize size;
  for (const auto& parameter : adapter.lora_parameters()) size.lora += parameter.tensor.numel();
  for (const auto& parameter : adapter.ip_adapter_parameters()) {
    size.ip_adapter += parameter.tensor.numel();
  }
  return size;
}

int64_t count_adapter_parameters(const UNetConfig& config,
                                 int64_t lora_rank,
                                 int64_t reference_tokens,
                                 int64_t image_embedding_size) {
  const int64_t context = config.cross_attention_dim[0];
  int64_t count = 0;
  for (const UNetLayer& layer : unet_layers(config, 1, 1)) {
    const int64_t width = layer.out_channels / layer.heads * layer.heads;
    // A and B of eight linear layers; keys and values of attn2 read the context.
    const int64_t lora = lora_rank * (6 * 2 * width + 2 * (context + width));
    const int64_t ip_adapter = reference_tokens > 0 ? 2 * context * width : 0;
    count += layer.transformers * (lora + ip_adapter);
  }
  if (reference_tokens == 0) return count;
  return count + (image_embedding_size + 1) * reference_tokens * context + 2 * context;
}

}  // namespace limewash::models
