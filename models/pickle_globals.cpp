#include "models/pickle_globals.h"

#include <algorithm>
#include <array>

namespace limewash::models {

namespace {

struct NamedDtype {
  std::string_view storage;  ///< "" when torch has no such storage class
  std::string_view dtype;
  at::ScalarType type;
};

constexpr NamedDtype kDtypes[] = {
    {"FloatStorage", "float32", at::ScalarType::Float},
    {"HalfStorage", "float16", at::ScalarType::Half},
    {"BFloat16Storage", "bfloat16", at::ScalarType::BFloat16},
    {"DoubleStorage", "float64", at::ScalarType::Double},
    {"LongStorage", "int64", at::ScalarType::Long},
    {"IntStorage", "int32", at::ScalarType::Int},
    {"ShortStorage", "int16", at::ScalarType::Short},
    {"CharStorage", "int8", at::ScalarType::Char},
    {"ByteStorage", "uint8", at::ScalarType::Byte},
    {"BoolStorage", "bool", at::ScalarType::Bool},
    {"", "uint16", at::ScalarType::UInt16},
    {"", "uint32", at::ScalarType::UInt32},
    {"", "uint64", at::ScalarType::UInt64},
    {"", "float8_e4m3fn", at::ScalarType::Float8_e4m3fn},
    {"", "float8_e5m2", at::ScalarType::Float8_e5m2},
};

struct NamedRole {
  std::string_view module, name;
  PickleRole role;
};

constexpr NamedRole kRoles[] = {
    {"collections", "OrderedDict", PickleRole::kOrderedDict},
    {"torch._utils", "_rebuild_tensor", PickleRole::kRebuildTensor},
    {"torch._utils", "_rebuild_tensor_v2", PickleRole::kRebuildTensorV2},
    {"torch._utils", "_rebuild_tensor_v3", PickleRole::kRebuildTensorV3},
    {"torch._utils", "_rebuild_parameter", PickleRole::kRebuildParameter},
    {"torch", "Size", PickleRole::kSize},
    {"builtins", "set", PickleRole::kSet},
    {"__builtin__", "set", PickleRole::kSet},
    {"torch", "UntypedStorage", PickleRole::kUntypedStorage},
    {"torch.storage", "UntypedStorage", PickleRole::kUntypedStorage},
    // What training frameworks leave beside the weights of public checkpoints.
    {"torch", "device", PickleRole::kForeign},
    {"numpy", "dtype", PickleRole::kForeign},
    {"numpy", "ndarray", PickleRole::kForeign},
    {"numpy.core.multiarray", "scalar", PickleRole::kForeign},
    {"numpy.core.multiarray", "_reconstruct", PickleRole::kForeign},
    {"numpy._core.multiarray", "scalar", PickleRole::kForeign},
    {"numpy._core.multiarray", "_reconstruct", PickleRole::kForeign},
    {"_codecs", "encode", PickleRole::kForeign},
    {"argparse", "Namespace", PickleRole::kForeign},
    {"collections", "defaultdict", PickleRole::kForeign},
};

constexpr std::string_view kForeignModules[] = {"pytorch_lightning.", "lightning.", "omegaconf."};

}  // namespace

std::optional<PickleRole> pickle_role(std::string_view module, std::string_view name) {
  for (const auto& known : kRoles) {
    if (module == known.module && name == known.name) return known.role;
  }
  for (const auto& dtype : kDtypes) {
    if (module == "torch" && name == dtype.dtype) return PickleRole::kDtype;
    const bool storage = module == "torch" || module == "torch.cuda";
    if (storage && !dtype.storage.empty() && name == dtype.storage) {
      return PickleRole::kTypedStorage;
    }
  }
  for (const auto prefix : kForeignModules) {
    if (module.starts_with(prefix)) return PickleRole::kForeign;
  }
  return std::nullopt;
}

at::ScalarType pickle_dtype(std::string_view name) {
  const auto* found = std::find_if(std::begin(kDtypes), std::end(kDtypes), [&](const auto& dtype) {
    return name == dtype.dtype || name == dtype.storage;
  });
  return found->type;
}

}  // namespace limewash::models
