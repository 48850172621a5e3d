#include "runtime/out_of_memory.h"

#include <new>
#include <stdexcept>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "runtime/error.h"

namespace limewash {
namespace {

TEST(OutOfMemory, IsToldApartFromOtherErrorsOfLibTorch) {
  try {
    at::empty({int64_t{1} << 60}, at::kFloat);
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_TRUE(is_out_of_memory(error)) << error.what();
  }
  try {
    at::empty({2}).view({3});
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_FALSE(is_out_of_memory(error)) << error.what();
  }
}

TEST(OutOfMemory, KnowsTheLanguagesOwn) {
  EXPECT_TRUE(is_out_of_memory(std::bad_alloc()));
  EXPECT_TRUE(is_out_of_memory(InputError("another rank: std::bad_alloc")));
  EXPECT_FALSE(is_out_of_memory(InputError("disk full")));
}

}  // namespace
}  // namespace limewash
