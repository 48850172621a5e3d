#include "models/model_run.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include <torch/torch.h>

#include "models/adapter.h"
#include "models/autoencoder.h"
#include "models/clip.h"
#include "models/memory_estimate.h"
#include "models/model_folder.h"
#include "models/model_run_inputs.h"
#include "models/precision.h"
#include "models/safetensors.h"
#include "models/strict_json.h"
#include "models/unet.h"
#include "models/weights.h"
#include "runtime/error.h"
#include "runtime/host_info.h"
#include "runtime/out_of_memory.h"

namespace limewash::models {

namespace {

/// What a part needs to know.
struct Request {
  std::filesystem::path model;
  std::vector<std::filesystem::path> adapters;
  at::ScalarType type = at::kFloat;
  bool gradients = false;
};

using Adapters = std::vector<std::unique_ptr<Adapter>>;

/// A part that is loaded, with its inputs: what is left is to compute. As often as is asked for.
using Compute = std::function<TensorMap()>;

/// Gradients of sum(output * grad_output) with respect to the adapters' tensors, by name. Tensors
/// that the output does not depend on have none.
TensorMap adapter_gradients(const Adapters& adapters,
                            const at::Tensor& output,
                            const at::Tensor& grad_output) {
  std::vector<std::string> names;
  std::vector<at::Tensor> tensors;
  for (size_t i = 0; i < adapters.size(); ++i) {
    const std::string prefix = adapters.size() == 1 ? "grad." : "grad_" + std::to_string(i) + ".";
    for (const auto& list :
         {adapters[i]->lora_parameters(), adapters[i]->ip_adapter_parameters()}) {
      for (const auto& parameter : list) {
        names.push_back(prefix + parameter.name);
        tensors.push_back(parameter.tensor);
      }
    }
  }
  const auto gradients = torch::autograd::grad({output},
                                               tensors,
                                               {grad_output},
                                               /*retain_graph=*/false,
                                               /*create_graph=*/false,
                                               /*allow_unused=*/true);
  TensorMap results;
  for (size_t i = 0; i < names.size(); ++i) {
    if (gradients[i].defined()) results.emplace(names[i], gradients[i].contiguous());
  }
  return results;
}

Adapters load_adapters(const Request& request, UNet2DConditionModel& unet) {
  Adapters adapters;
  bool has_lora = false;
  for (const auto& path : request.adapters) {
    adapters.push_back(load_adapter(unet, path));
    const bool another = !adapters.back()->lora_parameters().empty();
    if (another && has_lora) {
      throw InputError(path.string() + ": a second LoRA: expected one among the adapters");
    }
    has_lora = has_lora || another;
  }
  return adapters;
}

/// The features that an IP-Adapter projects, from the input of their name and `suffix`.
at::Tensor take_reference_features(ModelRunInputs& inputs,
                                   const Adapter& adapter,
                                   const std::string& suffix,
                                   int64_t batch,
                                   int64_t size,
                                   bool required) {
  const ReferenceFeatures features = adapter.reference_features();
  std::vector<int64_t> shape{batch, size};
  if (features == ReferenceFeatures::kPenultimateHiddenState) shape = {batch, -1, size};
  return inputs.take_float(reference_features_name(features) + suffix, shape, required);
}

/// What an IP-Adapter is given of its reference: tokens, or features that it is to project.
struct GivenReference {
  Adapter* adapter = nullptr;
  at::Tensor ready, features;

