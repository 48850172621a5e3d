#include "models/safetensors.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "models/mapped_file.h"
#include "models/safetensors_header.h"
#include "models/strict_json.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::models {

namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;

struct NamedDtype {
  const char* name;
  at::ScalarType type;
};

constexpr NamedDtype kDtypes[] = {
    {"F32", at::kFloat},
    {"F16", at::kHalf},
    {"BF16", at::kBFloat16},
    {"F64", at::kDouble},
    {"I64", at::kLong},
    {"I32", at::kInt},
    {"I16", at::kShort},
    {"I8", at::kChar},
    {"U8", at::kByte},
    {"U16", at::kUInt16},
    {"U32", at::kUInt32},
    {"U64", at::kUInt64},
    {"BOOL", at::kBool},
    {"F8_E4M3", at::kFloat8_e4m3fn},
    {"F8_E5M2", at::kFloat8_e5m2},
};

at::ScalarType dtype_from_name(const std::string& name, const std::string& where) {
  for (const auto& dtype : kDtypes) {
    if (name == dtype.name) return dtype.type;
  }
  throw InputError(where + ": unknown dtype '" + printable(name) + "'");
}

const char* dtype_name(at::ScalarType type, const std::string& where) {
  for (const auto& dtype : kDtypes) {
    if (type == dtype.type) return dtype.name;
  }
  throw InputError(where + ": safetensors cannot hold the dtype " + at::toString(type));
}

/// Bytes of a tensor. Dimensions beyond 2^40 and products beyond 2^62 are refused, also beside a
/// zero.
uint64_t byte_count(const std::vector<uint64_t>& shape,
                    uint64_t element_size,
                    const std::string& where) {
  constexpr uint64_t kMaxDimension = uint64_t{1} << 40;
  uint64_t product = element_size, nonzero = element_size;
  for (const uint64_t size : shape) {
    if (size > kMaxDimension ||
        __builtin_mul_overflow(nonzero, std::max<uint64_t>(size, 1), &nonzero) ||
        nonzero > uint64_t{1} << 62) {
      throw InputError(where + ": the shape is impossibly large");
    }
    product *= size;
  }
  return product;
}

at::Tensor tensor_in_mapping(const std::shared_ptr<const MappedFile>& mapping,
                             uint64_t offset,
                             uint64_t bytes,
                             const std::vector<int64_t>& sizes,
                             at::ScalarType type,
                             const std::string& where) {
  const auto options = at::TensorOptions().dtype(type);
  if (bytes == 0) return at::empty(sizes, options);
  char* data = mapping->data() + offset;
  if (type == at::kBool) check_booleans(data, bytes, where);
  if (reinterpret_cast<uintptr_t>(data) % at::elementSize(type) != 0) {
    at::Tensor copy = at::empty(sizes, options);
    std::memcpy(copy.data_ptr(), data, bytes);
    return copy;
  }
  return at::from_blob(
      data, sizes, [mapping](void*) {}, options);
}

}  // namespace

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  const auto mapping = std::make_shared<const MappedFile>(path);
  const std::string name = path.string();
  if (mapping->size() < 8) {
    throw InputError(name + ": " + std::to_string(mapping->size()) +
                     " bytes: too short for a safetensors file (truncated?)");
  }
  uint64_t header_size = 0;
  for (int byte = 7; byte >= 0; --byte) {
    header_size = header_size << 8 | static_cast<unsigned char>(mapping->data()[byte]);
  }
  if (header_size > mapping->size() - 8 || header_size > kMaxHeaderBytes) {
    throw InputError(name + ": the header claims " + std::to_string(header_size) +
                     " bytes, the file has " + std::to_string(mapping->size() - 8) +
                     " and at most " + std::to_string(kMaxHeaderBytes) +
                     " are allowed (no safetensors file, or truncated)");
  }
  const SafetensorsHeader header =
      parse_safetensors_header({mapping->data() + 8, header_size}, name);

  const uint64_t data_start = 8 + header_size;
  const uint64_t data_size = mapping->size() - data_start;
  SafetensorsFile file;
  file.metadata = header.metadata;
  file.mapping = mapping;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const auto& [key, entry] : header.tensors) {
    const std::string where = name + ": " + printable(key);
    const at::ScalarType type = dtype_from_name(entry.dtype, where);
    const uint64_t bytes = byte_count(entry.shape, at::elementSize(type), where);
    if (entry.begin > entry.end || entry.end > data_size) {
      throw InputError(where + ": data_offsets [" + std::to_string(entry.begin) + ", " +
                       std::to_string(entry.end) + "] lie outside the " +
                       std::to_string(data_size) + " bytes of data (truncated?)");
    }
    if (entry.end - entry.begin != bytes) {
      throw InputError(where + ": data_offsets span " + std::to_string(entry.end - entry.begin) +
                       " bytes, dtype and shape need " + std::to_string(bytes));
    }
    ranges.emplace_back(entry.begin, entry.end);
    const std::vector<int64_t> sizes(entry.shape.begin(), entry.shape.end());
    file.tensors.emplace(
        key, tensor_in_mapping(mapping, data_start + entry.begin, bytes, sizes, type, where));
  }
  std::sort(ranges.begin(), ranges.end());
  uint64_t covered = 0;
  for (const auto& [begin, end] : ranges) {
    if (begin != covered) {
      throw InputError(name + ": the data has " + (begin < covered ? "an overlap" : "a gap") +
                       " at byte " + std::to_string(begin));
    }
    covered = end;
  }
  if (covered != data_size) {
    throw InputError(name + ": " + std::to_string(data_size - covered) +
                     " bytes after the last tensor belong to none");
  }
  return file;
}

void write_safetensors(const std::filesystem::path& path,
                       const TensorMap& tensors,
                       const std::map<std::string, std::string>& metadata,
                       std::optional<at::ScalarType> dtype) {
  const auto written_type = [&](const at::Tensor& tensor) {
    return dtype && at::isFloatingType(tensor.scalar_type()) ? *dtype : tensor.scalar_type();
  };
  nlohmann::json header = nlohmann::json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const auto& [key, tensor] : tensors) {
    const std::string where = path.string() + ": " + printable(key);
    if (key == "__metadata__") throw InputError(where + ": no tensor may have this name");
    const at::ScalarType type = written_type(tensor);
    const uint64_t end = offset + static_cast<uint64_t>(tensor.numel()) * at::elementSize(type);
    header[key] = {{"dtype", dtype_name(type, where)},
                   {"shape", tensor.sizes().vec()},
                   {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& error) {
    throw InputError(path.string() +
                     ": a name or metadata is not UTF-8: " + printable(error.what()));
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string start;
  for (int byte = 0; byte < 8; ++byte) {
    start += static_cast<char>(static_cast<uint64_t>(text.size()) >> (8 * byte) & 0xff);
  }
  start += text;
  write_file_atomically(path, [&](const WriteBytes& write) {
    write(start);
    for (const auto& [key, tensor] : tensors) {
      const at::Tensor bytes = tensor.detach().to(at::kCPU, written_type(tensor)).contiguous();
      write({static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes()});
    }
  });
}

}  // namespace limewash::models
