#pragma once
// IP-Adapter files as others publish them: telling their kinds apart, and what each holds.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "models/ip_adapter.h"
#include "models/safetensors.h"

namespace limewash::models {

/// What an IP-Adapter file holds: the kind and sizes out of names, shapes and metadata.
struct IpAdapterFile {
  IpAdapterOptions options;  ///< tokens and resampler.dim are never 0
  int64_t image_embedding_size = 0;
  TensorMap tensors;  ///< image_proj.* and ip_adapter.N.*
  std::map<std::string, std::string> metadata;
};

/// Whether a file of weights has tensors that are named as an IP-Adapter's.
bool is_ip_adapter_file(const std::filesystem::path& path);

/// Read a `.safetensors` file or a `.bin` pickle of the base or the Plus kind, such as
/// ip-adapter_sd15.safetensors and ip-adapter-plus_sd15.bin. The number of heads is in no shape:
/// without limewash's metadata a head has 64 values, as in every published file. Throws InputError
/// for FaceID, full-face and SDXL adapters, saying which it is.
IpAdapterFile read_ip_adapter_file(const std::filesystem::path& path);

/// Throws InputError naming each difference between the file and an adapter of these options.
void require_same_adapter(const std::string& path,
                          const IpAdapterFile& file,
                          const IpAdapterOptions& options,
                          int64_t image_embedding_size);

}  // namespace limewash::models