  /// Undefined where nothing was given.
  at::Tensor tokens() const {
    return features.defined() ? adapter->project_reference(features) : ready;
  }
};

/// One for each IP-Adapter.
std::vector<GivenReference> take_references(ModelRunInputs& inputs,
                                            const Adapters& adapters,
                                            int64_t batch,
                                            int64_t width) {
  std::vector<GivenReference> references;
  for (const auto& adapter : adapters) {
    if (adapter->options().ip_adapter.kind != "none") references.push_back({adapter.get(), {}, {}});
  }
  for (size_t i = 0; i < references.size(); ++i) {
    const std::string suffix =
        references.size() == 1 ? std::string() : std::string("_").append(std::to_string(i));
    auto& reference = references[i];
    reference.ready =
        inputs.take_float("ip_hidden_states" + suffix, {batch, -1, width}, /*required=*/false);
    if (reference.ready.defined()) continue;
    reference.features =
        take_reference_features(inputs, *reference.adapter, suffix, batch, -1, /*required=*/false);
  }
  return references;
}

Compute prepare_unet(const Request& request, ModelRunInputs& inputs) {
  if (request.gradients && request.adapters.empty()) {
    throw ConfigError(
        "model run unet --gradients: expected --adapter DIR, whose gradients to give");
  }
  UNet2DConditionModel unet = load_unet(folder_of_part(request.model, "unet"), request.type);
  const auto adapters = std::make_shared<const Adapters>(load_adapters(request, unet));
  const auto& config = unet->config();
  const at::Tensor sample = inputs.take_float("sample", {-1, config.in_channels, -1, -1});
  const int64_t batch = sample.size(0), width = config.cross_attention_dim[0];
  const at::Tensor timesteps = inputs.take_timesteps(batch);
  const at::Tensor text = inputs.take_float("encoder_hidden_states", {batch, -1, width});
  const auto references = take_references(inputs, *adapters, batch, width);
  ControlResiduals control;
  control.mid_block =
      inputs.take_float("mid_block_residual", {batch, -1, -1, -1}, /*required=*/false);
  while (true) {
    const std::string name = "down_block_residual_" + std::to_string(control.down_blocks.size());
    const at::Tensor residual = inputs.take_float(name, {batch, -1, -1, -1}, /*required=*/false);
    if (!residual.defined()) break;
    control.down_blocks.push_back(residual);
  }
  at::Tensor grad_sample;
  if (request.gradients) {
    grad_sample = inputs.take_float("grad_sample",
                                    {batch, config.out_channels, sample.size(2), sample.size(3)});
  }
  inputs.finish();
  return [=, gradients = request.gradients]() mutable {
    const torch::AutoGradMode record(gradients);
    std::vector<at::Tensor> tokens;
    for (const auto& reference : references) tokens.push_back(reference.tokens());
    const at::Tensor output = unet->forward(sample, timesteps, text, tokens, control);
    TensorMap results;
    if (gradients) results = adapter_gradients(*adapters, output, grad_sample);
    results.emplace("sample", output.detach());
    return results;
  };
}

Compute prepare_vae_encode(const Request& request, ModelRunInputs& inputs) {
  const auto folder = folder_of_part(request.model, "vae");
  const auto vae = load_autoencoder(folder, request.type);
  const at::Tensor sample = inputs.take_float("sample", {-1, vae->in_channels(), -1, -1});
  inputs.finish();
  return [=, tiny = is_autoencoder_tiny(folder)] {
    const LatentDistribution latents = vae->encode(sample);
    TensorMap results{{"mean", latents.mean}, {"std", latents.std}};
    if (tiny) results.emplace("latents", latents.mean);
    return results;
  };
}

Compute prepare_vae_decode(const Request& request, ModelRunInputs& inputs) {
  const auto vae = load_autoencoder(folder_of_part(request.model, "vae"), request.type);
  const at::Tensor latents = inputs.take_float("latents", {-1, vae->latent_channels(), -1, -1});
  inputs.finish();
  return [=] { return TensorMap{{"sample", vae->decode(latents)}}; };
}

Compute prepare_text_encoder(const Request& request, ModelRunInputs& inputs) {
  CLIPTextModel encoder =
      load_clip_text_model(folder_of_part(request.model, "text_encoder"), request.type);
  const at::Tensor ids = inputs.take_ids("input_ids", {-1, -1}, encoder->config().vocab_size);
  inputs.finish();
  return [=]() mutable {
    const CLIPTextOutput output = encoder->forward(ids);
    return TensorMap{{"last_hidden_state", output.last_hidden_state},
                     {"pooler_output", output.pooler_output}};
  };
}

Compute prepare_image_encoder(const Request& request, ModelRunInputs& inputs) {
  CLIPVisionModelWithProjection encoder =
      load_clip_vision_model(folder_of_part(request.model, "image_encoder"), request.type);
  const auto& config = encoder->config();
  const at::Tensor pixels = inputs.take_float(
      "pixel_values", {-1, config.num_channels, config.image_size, config.image_size});
  inputs.finish();
  return [=]() mutable {
    const CLIPVisionOutput output = encoder->forward(pixels);
    return TensorMap{{"image_embeds", output.image_embeds},
                     {"penultimate_hidden_state", output.penultimate_hidden_state}};
  };
}

Compute prepare_ip_projection(const Request& request, ModelRunInputs& inputs) {
  if (request.adapters.size() != 1) {
    throw ConfigError("model run ip-projection: expected --adapter once, a folder or a file");
  }
  const auto& path = request.adapters.front();
  const AdapterFiles files = inspect_adapter(path);
  if (files.options.ip_adapter.kind == "none") {
    throw InputError(path.string() + ": the adapter has no IP-Adapter part");
  }
  UNet2DConditionModel unet = load_unet(folder_of_part(request.model, "unet"), request.type);
  const std::shared_ptr<Adapter> adapter = load_adapter(unet, path);
  const at::Tensor features = take_reference_features(
      inputs, *adapter, "", -1, files.image_embedding_size, /*required=*/true);
  inputs.finish();
  // The adapter needs its UNet for as long as it lives.
  return [unet, adapter, features] {
    return TensorMap{{"ip_hidden_states", adapter->project_reference(features)}};
  };
}

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// What the inputs' sizes and the weights suggest that a UNet takes; 0 for what cannot be told.
int64_t estimate_of(const std::string& part,
                    const Request& request,
                    const std::filesystem::path& inputs) {
  if (part != "unet") return 0;
  const auto folder = folder_of_part(request.model, "unet");
  const auto tensors = read_safetensors(inputs).tensors;
  const auto found = tensors.find("sample");
  if (found == tensors.end() || found->second.dim() != 4) return 0;
  const at::Tensor& sample = found->second;
  TrainingStepShape shape;
  shape.batch = sample.size(0);
  shape.latent_height = sample.size(2);
  shape.latent_width = sample.size(3);
  shape.type = request.type;
  int64_t parameters = 0;
  for (const auto& [name, tensor] :
       read_weights(find_weights(folder, "diffusion_pytorch_model")).tensors) {
    parameters += tensor.numel();
  }
  const auto config = UNetConfig::from_json(folder / "config.json");
  MemoryEstimate estimate =
      estimate_training_memory(config, parameters, /*trained_parameters=*/0, shape);
  if (!request.gradients) {
    estimate.activations = 0;
    estimate.inference = estimate_unet_inference_memory(config, shape);
  }
  return estimate.total();
}

[[noreturn]] void throw_out_of_memory(const std::string& part,
                                      const Request& request,
                                      const std::filesystem::path& inputs,
                                      const MemoryLimits& at_begin,
                                      const std::exception& error) {
  int64_t estimate = 0;
  try {
    estimate = estimate_of(part, request, inputs);
  } catch (const std::exception&) {
    // Not even the headers fit: the message goes without.
  }
  const std::string what = error.what();
  int64_t free = at_begin.usable();
  if (at_begin.address_space) free = std::min(free, *at_begin.address_space);
  throw InputError(
      "model run " + part + ": out of memory (" + what.substr(0, what.find('\n')) +
      "): " + inputs.string() + " through " + request.model.string() + " in " +
      (request.type == at::kFloat ? "fp32" : "bf16") +
      (estimate > 0 ? " is estimated to take " + bytes_text(estimate) + "; " : " does not fit; ") +
      bytes_text(free) +
      " were free when it began. Lower the batch or the size of the inputs, or take --precision "
      "bf16");
}

}  // namespace

ModelRunReport run_model_part(const std::string& part,
                              const std::filesystem::path& model,
                              const std::vector<std::filesystem::path>& adapters,
                              const std::filesystem::path& inputs,
                              const std::filesystem::path& outputs,
                              const ModelRunOptions& options) {
  torch::NoGradGuard no_grad;
  const std::map<std::string, Compute (*)(const Request&, ModelRunInputs&)> parts = {
      {"unet", prepare_unet},
      {"vae-encode", prepare_vae_encode},
      {"vae-decode", prepare_vae_decode},
      {"text-encoder", prepare_text_encoder},
      {"image-encoder", prepare_image_encoder},
      {"ip-projection", prepare_ip_projection}};
  const auto found = parts.find(part);
  if (found == parts.end()) {
    std::string names;
    for (const auto& [name, run] : parts) names += (names.empty() ? "" : ", ") + name;
    throw ConfigError("model run: unknown part '" + part + "': expected one of " + names);
  }
  if (!adapters.empty() && part != "unet" && part != "ip-projection") {
    throw ConfigError("model run " + part + ": --adapter is for unet and ip-projection");
  }
  if (options.gradients && part != "unet") {
    throw ConfigError("model run " + part + ": --gradients is for unet");
  }
  if (!std::filesystem::is_directory(model)) {
    throw InputError(model.string() + ": expected the folder of a model");
  }
  const Request request{resolve_model_folder(model),
                        adapters,
                        compute_type(options.precision, "--precision"),
                        options.gradients};
  const MemoryLimits memory = read_memory_limits();
  ModelRunReport report;
  try {
    ModelRunInputs given(inputs);
    const auto begin = Clock::now();
    const Compute compute = found->second(request, given);
    report.seconds_load = seconds_since(begin);
    TensorMap results;
    for (int64_t run = 0; run < options.repeat; ++run) {
      const auto begin_run = Clock::now();
      results = compute();
      report.seconds_forward.push_back(seconds_since(begin_run));
    }
    write_safetensors(outputs, results, {{"format", "pt"}});
  } catch (const c10::Error& error) {
    if (is_out_of_memory(error)) throw_out_of_memory(part, request, inputs, memory, error);
    throw InputError(inputs.string() + ": " + error.what_without_backtrace());
  } catch (const std::exception& error) {
    if (is_out_of_memory(error)) throw_out_of_memory(part, request, inputs, memory, error);
    throw;
  }
  report.peak_bytes = peak_resident_bytes();
  return report;
}

}  // namespace limewash::models
