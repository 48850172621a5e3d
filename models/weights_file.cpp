#include "models/weights_file.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "models/mapped_file.h"
#include "models/pickle_weights.h"
#include "models/strict_json.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::models {

namespace {

constexpr uint64_t kMaxIndexBytes = uint64_t{64} << 20;
constexpr std::string_view kIndexSuffix = ".json";

/// The names under which diffusers and transformers write one network, in the order in which they
/// are looked for.
std::vector<std::string> candidate_names(const std::string& stem) {
  const std::string bin = stem == "model" ? "pytorch_model" : stem;
  return {stem + ".safetensors",
          stem + ".safetensors.index.json",
          stem + ".fp16.safetensors",
          stem + ".safetensors.index.fp16.json",
          stem + ".fp16.safetensors.index.json",
          bin + ".bin",
          bin + ".bin.index.json",
          bin + ".fp16.bin",
          bin + ".bin.index.fp16.json"};
}

}  // namespace

WeightsFiles::WeightsFiles(std::filesystem::path file) : files{std::move(file)} {}

WeightsFiles WeightsFiles::sharded(const std::filesystem::path& index) {
  std::set<std::string> names;
  for (const auto& [tensor, name] : read_weights_index(index)) names.insert(name);
  WeightsFiles result;
  result.index = index;
  for (const auto& name : names) {
    result.files.push_back(index.parent_path() / name);
    if (!std::filesystem::exists(result.files.back())) {
      throw InputError(index.string() + ": the file " + printable(name) +
                       " that it names does not exist");
    }
  }
  return result;
}

const std::filesystem::path& WeightsFiles::shown() const {
  return index.empty() ? files.front() : index;
}

WeightsFiles find_weights(const std::filesystem::path& folder, const std::string& stem) {
  std::string listed;
  for (const auto& name : candidate_names(stem)) {
    const auto path = folder / name;
    if (std::filesystem::exists(path)) {
      return name.ends_with(kIndexSuffix) ? WeightsFiles::sharded(path) : WeightsFiles(path);
    }
    listed += (listed.empty() ? "" : ", ") + name;
  }
  throw InputError(folder.string() + ": no weights: looked for " + listed);
}

std::map<std::string, std::string> read_weights_index(const std::filesystem::path& path) {
  return parse_weights_index(read_file(path, kMaxIndexBytes), path);
}

std::map<std::string, std::string> parse_weights_index(std::string_view text,
                                                       const std::filesystem::path& path) {
  const nlohmann::json index = parse_json_object(text, path);
  const auto found = index.find("weight_map");
  if (found == index.end() || !found->is_object() || found->empty()) {
    throw InputError(path.string() + ": weight_map: expected tensor names and file names");
  }
  std::map<std::string, std::string> files;
  for (const auto& [tensor, name] : found->items()) {
    const std::string file = name.is_string() ? name.get<std::string>() : "";
    if (file.empty() || file == "." || file == ".." ||
        file.find_first_of(std::string("/\\\0", 3)) != std::string::npos) {
      throw InputError(path.string() + ": weight_map: " + printable(tensor) +
                       ": expected the name of a file in the same folder");
    }
    files.emplace(tensor, file);
  }
  return files;
}

void WeightsFile::drop(const at::Tensor& tensor) const {
  if (!tensor.is_contiguous()) return;
  for (const auto& mapping : mappings) mapping->drop(tensor.const_data_ptr(), tensor.nbytes());
}

WeightsFile read_weights_file(const std::filesystem::path& path) {
  const MappedFile bytes(path);
  const std::string_view start(bytes.data(), std::min<uint64_t>(bytes.size(), 32));
  if (is_pickle_weights(start)) {
    PickleWeightsFile file = read_pickle_weights(path);
    return {std::move(file.tensors), {}, {std::move(file.mapping)}};
  }
  if (path.extension() != ".safetensors" && (start.size() < 9 || start[8] != '{')) {
    throw InputError(path.string() +
                     ": neither safetensors nor a file of torch.save (truncated, or another "
                     "format?)");
  }
  SafetensorsFile file = read_safetensors(path);
  return {std::move(file.tensors), std::move(file.metadata), {std::move(file.mapping)}};
}

WeightsFile read_weights(const WeightsFiles& files) {
  if (files.index.empty()) return read_weights_file(files.files.front());
  const auto places = read_weights_index(files.index);
  WeightsFile all;
  for (const auto& path : files.files) {
    WeightsFile part = read_weights_file(path);
    for (auto& [name, tensor] : part.tensors) {
      const auto place = places.find(name);
      if (place == places.end()) {
        throw InputError(path.string() + ": " + printable(name) + " is not in " +
                         files.index.filename().string());
      }
      if (place->second != path.filename().string()) {
        throw InputError(path.string() + ": " + printable(name) + " belongs into " +
                         printable(place->second) + ", says " + files.index.filename().string());
      }
      all.tensors.emplace(name, std::move(tensor));
    }
    all.metadata.merge(part.metadata);
    std::move(part.mappings.begin(), part.mappings.end(), std::back_inserter(all.mappings));
  }
  for (const auto& [name, file] : places) {
    if (!all.tensors.contains(name)) {
      throw InputError((files.index.parent_path() / file).string() + ": " + printable(name) +
                       " is missing, but " + files.index.filename().string() + " places it there");
    }
  }
  return all;
}

}  // namespace limewash::models
