#include "models/pickle_tensors.h"

#include <optional>

#include "runtime/error.h"

namespace limewash::models {

namespace {

constexpr size_t kMaxDimensions = 16;

/// Reads values as what they should be.
class Arguments {
 public:
  Arguments(const Pickle& pickle, const std::string& where) : pickle_(pickle), where_(where) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(where_ + what);
  }

  const PickleValue& value(uint32_t place) const {
    return pickle_.values[place];
  }

  const std::vector<uint32_t>& tuple(uint32_t place, size_t most, const char* what) const {
    const PickleValue& items = value(place);
    if (items.kind != PickleKind::kTuple || items.items.size() > most) {
      fail(std::string(what) + ": expected a tuple of at most " + std::to_string(most));
    }
    return items.items;
  }

  uint64_t natural(uint32_t place, const char* what) const {
    const PickleValue& number = value(place);
    constexpr int64_t kLargest = int64_t{1} << 48;
    if (number.kind != PickleKind::kInteger || number.integer < 0 || number.integer > kLargest) {
      fail(std::string(what) + " is no number from 0 to 2^48");
    }
    return static_cast<uint64_t>(number.integer);
  }

  std::vector<int64_t> naturals(uint32_t place, const char* what) const {
    std::vector<int64_t> numbers;
    for (const uint32_t item : tuple(place, kMaxDimensions, what)) {
      numbers.push_back(static_cast<int64_t>(natural(item, what)));
    }
    return numbers;
  }

  std::optional<PickleRole> role(uint32_t place) const {
    const PickleValue& global = value(place);
    if (global.kind != PickleKind::kGlobal) return std::nullopt;
    return pickle_role(global.text, global.name);
  }

 private:
  const Pickle& pickle_;
  const std::string& where_;
};

void check_inside(const PickledTensor& tensor,
                  const PickledStorage& storage,
                  uint64_t element,
                  const Arguments& values) {
  uint64_t count = 1, last = 0;
  bool overflow = false, empty = false;
  for (size_t i = 0; i < tensor.sizes.size(); ++i) {
    const auto size = static_cast<uint64_t>(tensor.sizes[i]);
    const auto stride = static_cast<uint64_t>(tensor.strides[i]);
    uint64_t reach = 0;
    empty |= size == 0;
    overflow |= __builtin_mul_overflow(count, size == 0 ? 1 : size, &count);
    overflow |= __builtin_mul_overflow(size == 0 ? 0 : size - 1, stride, &reach);
    overflow |= __builtin_add_overflow(last, reach, &last);
  }
  overflow |= __builtin_mul_overflow(last, element, &last);
  overflow |= __builtin_mul_overflow(count, element, &count);
  overflow |= __builtin_add_overflow(last, tensor.byte_offset + element, &last);
  if (overflow || count > uint64_t{1} << 62) values.fail("a tensor that is impossibly large");
  if (!empty && (last > storage.bytes || count > storage.bytes)) {
    values.fail("a tensor of " + std::to_string(count) + " bytes that reaches to byte " +
                std::to_string(last) + " of a storage of " + std::to_string(storage.bytes));
  }
}

}  // namespace

PickledStorage pickled_storage(const Pickle& pickle, uint32_t place, const std::string& where) {
  const Arguments values(pickle, where);
  const auto& items = values.tuple(place, 6, "a persistent id");
  if (items.size() < 5 || values.value(items[0]).kind != PickleKind::kText ||
      values.value(items[0]).text != "storage") {
    values.fail("a persistent id that is no storage");
  }
  const auto role = values.role(items[1]);
  PickledStorage storage;
  if (role == PickleRole::kTypedStorage) {
    storage.dtype = pickle_dtype(values.value(items[1]).name);
  } else if (role != PickleRole::kUntypedStorage) {
    values.fail("a storage of no storage type");
  }
  if (values.value(items[2]).kind != PickleKind::kText) {
    values.fail("a storage whose key is no text");
  }
  storage.key = values.value(items[2]).text;
  storage.bytes = values.natural(items[4], "a storage's size") * at::elementSize(storage.dtype);
  if (items.size() == 6 && values.value(items[5]).kind != PickleKind::kNone) {
    values.fail("a storage that is a view of another: load it with torch.load and save it again");
  }
  return storage;
}

PickledTensor pickled_tensor(const Pickle& pickle,
                             PickleRole role,
                             const std::vector<uint32_t>& arguments,
                             const std::string& where) {
  const Arguments values(pickle, where);
  const size_t least = role == PickleRole::kRebuildTensor     ? 4
                       : role == PickleRole::kRebuildTensorV2 ? 6
                                                              : 7;
  if (arguments.size() < least || arguments.size() > least + 1 ||
      values.value(arguments[0]).kind != PickleKind::kStorage) {
    values.fail("a tensor that is not made from a storage, offset, size and stride");
  }
  PickledTensor tensor;
  tensor.storage = static_cast<size_t>(values.value(arguments[0]).integer);
  const PickledStorage& storage = pickle.storages[tensor.storage];
  tensor.dtype = storage.dtype;
  if (role == PickleRole::kRebuildTensorV3) {
    if (values.role(arguments[6]) != PickleRole::kDtype) values.fail("a tensor of no dtype");
    tensor.dtype = pickle_dtype(values.value(arguments[6]).name);
  }
  const uint64_t element = at::elementSize(tensor.dtype);
  tensor.byte_offset = values.natural(arguments[1], "a tensor's offset") * element;
  tensor.sizes = values.naturals(arguments[2], "a tensor's size");
  tensor.strides = values.naturals(arguments[3], "a tensor's stride");
  if (tensor.sizes.size() != tensor.strides.size()) values.fail("a tensor with too few strides");
  check_inside(tensor, storage, element, values);
  return tensor;
}

}  // namespace limewash::models
