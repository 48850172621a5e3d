#pragma once
// Include after <torch/torch.h>. Golden tensors of tests/golden, made by the reference libraries,
// and comparison with them.

#include <algorithm>
#include <filesystem>
#include <string>
#include <unistd.h>

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "models/safetensors.h"

namespace limewash::models {

inline std::filesystem::path golden_path(const std::string& name) {
  return std::filesystem::path(LIMEWASH_SOURCE_DIR) / "tests/golden" / name;
}

inline TensorMap golden(const std::string& name) {
  return read_safetensors(golden_path(name + ".safetensors")).tensors;
}

/// The largest difference, relative to the largest expected value but to no less than 1.
inline double largest_difference(const at::Tensor& actual, const at::Tensor& expected) {
  const at::Tensor wanted = expected.to(at::kFloat);
  const double scale = std::max(1.0, wanted.abs().max().item<double>());
  return (actual.detach() - wanted).abs().max().item<double>() / scale;
}

inline void expect_close(const at::Tensor& actual,
                         const at::Tensor& expected,
                         double tolerance = 1e-5) {
  ASSERT_TRUE(actual.defined());
  ASSERT_EQ(actual.sizes(), expected.sizes());
  EXPECT_LE(largest_difference(actual, expected), tolerance);
}

/// A folder for one test's files, removed with it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("limewash-models-" + std::to_string(::getpid()) + "-" + std::to_string(++count));
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::filesystem::remove_all(path_);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const {
    return path_;
  }

 private:
  std::filesystem::path path_;
};

/// The message of the `Error` that `action` throws; a test failure when it throws none.
template <class Error, class Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace limewash::models
