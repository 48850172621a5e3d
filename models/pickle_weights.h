#pragma once
// Tensors out of torch.save's files (.bin, .ckpt, .pt, .pth), by a reader that executes nothing.

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "models/safetensors.h"

namespace limewash::models {

class MappedFile;

struct PickleWeightsFile {
  TensorMap tensors;
  std::shared_ptr<const MappedFile> mapping;  ///< what the tensors lie in, unless they were copied
};

/// Whether a file that begins with these bytes is one of torch.save's, of either kind: the zip
/// archive, and what torch 1.5 and before wrote.
bool is_pickle_weights(std::string_view first_bytes);

/// Read a file, memory-mapped. Names within names are joined by '.': {"image_proj": {"norm": …}}
/// gives image_proj.norm. Where the outermost dictionary has a `state_dict`, as a training
/// framework's checkpoint has, only that is read, and without this prefix. What is neither a tensor
/// nor a container of tensors is left out.
///
/// Tensors share the file's mapping (also with each other, where they did so when they were saved)
/// and may be strided; where the file does not align them they are copied, each storage once.
///
/// Throws InputError naming the file and what is wrong: a name that would run code
/// (models/pickle_machine.h), archives and storages that are damaged, truncated or not of the size
/// that the pickle claims.
PickleWeightsFile read_pickle_weights(const std::filesystem::path& path);

/// The same out of memory; `file` is for messages.
TensorMap parse_pickle_weights(std::string bytes, const std::string& file);

}  // namespace limewash::models
