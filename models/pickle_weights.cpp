#include "models/pickle_weights.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include "models/mapped_file.h"
#include "models/pickle_machine.h"
#include "models/strict_json.h"
#include "models/zip_archive.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

constexpr uint64_t kMaxPickleBytes = uint64_t{64} << 20;
constexpr size_t kMaxVisits = 1'000'000;
constexpr size_t kMaxDepth = 32;
constexpr size_t kMaxNameLength = 1024;
constexpr uint64_t kMaxNameBytes = uint64_t{64} << 20;
constexpr std::string_view kZipStart = "PK\x03\x04";
// Protocol 2, then the long 0x1950a86a20f9469cfc6c of ten bytes, then the end of the pickle.
constexpr std::string_view kLegacyStart =
    "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// A whole file in memory and what keeps it there.
struct FileBytes {
  char* data = nullptr;
  uint64_t size = 0;
  std::shared_ptr<const void> owner;

  std::string_view view() const {
    return {data, size};
  }
};

struct Range {
  uint64_t offset = 0, size = 0;
};

/// Where the storages lie in the file, by key.
using FindStorage = std::function<std::optional<Range>(const std::string& key)>;

class TensorBuilder {
 public:
  TensorBuilder(const FileBytes& bytes,
                const Pickle& pickle,
                FindStorage find_storage,
                const std::string& file)
      : bytes_(bytes), pickle_(pickle), find_storage_(std::move(find_storage)), file_(file) {}

  at::Tensor build(const PickledTensor& tensor) {
    const PickledStorage& storage = pickle_.storages[tensor.storage];
    Memory& memory = memory_of(storage);
    if (tensor.dtype == at::kBool && !memory.has_checked_booleans) {
      check_booleans(memory.data, memory.size, where(std::string(storage.key)));
      memory.has_checked_booleans = true;
    }
    const auto options = at::TensorOptions().dtype(tensor.dtype);
    const bool empty = std::find(tensor.sizes.begin(), tensor.sizes.end(), 0) != tensor.sizes.end();
    if (empty) return at::empty(tensor.sizes, options);
    return at::from_blob(
        memory.data + tensor.byte_offset,
        tensor.sizes,
        tensor.strides,
        [owner = memory.owner](void*) {},
        options);
  }

 private:
  struct Memory {
    char* data = nullptr;
    uint64_t size = 0;
    std::shared_ptr<const void> owner;
    bool has_checked_booleans = false;
  };

  std::string where(const std::string& key) const {
    return file_ + ": storage '" + printable(key) + "'";
  }

  Memory& memory_of(const PickledStorage& storage) {
    const std::string key(storage.key);
    auto found = memory_.find(key);
    if (found == memory_.end()) {
      const auto range = find_storage_(key);
      if (!range) throw InputError(where(key) + " is missing");
      found = memory_.emplace(key, aligned(*range)).first;
    }
    if (found->second.size != storage.bytes) {
      throw InputError(where(key) + " has " + std::to_string(found->second.size) +
                       " bytes, the pickle says " + std::to_string(storage.bytes));
    }
    return found->second;
  }

  Memory aligned(const Range& range) const {
    constexpr size_t kLargestElement = 8;
    char* data = bytes_.data + range.offset;
    if (reinterpret_cast<uintptr_t>(data) % kLargestElement == 0) {
      return {data, range.size, bytes_.owner, false};
    }
    const auto copy = std::make_shared<at::Tensor>(
        at::empty({static_cast<int64_t>(range.size)}, at::TensorOptions().dtype(at::kByte)));
    if (range.size > 0) std::memcpy(copy->data_ptr(), data, range.size);
    return {static_cast<char*>(copy->data_ptr()), range.size, copy, false};
  }

  const FileBytes& bytes_;
  const Pickle& pickle_;
  FindStorage find_storage_;
  const std::string& file_;
  std::map<std::string, Memory> memory_;
};

/// Walks the dictionaries down to the tensors.
class Flattener {
 public:
  Flattener(const Pickle& pickle, TensorBuilder& builder, const std::string& file)
      : pickle_(pickle), builder_(builder), file_(file) {}

