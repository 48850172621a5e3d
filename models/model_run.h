#pragma once
// `limewash model run` and `limewash model info`: one network on given tensors, and what a base
// holds.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace limewash::models {

/// How `run_model_part` computes.
struct ModelRunOptions {
  std::string precision = "fp32";  ///< fp32 | bf16
  /// unet with an adapter: back-propagate the input `grad_sample` [N, Cout, H, W] too, and give
  /// `grad.NAME` for each adapter tensor NAME that the result depends on; with several adapters
  /// `grad_0.NAME`, `grad_1.NAME` and so on.
  bool gradients = false;
  int64_t repeat = 1;  ///< compute that often; the results are the last one's
};

/// What it took.
struct ModelRunReport {
  double seconds_load = 0;              ///< until the network could compute
  std::vector<double> seconds_forward;  ///< of each time it computed; the first reads the weights
  int64_t peak_bytes = 0;               ///< the most memory that the process has held
};

/// Run `part` (unet, vae-encode, vae-decode, text-encoder, image-encoder, ip-projection) of
/// `model`, a diffusers folder or the folder of the one network, on the tensors of the safetensors
/// file `inputs`, and write its results to `outputs`. Tensors are named as diffusers and
/// transformers name their arguments and results; all results are fp32. `adapters`: folders that
/// Adapter::save wrote, or single IP-Adapter files; one at most may hold a LoRA.
///
/// unet with an IP-Adapter takes `ip_hidden_states`, or what ip-projection takes, which it then
/// projects itself: `image_embeds` for the base kind, `penultimate_hidden_state` for plus. With
/// several IP-Adapters these names end in their number: `ip_hidden_states_0`, `ip_hidden_states_1`.
/// vae-encode gives the `mean` and `std` of AutoencoderKL. AutoencoderTiny has no distribution: it
/// gives its `latents`, and the same as a `mean` with a `std` of zero, for who reads those.
/// Throws InputError naming what is missing, misnamed or misshaped, and ConfigError for an unknown
/// part or option. Out of memory is an InputError with the estimate.
ModelRunReport run_model_part(const std::string& part,
                              const std::filesystem::path& model,
                              const std::vector<std::filesystem::path>& adapters,
                              const std::filesystem::path& inputs,
                              const std::filesystem::path& outputs,
                              const ModelRunOptions& options = {});

/// Classes, parameter counts, sizes, channels and prediction type of a diffusers folder, or of the
/// folder of one network, as one JSON object.
std::string model_info_json(const std::filesystem::path& folder);

/// The same for people, one part a line.
std::string model_info_text(const std::filesystem::path& folder);

}  // namespace limewash::models
