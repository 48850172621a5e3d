#pragma once
// What the names mean that a pickle of weights may hold.

#include <optional>
#include <string_view>

#include <c10/core/ScalarType.h>

namespace limewash::models {

enum class PickleRole {
  kOrderedDict,
  kRebuildTensor,     ///< torch._utils._rebuild_tensor(storage, offset, size, stride)
  kRebuildTensorV2,   ///< … and requires_grad, backward_hooks
  kRebuildTensorV3,   ///< … and the dtype
  kRebuildParameter,  ///< torch._utils._rebuild_parameter(tensor, requires_grad, backward_hooks)
  kSize,              ///< torch.Size
  kSet,
  kDtype,           ///< torch.float16 and its like
  kTypedStorage,    ///< torch.HalfStorage and its like
  kUntypedStorage,  ///< torch.UntypedStorage
  kForeign,         ///< of a training framework: a value without meaning
};

/// None for a name that is on no list.
std::optional<PickleRole> pickle_role(std::string_view module, std::string_view name);

/// The type of the elements of a kDtype or kTypedStorage.
at::ScalarType pickle_dtype(std::string_view name);

}  // namespace limewash::models
