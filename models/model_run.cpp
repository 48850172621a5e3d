#include "models/model_run.h"

#include <functional>
#include <map>
#include <set>
#include <vector>

#include <torch/torch.h>

#include "models/adapter.h"
#include "models/autoencoder_kl.h"
#include "models/autoencoder_tiny.h"
#include "models/clip.h"
#include "models/model_folder.h"
#include "models/precision.h"
#include "models/safetensors.h"
#include "models/strict_json.h"
#include "models/unet.h"
#include "models/weights.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

/// The input tensors, taken by name; `finish` refuses what nobody took.
class Inputs {
 public:
  explicit Inputs(const std::filesystem::path& path)
      : path_(path.string()), tensors_(read_safetensors(path).tensors) {}

  /// `shape` has -1 for any size. An undefined tensor where an optional input is absent.
  at::Tensor take(const std::string& name,
                  const std::vector<int64_t>& shape,
                  bool required = true) {
    asked_.push_back(name);
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      if (!required) return {};
      std::string present;
      for (const auto& [key, tensor] : tensors_)
        present += (present.empty() ? "" : ", ") + printable(key);
      throw InputError(path_ + ": no tensor is named " + name +
                       "; there are: " + printable(present));
    }
    const at::Tensor tensor = found->second;
    tensors_.erase(found);
    bool fits = shape.empty() || static_cast<size_t>(tensor.dim()) == shape.size();
    std::string expected;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (fits && shape[i] >= 0 && tensor.size(static_cast<int64_t>(i)) != shape[i]) fits = false;
      if (fits && tensor.size(static_cast<int64_t>(i)) < 1) fits = false;
      expected +=
          (i == 0 ? "" : ", ") + (shape[i] < 0 ? std::string("any") : std::to_string(shape[i]));
    }
    if (!fits) {
      throw InputError(path_ + ": " + name + " has the shape " + shape_text(tensor.sizes()) +
                       ": expected [" + expected + "]");
    }
    return tensor;
  }

  at::Tensor take_float(const std::string& name,
                        const std::vector<int64_t>& shape,
                        bool required = true) {
    const at::Tensor tensor = take(name, shape, required);
    if (!tensor.defined()) return tensor;
    if (!at::isFloatingType(tensor.scalar_type())) reject_dtype(name, tensor, "floating point");
    return tensor.to(at::kFloat);
  }

  at::Tensor take_ids(const std::string& name, const std::vector<int64_t>& shape, int64_t bound) {
    const at::Tensor tensor = take(name, shape);
    if (!at::isIntegralType(tensor.scalar_type(), /*includeBool=*/false)) {
      reject_dtype(name, tensor, "integers");
    }
    const at::Tensor ids = tensor.to(at::kLong);
    if (ids.min().item<int64_t>() < 0 || ids.max().item<int64_t>() >= bound) {
      throw InputError(path_ + ": " + name + ": expected ids from 0 to " +
                       std::to_string(bound - 1));
    }
    return ids;
  }

  /// One timestep, or one for each of `batch`; integers or floats.
  at::Tensor take_timesteps(int64_t batch) {
    const at::Tensor tensor = take("timestep", {});
    if (tensor.numel() != 1 && !(tensor.dim() == 1 && tensor.size(0) == batch)) {
      throw InputError(path_ + ": timestep has the shape " + shape_text(tensor.sizes()) +
                       ": expected [" + std::to_string(batch) + "] or one number");
    }
    return tensor.reshape({-1}).expand({batch});
  }

  void finish() const {
    if (tensors_.empty()) return;
    std::string names;
    for (const auto& name : asked_) names += (names.empty() ? "" : ", ") + name;
    throw InputError(path_ + ": " + printable(tensors_.begin()->first) +
                     " is no input of this part; its inputs are " + names);
  }

 private:
  [[noreturn]] void reject_dtype(const std::string& name,
                                 const at::Tensor& tensor,
                                 const char* expected) {
    throw InputError(path_ + ": " + name + " has the dtype " + at::toString(tensor.scalar_type()) +
                     ": expected " + expected);
  }

  std::string path_;
  TensorMap tensors_;
  std::vector<std::string> asked_;
};