  TensorMap run() {
    const PickleValue* root = &pickle_.values[pickle_.root];
    if (root->kind != PickleKind::kDict) {
      throw InputError(file_ + ": expected a dictionary of tensors (a state_dict)");
    }
    for (size_t i = 0; i + 1 < root->items.size(); i += 2) {
      const PickleValue& key = pickle_.values[root->items[i]];
      const PickleValue& value = pickle_.values[root->items[i + 1]];
      if (key.kind == PickleKind::kText && key.text == "state_dict" &&
          value.kind == PickleKind::kDict) {
        root = &value;
        break;
      }
    }
    visit(*root, "", 0);
    if (tensors_.empty()) throw InputError(file_ + ": there is no tensor in it");
    return std::move(tensors_);
  }

 private:
  void visit(const PickleValue& value, const std::string& name, size_t depth) {
    if (++visits_ > kMaxVisits) throw InputError(file_ + ": it holds too many values");
    if (depth > kMaxDepth || name.size() > kMaxNameLength) {
      throw InputError(file_ + ": " + printable(name) + ": nested too deeply");
    }
    const auto child = [&](std::string_view part, uint32_t place) {
      visit(pickle_.values[place],
            name.empty() ? std::string(part) : name + "." + std::string(part),
            depth + 1);
    };
    if (value.kind == PickleKind::kTensor) {
      name_bytes_ += name.size();
      if (name_bytes_ > kMaxNameBytes) throw InputError(file_ + ": its names are too long");
      const auto& tensor = pickle_.tensors[static_cast<size_t>(value.integer)];
      if (!tensors_.emplace(name, builder_.build(tensor)).second) {
        throw InputError(file_ + ": two tensors are named " + printable(name));
      }
    } else if (value.kind == PickleKind::kDict) {
      for (size_t i = 0; i + 1 < value.items.size(); i += 2) {
        const PickleValue& key = pickle_.values[value.items[i]];
        if (key.kind == PickleKind::kText) {
          if (key.text.size() > kMaxNameLength) {
            throw InputError(file_ + ": a name of " + std::to_string(key.text.size()) + " bytes");
          }
          child(key.text, value.items[i + 1]);
        } else if (key.kind == PickleKind::kInteger) {
          child(std::to_string(key.integer), value.items[i + 1]);
        }
      }
    } else if (value.kind == PickleKind::kList || value.kind == PickleKind::kTuple) {
      for (size_t i = 0; i < value.items.size(); ++i) child(std::to_string(i), value.items[i]);
    }
  }

  const Pickle& pickle_;
  TensorBuilder& builder_;
  const std::string& file_;
  TensorMap tensors_;
  size_t visits_ = 0;
  uint64_t name_bytes_ = 0;
};

TensorMap tensors_of(const FileBytes& bytes,
                     const Pickle& pickle,
                     FindStorage find_storage,
                     const std::string& file) {
  TensorBuilder builder(bytes, pickle, std::move(find_storage), file);
  return Flattener(pickle, builder, file).run();
}

TensorMap read_zip(const FileBytes& bytes, const std::string& file) {
  const auto entries = read_zip_directory(bytes.view(), file);
  // torch.save names the outermost folder after the file, or "archive".
  std::string folder;
  const ZipEntry* pickle_entry = nullptr;
  const std::string kPickleName = "data.pkl";
  for (const auto& [name, entry] : entries) {
    if (!name.ends_with("/" + kPickleName) ||
        name.find('/') + 1 + kPickleName.size() != name.size())
      continue;
    if (pickle_entry) throw InputError(file + ": two pickles are named data.pkl");
    pickle_entry = &entry;
    folder = name.substr(0, name.size() - kPickleName.size());
  }
  if (!pickle_entry) {
    throw InputError(file + ": a zip archive without a data.pkl: torch.save did not write it");
  }
  if (pickle_entry->size > kMaxPickleBytes) {
    throw InputError(file + ": data.pkl has " + std::to_string(pickle_entry->size) +
                     " bytes: expected at most " + std::to_string(kMaxPickleBytes));
  }
  const auto order = entries.find(folder + "byteorder");
  if (order != entries.end() &&
      bytes.view().substr(order->second.offset, order->second.size) != "little") {
    throw InputError(file + ": its byte order is not little-endian");
  }
  const Pickle pickle =
      read_pickle(bytes.view().substr(pickle_entry->offset, pickle_entry->size), file);
  const auto find_storage = [&](const std::string& key) -> std::optional<Range> {
    const auto found = entries.find(folder + "data/" + key);
    if (found == entries.end()) return std::nullopt;
    return Range{found->second.offset, found->second.size};
  };
  return tensors_of(bytes, pickle, find_storage, file);
}

