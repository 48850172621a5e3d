#pragma once
// `limewash model run` and `limewash model info`: one network on given tensors, and what a base
// holds.

#include <filesystem>
#include <string>

namespace limewash::models {

/// Run `part` (unet, vae-encode, vae-decode, text-encoder, image-encoder, ip-projection) of
/// `model`, a diffusers folder or the folder of the one network, on the tensors of the safetensors
/// file `inputs`, and write its results to `outputs`. Tensors are named as diffusers and
/// transformers name their arguments and results. `adapter` is a folder that Adapter::save wrote,
/// or empty. Throws InputError naming what is missing, misnamed or misshaped, and ConfigError for
/// an unknown part.
void run_model_part(const std::string& part,
                    const std::filesystem::path& model,
                    const std::filesystem::path& adapter,
                    const std::filesystem::path& inputs,
                    const std::filesystem::path& outputs);

/// Classes, parameter counts, sizes, channels and prediction type of a diffusers folder, or of the
/// folder of one network, as one JSON object.
std::string model_info_json(const std::filesystem::path& folder);

/// The same for people, one part a line.
std::string model_info_text(const std::filesystem::path& folder);

}  // namespace limewash::models