/// What a part needs to know.
struct Request {
  std::filesystem::path model;
  std::vector<std::filesystem::path> adapters;
  at::ScalarType type = at::kFloat;
  bool gradients = false;
};

using Adapters = std::vector<std::unique_ptr<Adapter>>;

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
at::Tensor take_reference_features(Inputs& inputs,
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

/// The tokens of each IP-Adapter's reference, undefined where none is given.
std::vector<at::Tensor> take_references(Inputs& inputs,
                                        const Adapters& adapters,
                                        int64_t batch,
                                        int64_t width) {
  std::vector<Adapter*> with_reference;
  for (const auto& adapter : adapters) {
    if (adapter->options().ip_adapter.kind != "none") with_reference.push_back(adapter.get());
  }
  std::vector<at::Tensor> references;
  for (size_t i = 0; i < with_reference.size(); ++i) {
    const std::string suffix =
        with_reference.size() == 1 ? std::string() : std::string("_").append(std::to_string(i));
    at::Tensor tokens =
        inputs.take_float("ip_hidden_states" + suffix, {batch, -1, width}, /*required=*/false);
    if (!tokens.defined()) {
      Adapter& adapter = *with_reference[i];
      const at::Tensor features =
          take_reference_features(inputs, adapter, suffix, batch, -1, /*required=*/false);
      if (features.defined()) tokens = adapter.project_reference(features);
    }
    references.push_back(tokens);
  }
  return references;
}

TensorMap run_unet(const Request& request, Inputs& inputs) {
  if (request.gradients && request.adapters.empty()) {
    throw ConfigError(
        "model run unet --gradients: expected --adapter DIR, whose gradients to give");
  }
  UNet2DConditionModel unet = load_unet(folder_of_part(request.model, "unet"), request.type);
  const Adapters adapters = load_adapters(request, unet);
  const torch::AutoGradMode record(request.gradients);
  const auto& config = unet->config();
  const at::Tensor sample = inputs.take_float("sample", {-1, config.in_channels, -1, -1});
  const int64_t batch = sample.size(0), width = config.cross_attention_dim[0];
  const at::Tensor timesteps = inputs.take_timesteps(batch);
  const at::Tensor text = inputs.take_float("encoder_hidden_states", {batch, -1, width});
  const std::vector<at::Tensor> references = take_references(inputs, adapters, batch, width);
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
  const at::Tensor output = unet->forward(sample, timesteps, text, references, control);
  TensorMap results;
  if (request.gradients) results = adapter_gradients(adapters, output, grad_sample);
  results.emplace("sample", output.detach());
  return results;
}

/// Whether the VAE in `folder` is an AutoencoderTiny; any other class is left to AutoencoderKL's
/// reader, which says what it expects.
bool is_autoencoder_tiny(const std::filesystem::path& folder) {
  const auto config = read_json_object(folder / "config.json");
  return config.value("_class_name", nlohmann::json()) == "AutoencoderTiny";
}

TensorMap run_vae_encode(const Request& request, Inputs& inputs) {
  const auto folder = folder_of_part(request.model, "vae");
  if (is_autoencoder_tiny(folder)) {
    AutoencoderTiny vae = load_autoencoder_tiny(folder, request.type);
    const at::Tensor sample = inputs.take_float("sample", {-1, vae->config().in_channels, -1, -1});
    inputs.finish();
    const at::Tensor latents = vae->encode(sample);
    return {{"latents", latents}, {"mean", latents}, {"std", at::zeros_like(latents)}};
  }
  AutoencoderKL vae = load_autoencoder_kl(folder, request.type);
  const at::Tensor sample = inputs.take_float("sample", {-1, vae->config().in_channels, -1, -1});
  inputs.finish();
  const LatentDistribution latents = vae->encode(sample);
  return {{"mean", latents.mean}, {"std", latents.std}};
}

TensorMap run_vae_decode(const Request& request, Inputs& inputs) {
  const auto folder = folder_of_part(request.model, "vae");
  if (is_autoencoder_tiny(folder)) {
    AutoencoderTiny vae = load_autoencoder_tiny(folder, request.type);
    const at::Tensor latents =
        inputs.take_float("latents", {-1, vae->config().latent_channels, -1, -1});
    inputs.finish();
    return {{"sample", vae->decode(latents)}};
  }
  AutoencoderKL vae = load_autoencoder_kl(folder, request.type);
  const at::Tensor latents =
      inputs.take_float("latents", {-1, vae->config().latent_channels, -1, -1});
  inputs.finish();
  return {{"sample", vae->decode(latents)}};
}

TensorMap run_text_encoder(const Request& request, Inputs& inputs) {
  CLIPTextModel encoder =
      load_clip_text_model(folder_of_part(request.model, "text_encoder"), request.type);
  const at::Tensor ids = inputs.take_ids("input_ids", {-1, -1}, encoder->config().vocab_size);
  inputs.finish();
  const CLIPTextOutput output = encoder->forward(ids);
  return {{"last_hidden_state", output.last_hidden_state}, {"pooler_output", output.pooler_output}};
}

TensorMap run_image_encoder(const Request& request, Inputs& inputs) {
  CLIPVisionModelWithProjection encoder =
      load_clip_vision_model(folder_of_part(request.model, "image_encoder"), request.type);
  const auto& config = encoder->config();
  const at::Tensor pixels = inputs.take_float(
      "pixel_values", {-1, config.num_channels, config.image_size, config.image_size});
  inputs.finish();
  const CLIPVisionOutput output = encoder->forward(pixels);
  return {{"image_embeds", output.image_embeds},
          {"penultimate_hidden_state", output.penultimate_hidden_state}};
}

TensorMap run_ip_projection(const Request& request, Inputs& inputs) {
  if (request.adapters.size() != 1) {
    throw ConfigError("model run ip-projection: expected --adapter once, a folder or a file");
  }
  const auto& path = request.adapters.front();
  const AdapterFiles files = inspect_adapter(path);
  if (files.options.ip_adapter.kind == "none") {
    throw InputError(path.string() + ": the adapter has no IP-Adapter part");
  }
  UNet2DConditionModel unet = load_unet(folder_of_part(request.model, "unet"), request.type);
  const auto adapter = load_adapter(unet, path);
  const at::Tensor features = take_reference_features(
      inputs, *adapter, "", -1, files.image_embedding_size, /*required=*/true);
  inputs.finish();
  return {{"ip_hidden_states", adapter->project_reference(features)}};
}

}  // namespace

void run_model_part(const std::string& part,
                    const std::filesystem::path& model,
                    const std::vector<std::filesystem::path>& adapters,
                    const std::filesystem::path& inputs,
                    const std::filesystem::path& outputs,
                    const ModelRunOptions& options) {
  torch::NoGradGuard no_grad;
  const std::map<std::string, TensorMap (*)(const Request&, Inputs&)> parts = {
      {"unet", run_unet},
      {"vae-encode", run_vae_encode},
      {"vae-decode", run_vae_decode},
      {"text-encoder", run_text_encoder},
      {"image-encoder", run_image_encoder},
      {"ip-projection", run_ip_projection}};
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
  Inputs given(inputs);
  TensorMap results;
  try {
    results = found->second(request, given);
  } catch (const c10::Error& error) {
    throw InputError(inputs.string() + ": " + error.what_without_backtrace());
  }
  write_safetensors(outputs, results, {{"format", "pt"}});
}

}  // namespace limewash::models
