#pragma once

#include <exception>

namespace limewash {

/// Whether `error` says that memory has run out: std::bad_alloc, LibTorch's errors of its
/// allocators on CPU and GPU, and those of the libraries below it.
bool is_out_of_memory(const std::exception& error);

}  // namespace limewash
