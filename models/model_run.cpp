#include "models/model_run.h"

#include <functional>
#include <map>
#include <set>
#include <vector>

#include <torch/torch.h>

#include "models/adapter.h"
#include "models/autoencoder_kl.h"
#include "models/clip.h"
#include "models/model_folder.h"
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

TensorMap run_unet(const std::filesystem::path& model,
                   const std::filesystem::path& adapter_folder,
                   Inputs& inputs) {
  UNet2DConditionModel unet = load_unet(folder_of_part(model, "unet"));
  std::unique_ptr<Adapter> adapter;
  if (!adapter_folder.empty()) adapter = load_adapter(unet, adapter_folder);
  const auto& config = unet->config();
  const at::Tensor sample = inputs.take_float("sample", {-1, config.in_channels, -1, -1});
  const int64_t batch = sample.size(0), width = config.cross_attention_dim[0];
  const at::Tensor timesteps = inputs.take_timesteps(batch);
  const at::Tensor text = inputs.take_float("encoder_hidden_states", {batch, -1, width});
  at::Tensor reference;
  if (adapter)
    reference = inputs.take_float("ip_hidden_states", {batch, -1, width}, /*required=*/false);
  ControlResiduals control;
  control.mid_block =
      inputs.take_float("mid_block_residual", {batch, -1, -1, -1}, /*required=*/false);
  while (true) {
    const std::string name = "down_block_residual_" + std::to_string(control.down_blocks.size());
    const at::Tensor residual = inputs.take_float(name, {batch, -1, -1, -1}, /*required=*/false);
    if (!residual.defined()) break;
    control.down_blocks.push_back(residual);
  }
  inputs.finish();
  return {{"sample", unet->forward(sample, timesteps, text, reference, control)}};
}

TensorMap run_vae_encode(const std::filesystem::path& model, Inputs& inputs) {
  AutoencoderKL vae = load_autoencoder_kl(folder_of_part(model, "vae"));
  const at::Tensor sample = inputs.take_float("sample", {-1, vae->config().in_channels, -1, -1});
  inputs.finish();
  const LatentDistribution latents = vae->encode(sample);
  return {{"mean", latents.mean}, {"std", latents.std}};
}

TensorMap run_vae_decode(const std::filesystem::path& model, Inputs& inputs) {
  AutoencoderKL vae = load_autoencoder_kl(folder_of_part(model, "vae"));
  const at::Tensor latents =
      inputs.take_float("latents", {-1, vae->config().latent_channels, -1, -1});
  inputs.finish();
  return {{"sample", vae->decode(latents)}};
}

TensorMap run_text_encoder(const std::filesystem::path& model, Inputs& inputs) {
  CLIPTextModel encoder = load_clip_text_model(folder_of_part(model, "text_encoder"));
  const at::Tensor ids = inputs.take_ids("input_ids", {-1, -1}, encoder->config().vocab_size);
  inputs.finish();
  const CLIPTextOutput output = encoder->forward(ids);
  return {{"last_hidden_state", output.last_hidden_state}, {"pooler_output", output.pooler_output}};
}

TensorMap run_image_encoder(const std::filesystem::path& model, Inputs& inputs) {
  CLIPVisionModelWithProjection encoder =
      load_clip_vision_model(folder_of_part(model, "image_encoder"));
  const auto& config = encoder->config();
  const at::Tensor pixels = inputs.take_float(
      "pixel_values", {-1, config.num_channels, config.image_size, config.image_size});
  inputs.finish();
  const CLIPVisionOutput output = encoder->forward(pixels);
  return {{"image_embeds", output.image_embeds},
          {"penultimate_hidden_state", output.penultimate_hidden_state}};
}

TensorMap run_ip_projection(const std::filesystem::path& model,
                            const std::filesystem::path& adapter_folder,
                            Inputs& inputs) {
  if (adapter_folder.empty()) throw ConfigError("model run ip-projection: expected --adapter DIR");
  const AdapterFiles files = inspect_adapter(adapter_folder);
  if (files.options.ip_adapter.kind == "none") {
    throw InputError(adapter_folder.string() + ": the adapter has no IP-Adapter part");
  }
  const auto adapter = load_adapter(load_unet(folder_of_part(model, "unet")), adapter_folder);
  const at::Tensor embeds = inputs.take_float("image_embeds", {-1, files.image_embedding_size});
  inputs.finish();
  return {{"ip_hidden_states", adapter->project_reference(embeds)}};
}

}  // namespace

void run_model_part(const std::string& part,
                    const std::filesystem::path& model,
                    const std::filesystem::path& adapter,
                    const std::filesystem::path& inputs,
                    const std::filesystem::path& outputs) {
  torch::NoGradGuard no_grad;
  const std::map<std::string, std::function<TensorMap(Inputs&)>> parts = {
      {"unet", [&](Inputs& given) { return run_unet(model, adapter, given); }},
      {"vae-encode", [&](Inputs& given) { return run_vae_encode(model, given); }},
      {"vae-decode", [&](Inputs& given) { return run_vae_decode(model, given); }},
      {"text-encoder", [&](Inputs& given) { return run_text_encoder(model, given); }},
      {"image-encoder", [&](Inputs& given) { return run_image_encoder(model, given); }},
      {"ip-projection", [&](Inputs& given) { return run_ip_projection(model, adapter, given); }}};
  const auto found = parts.find(part);
  if (found == parts.end()) {
    std::string names;
    for (const auto& [name, run] : parts) names += (names.empty() ? "" : ", ") + name;
    throw ConfigError("model run: unknown part '" + part + "': expected one of " + names);
  }
  if (!adapter.empty() && part != "unet" && part != "ip-projection") {
    throw ConfigError("model run " + part + ": --adapter is for unet and ip-projection");
  }
  if (!std::filesystem::is_directory(model)) {
    throw InputError(model.string() + ": expected the folder of a model");
  }
  Inputs given(inputs);
  TensorMap results;
  try {
    results = found->second(given);
  } catch (const c10::Error& error) {
    throw InputError(inputs.string() + ": " + error.what_without_backtrace());
  }
  write_safetensors(outputs, results, {{"format", "pt"}});
}

}  // namespace limewash::models