/// What torch 1.5 and before wrote: five pickles (a mark, a version, the writing system, the
/// objects, the storages' keys), then each storage as its number of elements and its bytes.
TensorMap read_legacy(const FileBytes& bytes, const std::string& file) {
  uint64_t position = kLegacyStart.size();
  const auto next_pickle = [&] {
    const std::string_view rest =
        bytes.view().substr(position, std::min(bytes.size - position, kMaxPickleBytes));
    Pickle pickle = read_pickle(rest, file + " (from byte " + std::to_string(position) + ")");
    position += pickle.bytes_used;
    return pickle;
  };
  const auto root_of = [](const Pickle& pickle) -> const PickleValue& {
    return pickle.values[pickle.root];
  };
  constexpr int64_t kLegacyVersion = 1001;
  const Pickle version = next_pickle();
  if (root_of(version).kind != PickleKind::kInteger || root_of(version).integer != kLegacyVersion) {
    throw InputError(file + ": expected version " + std::to_string(kLegacyVersion) +
                     " of torch's old format");
  }
  const Pickle system = next_pickle();
  const auto& about = root_of(system).items;
  for (size_t i = 0; i + 1 < about.size(); i += 2) {
    const bool little_endian = system.values[about[i + 1]].integer != 0;
    if (system.values[about[i]].text == "little_endian" && !little_endian) {
      throw InputError(file + ": its byte order is not little-endian");
    }
  }
  const Pickle objects = next_pickle();
  const Pickle keys = next_pickle();
  if (root_of(keys).kind != PickleKind::kList) {
    throw InputError(file + ": expected a list of storages");
  }
  std::map<std::string, uint64_t> element_sizes;
  for (const auto& storage : objects.storages) {
    element_sizes[std::string(storage.key)] = at::elementSize(storage.dtype);
  }
  std::map<std::string, Range> ranges;
  for (const uint32_t place : root_of(keys).items) {
    const PickleValue& key = keys.values[place];
    const std::string name(key.text);
    const std::string where = file + ": storage '" + printable(name) + "'";
    const auto element = element_sizes.find(name);
    if (key.kind != PickleKind::kText || element == element_sizes.end()) {
      throw InputError(where + " belongs to no tensor");
    }
    if (bytes.size - position < 8) throw InputError(where + " is cut off (truncated?)");
    uint64_t count = 0;
    std::memcpy(&count, bytes.data + position, 8);
    position += 8;
    if (count > (bytes.size - position) / element->second) {
      throw InputError(where + " claims " + std::to_string(count) +
                       " elements, more than the file" + " holds (truncated?)");
    }
    if (!ranges.emplace(name, Range{position, count * element->second}).second) {
      throw InputError(where + " stands twice");
    }
    position += count * element->second;
  }
  if (position != bytes.size) {
    throw InputError(file + ": " + std::to_string(bytes.size - position) +
                     " bytes after the last storage belong to none");
  }
  const auto find_storage = [&](const std::string& key) -> std::optional<Range> {
    const auto found = ranges.find(key);
    if (found == ranges.end()) return std::nullopt;
    return found->second;
  };
  return tensors_of(bytes, objects, find_storage, file);
}

TensorMap read_bytes(const FileBytes& bytes, const std::string& file) {
  if (bytes.view().starts_with(kZipStart)) return read_zip(bytes, file);
  if (bytes.view().starts_with(kLegacyStart)) return read_legacy(bytes, file);
  throw InputError(file +
                   ": torch.save did not write this: expected a zip archive, or the older format's "
                   "mark (truncated?)");
}

}  // namespace

bool is_pickle_weights(std::string_view first_bytes) {
  return first_bytes.starts_with(kZipStart) || first_bytes.starts_with(kLegacyStart);
}

PickleWeightsFile read_pickle_weights(const std::filesystem::path& path) {
  const auto mapping = std::make_shared<const MappedFile>(path);
  return {read_bytes({mapping->data(), mapping->size(), mapping}, path.string()), mapping};
}

TensorMap parse_pickle_weights(std::string bytes, const std::string& file) {
  const auto owner = std::make_shared<std::string>(std::move(bytes));
  return read_bytes({owner->data(), owner->size(), owner}, file);
}

}  // namespace limewash::models
