#pragma once
// What all communicators ask of their arguments.

namespace at {
class Tensor;
}

namespace limewash {

/// Throws c10::Error unless `tensor` is contiguous and float32 or float64.
void check_reducible(const at::Tensor& tensor);

/// Throws c10::Error unless `root` is one of `size` ranks.
void check_root(int root, int size);

}  // namespace limewash
