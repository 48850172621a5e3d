#pragma once
// Files of weights of every layout: safetensors or torch.save's, whole or in shards.

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/safetensors.h"

namespace limewash::models {

/// The files that together hold one network's weights.
struct WeightsFiles {
  std::vector<std::filesystem::path> files;
  std::filesystem::path index;  ///< says which file holds which tensor; empty for a single file

  WeightsFiles(std::filesystem::path file);  // NOLINT: a single file is the usual case
  /// Reads the index: the files that it names, which must lie beside it.
  static WeightsFiles sharded(const std::filesystem::path& index);

  /// The one file, or the index: what messages name.
  const std::filesystem::path& shown() const;

 private:
  WeightsFiles() = default;
};

/// Looks in `folder` for STEM.safetensors, its shards by STEM.safetensors.index.json, the fp16
/// variants of both, then STEM.bin in the same order. `model` is the stem of transformers'
/// networks, whose .bin is called pytorch_model. Throws InputError naming all that was looked for.
WeightsFiles find_weights(const std::filesystem::path& folder, const std::string& stem);

struct WeightsFile {
  TensorMap tensors;
  std::map<std::string, std::string> metadata;  ///< empty for torch.save's files
  std::vector<std::shared_ptr<const MappedFile>> mappings;

  /// Give back the memory behind a tensor whose values are no longer needed.
  void drop(const at::Tensor& tensor) const;
};

/// Reads safetensors and torch.save's files, told apart by content. Memory-mapped where the file
/// allows. Throws InputError as read_safetensors and read_pickle_weights do.
WeightsFile read_weights_file(const std::filesystem::path& path);

/// All tensors of one network. With shards, a tensor that the index places elsewhere, or nowhere,
/// or that is in no file is an InputError naming both.
WeightsFile read_weights(const WeightsFiles& files);

/// Tensor name -> name of the file beside the index that holds it.
std::map<std::string, std::string> read_weights_index(const std::filesystem::path& path);
/// The same out of memory; `path` is for messages.
std::map<std::string, std::string> parse_weights_index(std::string_view text,
                                                       const std::filesystem::path& path);

}  // namespace limewash::models
