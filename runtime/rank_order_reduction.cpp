#include "runtime/rank_order_reduction.h"

#include <cmath>
#include <type_traits>
#include <vector>

#include <c10/core/ScalarType.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>
#include <c10/util/Half.h>

namespace limewash {

namespace {

template <class T>
constexpr bool kHasFraction =
    std::is_floating_point_v<T> || std::is_same_v<T, c10::Half> || std::is_same_v<T, c10::BFloat16>;

// What sums are added in. Unsigned, since an overflow of signed integers is undefined.
template <class T>
using Total = std::conditional_t<kHasFraction<T>, double, uint64_t>;

template <class T>
void add(const std::vector<const void*>& parts, void* out, int64_t count, bool average) {
  auto* results = static_cast<T*>(out);
  for (int64_t i = 0; i < count; ++i) {
    Total<T> total = 0;
    for (const void* part : parts) total += static_cast<Total<T>>(static_cast<const T*>(part)[i]);
    if (average) total /= static_cast<Total<T>>(parts.size());
    results[i] = static_cast<T>(total);
  }
}

template <class T, class Better>
void choose(const std::vector<const void*>& parts, void* out, int64_t count, Better better) {
  auto* results = static_cast<T*>(out);
  for (int64_t i = 0; i < count; ++i) {
    T chosen = static_cast<const T*>(parts.front())[i];
    for (const void* part : parts) {
      const T value = static_cast<const T*>(part)[i];
      bool is_nan = false;
      if constexpr (kHasFraction<T>) is_nan = std::isnan(static_cast<float>(value));
      if (is_nan || better(value, chosen)) chosen = value;
    }
    results[i] = chosen;
  }
}

template <class T>
ReduceParts reduction_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::kSum:
    case Reduction::kAverage:
      return
          [average = reduction == Reduction::kAverage](
              const auto& parts, void* out, int64_t count) { add<T>(parts, out, count, average); };
    case Reduction::kMinimum:
      return [](const auto& parts, void* out, int64_t count) {
        choose<T>(parts, out, count, [](T value, T than) { return value < than; });
      };
    case Reduction::kMaximum:
      return [](const auto& parts, void* out, int64_t count) {
        choose<T>(parts, out, count, [](T value, T than) { return value > than; });
      };
  }
  TORCH_INTERNAL_ASSERT(false, "a reduction of number ", static_cast<int>(reduction));
}

}  // namespace

ReduceParts rank_order_reduction(Reduction reduction,
                                 c10::ScalarType type,
                                 const std::string& operation) {
  TORCH_CHECK(reduction != Reduction::kAverage || c10::isFloatingType(type),
              operation,
              ": an average needs a type with a fraction, got ",
              type);
  switch (type) {
    case c10::ScalarType::Float:
      return reduction_of<float>(reduction);
    case c10::ScalarType::Double:
      return reduction_of<double>(reduction);
    case c10::ScalarType::Half:
      return reduction_of<c10::Half>(reduction);
    case c10::ScalarType::BFloat16:
      return reduction_of<c10::BFloat16>(reduction);
    case c10::ScalarType::Byte:
      return reduction_of<uint8_t>(reduction);
    case c10::ScalarType::Char:
      return reduction_of<int8_t>(reduction);
    case c10::ScalarType::Short:
      return reduction_of<int16_t>(reduction);
    case c10::ScalarType::Int:
      return reduction_of<int32_t>(reduction);
    case c10::ScalarType::Long:
      return reduction_of<int64_t>(reduction);
    case c10::ScalarType::Bool:
      return reduction_of<bool>(reduction);
    default:
      TORCH_CHECK(false,
                  operation,
                  ": expected float32, float64, float16, bfloat16, an integer or bool, got ",
                  type);
  }
}

}  // namespace limewash
