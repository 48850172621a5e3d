#include "models/adapter.h"

#include <torch/torch.h>

#include "models/adapter_files.h"
#include "models/ip_adapter_file.h"
#include "runtime/error.h"

namespace limewash::models {

void AdapterOptions::describe(config::Fields& fields) {
  fields.section("lora", lora);
  fields.section("ip_adapter", ip_adapter);
}

void AdapterOptions::validate() const {
  if (lora.rank == 0 && ip_adapter.kind == "none") {
    throw ConfigError(
        "adapter: lora.rank is 0 and ip_adapter.kind is none: there is nothing to train");
  }
  lora.validate();
  ip_adapter.validate();
}

struct Adapter::Impl {
  AdapterOptions options;
  std::unique_ptr<Lora> lora;
  std::unique_ptr<IpAdapter> ip_adapter;
};

Adapter::Adapter(UNet2DConditionModel unet,
                 const AdapterOptions& options,
                 int64_t image_embedding_size,
                 uint64_t seed)
    : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
  if (options.lora.rank > 0) impl_->lora = std::make_unique<Lora>(unet, options.lora, seed);
  if (options.ip_adapter.kind != "none") {
    impl_->ip_adapter =
        std::make_unique<IpAdapter>(unet, options.ip_adapter, image_embedding_size, seed);
  }
}

Adapter::~Adapter() = default;

std::vector<NamedParameter> Adapter::lora_parameters() {
  return impl_->lora ? impl_->lora->parameters() : std::vector<NamedParameter>();
}

std::vector<NamedParameter> Adapter::ip_adapter_parameters() {
  return impl_->ip_adapter ? impl_->ip_adapter->parameters() : std::vector<NamedParameter>();
}

ReferenceFeatures Adapter::reference_features() const {
  return impl_->options.ip_adapter.reference_features();
}

at::Tensor Adapter::project_reference(const at::Tensor& features) {
  return impl_->ip_adapter ? impl_->ip_adapter->project_reference(features) : at::Tensor();
}

void Adapter::set_enabled(bool enabled) {
  if (impl_->lora) impl_->lora->set_enabled(enabled);
  if (impl_->ip_adapter) impl_->ip_adapter->set_enabled(enabled);
}

void Adapter::begin_dropout(uint64_t seed, std::vector<DropoutKey> keys) {
  const bool trains = impl_->lora && impl_->lora->parameters().front().tensor.requires_grad();
  if (trains) impl_->lora->begin_dropout(seed, std::move(keys));
}

void Adapter::end_dropout() {
  if (impl_->lora) impl_->lora->end_dropout();
}

void Adapter::merge_lora() {
  if (impl_->lora) impl_->lora->merge();
}

void Adapter::unmerge_lora() {
  if (impl_->lora) impl_->lora->unmerge();
}

void Adapter::save(const std::filesystem::path& folder,
                   const std::map<std::string, std::string>& metadata) const {
  std::filesystem::create_directory(folder);
  if (impl_->lora) impl_->lora->save(folder, metadata);
  if (impl_->ip_adapter) impl_->ip_adapter->save(folder, metadata);
}

AdapterSnapshot Adapter::snapshot() const {
  const auto copy = [](const at::Tensor& tensor) {
    return tensor.detach().to(
        tensor.options().device(at::kCPU), /*non_blocking=*/false, /*copy=*/true);
  };
  AdapterSnapshot snapshot;
  if (impl_->lora) {
    snapshot.lora_ = impl_->lora->weights();
    for (auto& [path, module] : snapshot.lora_->modules) {
      module.a = copy(module.a);
      module.b = copy(module.b);
    }
  }
  if (impl_->ip_adapter) {
    for (const auto& [name, tensor] : impl_->ip_adapter->parameters())
      snapshot.ip_adapter_.push_back({name, copy(tensor)});
    snapshot.ip_adapter_metadata_ = impl_->ip_adapter->file_metadata();
  }
  return snapshot;
}

void AdapterSnapshot::save(const std::filesystem::path& folder,
                           const std::map<std::string, std::string>& metadata) const {
  std::filesystem::create_directory(folder);
  if (lora_) {
    LoraWeights weights = *lora_;
    weights.metadata = metadata;
    write_lora(folder / kLoraFileName, weights);
  }
  if (ip_adapter_.empty()) return;
  auto of_file = metadata;
  for (const auto& [key, value] : ip_adapter_metadata_) of_file[key] = value;
  write_parameters(folder / kIpAdapterFileName, ip_adapter_, of_file);
}

void Adapter::load(const std::filesystem::path& path) {
  load(locate_adapter(path), path.string());
}

void Adapter::load(const AdapterPaths& files, const std::string& name) {
  const auto require = [&](const std::filesystem::path& file, const char* part) {
    if (file.empty()) throw InputError(name + ": no " + part + ", which the adapter has");
    return file;
  };
  if (impl_->lora) impl_->lora->load(require(files.lora, kLoraFileName));
  if (impl_->ip_adapter) impl_->ip_adapter->load(require(files.ip_adapter, kIpAdapterFileName));
}

void Adapter::load_lora(const std::filesystem::path& path) {
  if (!impl_->lora) {
    throw ConfigError("base.lora is '" + path.string() + "', but adapter.lora.rank is 0");
  }
  const AdapterPaths files = locate_adapter(path);
  if (files.lora.empty()) throw InputError("base.lora: " + path.string() + ": has no LoRA");
  impl_->lora->load(files.lora);
}

void Adapter::load_ip_adapter(const std::filesystem::path& file) {
  if (!impl_->ip_adapter) {
    throw ConfigError("base.ip_adapter is '" + file.string() +
                      "', but adapter.ip_adapter.kind is none");
  }
  impl_->ip_adapter->load(file);
}

const AdapterOptions& Adapter::options() const {
  return impl_->options;
}

AdapterFiles inspect_adapter(const std::filesystem::path& path,
                             const std::vector<std::string>& module_paths) {
  return inspect_adapter(locate_adapter(path), module_paths);
}

AdapterFiles inspect_adapter(const AdapterPaths& paths,
                             const std::vector<std::string>& module_paths) {
  AdapterFiles files;
  files.options.lora.rank = 0;
  files.options.ip_adapter.kind = "none";
  if (!paths.lora.empty()) {
    const LoraWeights found = read_lora(paths.lora, module_paths);
    files.options.lora = lora_options_of(found);
    files.metadata.insert(found.metadata.begin(), found.metadata.end());
  }
  if (!paths.ip_adapter.empty()) {
    const IpAdapterFile found = read_ip_adapter_file(paths.ip_adapter);
    files.options.ip_adapter = found.options;
    files.image_embedding_size = found.image_embedding_size;
    files.metadata.insert(found.metadata.begin(), found.metadata.end());
  }
  return files;
}

std::unique_ptr<Adapter> load_adapter(UNet2DConditionModel unet,
                                      const std::filesystem::path& path) {
  return load_adapter(std::move(unet), locate_adapter(path), path.string());
}

std::unique_ptr<Adapter> load_adapter(UNet2DConditionModel unet,
                                      const AdapterPaths& paths,
                                      const std::string& name) {
  const AdapterFiles files = inspect_adapter(paths, lora_module_paths(unet));
  std::unique_ptr<Adapter> adapter;
  try {
    adapter = std::make_unique<Adapter>(
        std::move(unet), files.options, files.image_embedding_size, /*seed=*/0);
  } catch (const ConfigError& error) {
    throw InputError(name + ": the adapter does not fit this UNet: " + error.what());
  }
  adapter->load(paths, name);
  return adapter;
}

}  // namespace limewash::models
