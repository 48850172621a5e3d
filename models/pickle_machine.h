#pragma once
// Reads the pickles that torch.save writes without executing anything: no name of a pickle is ever
// looked up or called. A fixed list of names has a meaning (tensors, storages, dtypes, ordered
// dictionaries), a second list of training frameworks' names becomes values without one, and every
// other name is refused.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <c10/core/ScalarType.h>

namespace limewash::models {

enum class PickleKind : uint8_t {
  kNone,
  kBoolean,
  kInteger,
  kLong,  ///< an integer of more than 8 bytes
  kFloat,
  kText,
  kBytes,
  kList,
  kTuple,
  kDict,
  kGlobal,
  kStorage,
  kTensor,
  kForeign,  ///< an object of a training framework: known by name only
};

struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  int64_t integer = 0;          ///< also the place in Pickle::storages or Pickle::tensors
  std::string_view text;        ///< text, bytes, a long's bytes; a global's module
  std::string_view name;        ///< a global's name
  std::vector<uint32_t> items;  ///< places in Pickle::values; a dict's keys and values in turn
};

struct PickledStorage {
  std::string_view key;
  at::ScalarType dtype = at::ScalarType::Byte;
  uint64_t bytes = 0;
};

struct PickledTensor {
  size_t storage = 0;  ///< place in Pickle::storages
  at::ScalarType dtype = at::ScalarType::Byte;
  uint64_t byte_offset = 0;
  std::vector<int64_t> sizes, strides;
};

/// What one pickle came to. Texts point into its bytes.
struct Pickle {
  std::vector<PickleValue> values;
  std::vector<PickledStorage> storages;
  std::vector<PickledTensor> tensors;
  uint32_t root = 0;
  uint64_t bytes_used = 0;  ///< another pickle may follow
};

/// Read one pickle of protocol 2 to 5. Time and memory are in proportion to `bytes`; tensors lie
/// inside of their storages and have no more elements than these. Throws InputError beginning with
/// `where`: for a name outside of the lists it names it, for anything broken the byte.
Pickle read_pickle(std::string_view bytes, const std::string& where);

}  // namespace limewash::models
