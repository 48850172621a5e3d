#include "trainer/flat_parameters.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace limewash::trainer {
namespace {

std::vector<models::NamedParameter> two_parameters() {
  return {{"first", torch::full({2, 3}, 2.0).requires_grad_(true)},
          {"second", torch::full({4}, 3.0).requires_grad_(true)}};
}

TEST(FlatParameters, KeepsValuesAndSharesStorage) {
  auto parameters = two_parameters();
  FlatParameters flat(parameters, 1);
  EXPECT_EQ(flat.size(), 10);
  EXPECT_TRUE(torch::equal(parameters[0].tensor.detach(), torch::full({2, 3}, 2.0)));
  torch::NoGradGuard no_grad;
  flat.values().fill_(7.0);
  EXPECT_TRUE(torch::equal(parameters[1].tensor.detach(), torch::full({4}, 7.0)));
}

TEST(FlatParameters, CollectsGradientsOfSeveralBackwardPasses) {
  auto parameters = two_parameters();
  FlatParameters flat(parameters, 2);
  for (int pass = 0; pass < 3; ++pass) {
    (parameters[0].tensor.sum() * 2 + parameters[1].tensor.square().sum()).backward();
  }
  const auto expected = torch::cat({torch::full({6}, 6.0), torch::full({4}, 18.0)});
  EXPECT_TRUE(torch::allclose(flat.gradients(), expected));
  EXPECT_TRUE(torch::equal(flat.tail(), torch::zeros({2})));
  flat.zero();
  EXPECT_TRUE(torch::equal(parameters[0].tensor.grad(), torch::zeros({2, 3})));
}

TEST(FlatParameters, GivesBackWhatIsNoLongerTrained) {
  const auto kernel =
      torch::rand({4, 3, 3, 3}).contiguous(at::MemoryFormat::ChannelsLast).requires_grad_(true);
  const auto before = kernel.detach().clone();
  auto parameters = two_parameters();
  parameters.push_back({"kernel", kernel});
  FlatParameters flat(parameters, 1);
  EXPECT_FALSE(kernel.is_contiguous(at::MemoryFormat::ChannelsLast));
  parameters[0].tensor.set_requires_grad(false);
  parameters[2].tensor.set_requires_grad(false);
  flat.give_back_frozen();
  EXPECT_TRUE(kernel.is_contiguous(at::MemoryFormat::ChannelsLast)) << "as layers make it";
  EXPECT_TRUE(torch::equal(kernel, before));
  torch::NoGradGuard no_grad;
  flat.values().fill_(7.0);
  EXPECT_TRUE(torch::equal(kernel, before)) << "it has left the buffer";
  EXPECT_TRUE(torch::equal(parameters[0].tensor, torch::full({2, 3}, 2.0)));
  EXPECT_TRUE(torch::equal(parameters[1].tensor, torch::full({4}, 7.0)));
}

TEST(FlatParameters, NamesTheLayout) {
  EXPECT_EQ(layout_of(two_parameters()), "first:[2, 3]\nsecond:[4]\n");
}

}  // namespace
}  // namespace limewash::trainer
