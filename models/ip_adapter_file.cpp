#include "models/ip_adapter_file.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <type_traits>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include "models/adapter_files.h"
#include "models/strict_json.h"
#include "models/weights.h"
#include "models/weights_file.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

/// Width of a head in every published Plus file; diffusers reads no other.
constexpr int64_t kPublishedHeadDim = 64;
/// Context width of SDXL, which no Stable Diffusion 1.x or 2.x has.
constexpr int64_t kSdxlContext = 2048;

bool has(const TensorMap& tensors, const std::string& name) {
  return tensors.contains(name);
}

bool has_prefix(const TensorMap& tensors, const std::string& prefix) {
  const auto found = tensors.lower_bound(prefix);
  return found != tensors.end() && found->first.starts_with(prefix);
}

bool has_ip_adapter_names(const TensorMap& tensors) {
  return has_prefix(tensors, "image_proj.") || has_prefix(tensors, "ip_adapter.");
}

/// A number of the metadata, or `otherwise` where the key is absent.
double metadata_number(const IpAdapterFile& file,
                       const std::string& path,
                       const char* key,
                       double otherwise) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) return otherwise;
  char* end = nullptr;
  const double value = std::strtod(found->second.c_str(), &end);
  if (found->second.empty() || *end != '\0' || !std::isfinite(value)) {
    throw InputError(path + ": " + key + " is '" + printable(found->second) +
                     "': expected a number");
  }
  return value;
}

/// The tensor, which must be there with these sizes; -1 stands for any above 0.
const at::Tensor& shaped(const IpAdapterFile& file,
                         const std::string& path,
                         const std::string& name,
                         const std::vector<int64_t>& sizes,
                         const char* expected) {
  const auto found = file.tensors.find(name);
  if (found == file.tensors.end()) {
    throw InputError(path + ": missing tensor " + name + ": expected " + expected);
  }
  const at::Tensor& tensor = found->second;
  bool fits = static_cast<size_t>(tensor.dim()) == sizes.size();
  for (size_t i = 0; fits && i < sizes.size(); ++i) {
    const int64_t size = tensor.size(static_cast<int64_t>(i));
    fits = size > 0 && (sizes[i] < 0 || sizes[i] == size);
  }
  if (!fits) {
    throw InputError(path + ": " + name + " has the shape " + shape_text(tensor.sizes()) +
                     ": expected " + expected);
  }
  return tensor;
}

void refuse(const std::string& path, const std::string& what) {
  throw InputError(path + ": " + what +
                   ": limewash reads the base and the Plus kind for Stable Diffusion 1.x and 2.x");
}

/// Throws for the kinds that are published but not computed here.
void refuse_other_kinds(const IpAdapterFile& file, const std::string& path) {
  const TensorMap& tensors = file.tensors;
  const bool has_lora = std::any_of(tensors.begin(), tensors.end(), [](const auto& item) {
    return item.first.starts_with("ip_adapter.") && item.first.find("_lora.") != std::string::npos;
  });
  if (has_prefix(tensors, "image_proj.perceiver_resampler.")) {
    refuse(path, "an IP-Adapter FaceID Plus (image_proj.perceiver_resampler)");
  }
  if (has(tensors, "image_proj.proj.3.weight")) {
    refuse(path, "a full-face IP-Adapter (image_proj.proj.3)");
  }
  if (has(tensors, "image_proj.proj.0.weight")) {
    refuse(path, "an IP-Adapter FaceID (image_proj.proj.0)");
  }
  if (has_lora) refuse(path, "an IP-Adapter FaceID, with a LoRA among ip_adapter.N");
  for (const char* part : {"image_proj.pos_emb.", "image_proj.to_latents_from_mean_pooled_seq."}) {
    if (has_prefix(tensors, part)) refuse(path, std::string("a Resampler with ") + part + "*");
  }
  for (const auto& [name, tensor] : tensors) {
    if (name.ends_with(".to_k_ip.weight") && tensor.dim() == 2 && tensor.size(1) == kSdxlContext) {
      refuse(path, "an IP-Adapter for SDXL (" + printable(name) + " is 2048 wide)");
    }
  }
}

void inspect_base(IpAdapterFile& file, const std::string& path) {
  const char* expected = "[tokens x width, size] beside image_proj.norm.weight [width]";
  const int64_t width = shaped(file, path, "image_proj.norm.weight", {-1}, "[width]").size(0);
  const at::Tensor& proj = shaped(file, path, "image_proj.proj.weight", {-1, -1}, expected);
  if (proj.size(0) % width != 0) {
    throw InputError(path + ": image_proj.proj.weight has the shape " + shape_text(proj.sizes()) +
                     ", image_proj.norm.weight [" + std::to_string(width) + "]: expected " +
                     expected);
  }
  file.options.kind = "base";
  file.options.tokens = proj.size(0) / width;
  file.image_embedding_size = proj.size(1);
}

