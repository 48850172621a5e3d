#include "models/device_constant.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace limewash::models {
namespace {

TEST(DeviceConstant, IsItselfOnTheCpuAndCopiedOnceElsewhere) {
  const auto values = torch::tensor({1.0F, 2.0F});
  const DeviceConstant constant(values);
  EXPECT_TRUE(constant.on(at::kCPU).is_same(values));
  // The meta device holds shapes only; it is another device all the same.
  const auto& there = constant.on(at::kMeta);
  EXPECT_TRUE(there.is_meta());
  EXPECT_EQ(there.sizes(), values.sizes());
  const DeviceConstant copy = constant;
  EXPECT_TRUE(copy.on(at::kMeta).is_same(there)) << "copies of a constant share its tensors";
  EXPECT_THROW(DeviceConstant(torch::empty({1}, at::kMeta)), c10::Error);
}

}  // namespace
}  // namespace limewash::models
