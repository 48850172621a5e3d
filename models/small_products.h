#pragma once
// Small products on one thread: LibTorch's `brgemm`, which is oneDNN's (bfloat16 on AMX), the
// layout of their sides, and the memory that they work in. For kernels' own loops; nothing here is
// differentiable.

#include <cstdint>

#include <ATen/native/CPUBlas.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include "models/kernel_numbers.h"

namespace limewash::models {

inline int64_t rounded_up(int64_t number, int64_t multiple) {
  return (number + multiple - 1) / multiple * multiple;
}

/// Whether those of bfloat16 run on AMX: LibTorch packs for them then.
inline bool small_products_use_amx() {
  return at::native::cpublas::could_pack(at::kBFloat16);
}

/// `left` [M, K] times `right` [K, N], laid out as models/attention_kernel.h says, to or added to
/// [M, N].
template <class Number>
struct Product;

template <>
struct Product<float> {
  static constexpr int64_t kDepth = 1;  ///< K is a multiple of it
  int64_t rows, columns, depth;

  void operator()(const float* left, const float* right, float* to, bool add) const {
    at::native::cpublas::brgemm(
        rows, columns, depth, depth, columns, columns, add, left, right, to, /*is_vnni=*/false);
  }
};

template <>
struct Product<Bfloat16Bits> {
  static constexpr int64_t kDepth = 32;  // one AMX tile: no numbers behind the last are read
  int64_t rows, columns, depth;

  void operator()(const Bfloat16Bits* left, const Bfloat16Bits* right, float* to, bool add) const {
    at::native::cpublas::brgemm(rows,
                                columns,
                                depth,
                                depth,
                                columns,
                                columns,
                                add,
                                reinterpret_cast<const at::BFloat16*>(left),
                                reinterpret_cast<const at::BFloat16*>(right),
                                to,
                                /*is_vnni=*/true);
  }
};

template <class Number>
int64_t padded(int64_t depth) {
  return rounded_up(depth, Product<Number>::kDepth);
}

/// What the products set up in the processor (AMX tiles), given back at the end of a thread's work.
template <class Number>
class ProductsScope {
 public:
  ProductsScope() = default;
  ProductsScope(const ProductsScope&) = delete;
  ProductsScope& operator=(const ProductsScope&) = delete;
  ~ProductsScope() {
    at::native::cpublas::brgemm_release(/*is_vnni=*/Product<Number>::kDepth > 1);
  }
};

/// Memory for numbers of a thread, handed out in pieces.
class Workspace {
 public:
  explicit Workspace(int64_t bytes) : bytes_(at::empty({bytes}, at::kByte)) {}

  /// Room for `count` numbers, aligned to a cache line.
  template <class T>
  T* take(int64_t count) {
    auto* piece = reinterpret_cast<T*>(bytes_.data_ptr<uint8_t>() + used_);
    used_ += size_of<T>(count);
    TORCH_INTERNAL_ASSERT(used_ <= bytes_.numel());
    return piece;
  }
  /// What a piece takes.
  template <class T>
  static int64_t size_of(int64_t count) {
    return rounded_up(count * static_cast<int64_t>(sizeof(T)), 64);
  }

 private:
  at::Tensor bytes_;
  int64_t used_ = 0;
};

/// Call `body(Number())` for the type of the tensor's numbers as kernels see them.
template <class Body>
void with_number(const at::Tensor& tensor, const Body& body) {
  if (tensor.scalar_type() == at::kBFloat16) {
    body(Bfloat16Bits());
  } else {
    body(float());
  }
}

}  // namespace limewash::models