void inspect_plus(IpAdapterFile& file, const std::string& path) {
  const at::Tensor& latents =
      shaped(file, path, "image_proj.latents", {1, -1, -1}, "[1, queries, dim]");
  ResamplerOptions& resampler = file.options.resampler;
  const int64_t dim = latents.size(2);
  const std::string layer = "image_proj.layers.0.";
  shaped(file, path, "image_proj.proj_out.weight", {-1, dim}, "[width, dim]");
  const int64_t inner =
      shaped(file, path, layer + "0.to_q.weight", {-1, dim}, "[heads x head_dim, dim]").size(0);
  const int64_t feed_forward =
      shaped(file, path, layer + "1.1.weight", {-1, dim}, "[ff_mult x dim, dim]").size(0);
  const double head_dim =
      metadata_number(file, path, kIpHeadDimKey, static_cast<double>(kPublishedHeadDim));
  if (head_dim < 1 || head_dim > static_cast<double>(inner) || std::floor(head_dim) != head_dim ||
      inner % static_cast<int64_t>(head_dim) != 0) {
    throw InputError(path + ": " + layer + "0.to_q.weight has " + std::to_string(inner) +
                     " rows: expected a multiple of the head's width, " + number_text(head_dim) +
                     (file.metadata.contains(kIpHeadDimKey)
                          ? std::string()
                          : std::string(" where the metadata has no ") + kIpHeadDimKey));
  }
  if (feed_forward % dim != 0) {
    throw InputError(path + ": " + layer + "1.1.weight has " + std::to_string(feed_forward) +
                     " rows: expected a multiple of " + std::to_string(dim));
  }
  resampler.dim = dim;
  resampler.head_dim = static_cast<int64_t>(head_dim);
  resampler.heads = inner / resampler.head_dim;
  resampler.ff_mult = feed_forward / dim;
  resampler.depth = 1;
  while (has(file.tensors,
             "image_proj.layers." + std::to_string(resampler.depth) + ".0.to_q.weight")) {
    ++resampler.depth;
  }
  file.options.kind = "plus";
  file.options.tokens = latents.size(1);
  file.image_embedding_size =
      shaped(file, path, "image_proj.proj_in.weight", {dim, -1}, "[dim, size]").size(1);
}

}  // namespace

bool is_ip_adapter_file(const std::filesystem::path& path) {
  return has_ip_adapter_names(read_weights_file(path).tensors);
}

IpAdapterFile read_ip_adapter_file(const std::filesystem::path& path) {
  const std::string name = path.string();
  IpAdapterFile file;
  WeightsFile content = read_weights_file(path);
  file.tensors = std::move(content.tensors);
  file.metadata = std::move(content.metadata);
  if (!has_ip_adapter_names(file.tensors)) {
    throw InputError(name + ": no IP-Adapter: expected tensors image_proj.* and ip_adapter.N.*");
  }
  refuse_other_kinds(file, name);
  if (has(file.tensors, "image_proj.latents")) {
    inspect_plus(file, name);
  } else if (has(file.tensors, "image_proj.proj.weight")) {
    inspect_base(file, name);
  } else {
    refuse(name,
           "an IP-Adapter of an unknown kind, without image_proj.proj.weight and "
           "image_proj.latents");
  }
  file.options.scale = metadata_number(file, name, kIpScaleKey, 1);
  return file;
}

void require_same_adapter(const std::string& path,
                          const IpAdapterFile& file,
                          const IpAdapterOptions& options,
                          int64_t image_embedding_size) {
  std::string differences;
  const auto compare = [&](const std::string& what, const auto& theirs, const auto& ours) {
    if (theirs == ours) return;
    std::string text = what + " is ";
    if constexpr (std::is_same_v<std::decay_t<decltype(theirs)>, std::string>) {
      text += theirs + ", here " + ours;
    } else {
      text += std::to_string(theirs) + ", here " + std::to_string(ours);
    }
    differences += (differences.empty() ? "" : "; ") + text;
  };
  compare("kind", file.options.kind, options.kind);
  if (file.options.kind == options.kind) {
    compare("tokens", file.options.tokens, options.token_count());
    compare("the size of the image features", file.image_embedding_size, image_embedding_size);
  }
  if (file.options.kind == "plus" && options.kind == "plus") {
    const ResamplerOptions &theirs = file.options.resampler, &ours = options.resampler;
    compare("resampler.dim", theirs.dim, ours.dim);
    compare("resampler.depth", theirs.depth, ours.depth);
    compare("resampler.ff_mult", theirs.ff_mult, ours.ff_mult);
    // Where the file doesn't say how its rows are shared by heads, only their number can differ.
    if (file.metadata.contains(kIpHeadDimKey) ||
        theirs.heads * theirs.head_dim != ours.heads * ours.head_dim) {
      compare("resampler.heads", theirs.heads, ours.heads);
      compare("resampler.head_dim", theirs.head_dim, ours.head_dim);
    }
  }
  if (!differences.empty()) {
    throw InputError(path + ": does not fit adapter.ip_adapter: " + differences);
  }
}

}  // namespace limewash::models
