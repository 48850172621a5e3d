// Attention by blocks against LibTorch's own operator. Run twice: as the processor has it, and
// without AMX.

#include "models/blocked_attention.h"

#include <array>
#include <cmath>
#include <limits>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "models/fused_attention.h"
#include "tests/models/difference.h"

namespace limewash::models {
namespace {

struct Case {
  int64_t batch, heads, queries, keys, width;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.batch << "x" << c.heads << " heads, " << c.queries << " queries, " << c.keys
             << " keys, width " << c.width;
}

/// [N, heads, L, d] as the layers hand it over: the heads of a token lie side by side.
at::Tensor tokens(const Case& c, int64_t length, uint64_t seed) {
  return at::randn({c.batch, length, c.heads, c.width}, at::detail::createCPUGenerator(seed))
      .transpose(1, 2);
}

/// Output and the gradients of query, key and value.
using Result = std::array<at::Tensor, 4>;

template <class Attention>
Result forward_backward(const Attention& attention,
                        const std::array<at::Tensor, 3>& inputs,
                        const at::Tensor& probe) {
  std::array<at::Tensor, 3> leaves;
  for (size_t i = 0; i < 3; ++i) leaves[i] = inputs[i].detach().set_requires_grad(true);
  const at::Tensor output = attention(leaves[0], leaves[1], leaves[2]);
  output.backward(probe.to(output.scalar_type()));
  return {output.detach(), leaves[0].grad(), leaves[1].grad(), leaves[2].grad()};
}

at::Tensor ordinary(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value) {
  return at::scaled_dot_product_attention(query, key, value);
}

std::array<at::Tensor, 3> inputs_of(const Case& c, at::ScalarType type) {
  return {tokens(c, c.queries, 1).to(type),
          tokens(c, c.keys, 2).to(type),
          tokens(c, c.keys, 3).to(type)};
}

Result ordinary_in_double(const std::array<at::Tensor, 3>& inputs, const at::Tensor& probe) {
  return forward_backward(
      ordinary,
      {inputs[0].to(at::kDouble), inputs[1].to(at::kDouble), inputs[2].to(at::kDouble)},
      probe.to(at::kDouble));
}

class BlockedAttention : public testing::TestWithParam<Case> {};

TEST_P(BlockedAttention, IsTheOrdinaryOneWithItsGradients) {
  const Case c = GetParam();
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto inputs = inputs_of(c, type);
    if (!blocked_attention_takes(inputs[0])) continue;  // without oneDNN
    const at::Tensor probe = tokens(c, c.queries, 4).to(type);
    const auto got = forward_backward(blocked_attention, inputs, probe);
    const auto wanted = ordinary_in_double(inputs, probe);
    const double bound = type == at::kFloat ? 1e-5 : 2e-2;
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].scalar_type(), type);
      EXPECT_LT(relative_difference(got[i], wanted[i]), bound) << type << " " << i;
    }
    torch::NoGradGuard no_grad;
    EXPECT_TRUE(at::equal(blocked_attention(inputs[0], inputs[1], inputs[2]), got[0])) << type;
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes,
                         BlockedAttention,
                         testing::Values(Case{1, 8, 1024, 1024, 40},
                                         Case{2, 3, 700, 900, 17},  // blocks that end short
                                         Case{1, 2, 300, 4099, 24},
                                         Case{2, 2, 129, 31, 5},  // odd everywhere
                                         Case{1, 3, 257, 513, 33},
                                         Case{2, 8, 256, 77, 80},
                                         Case{3, 5, 64, 16, 160},
                                         Case{2, 4, 33, 3, 8},
                                         Case{1, 1, 1, 5, 64}));

TEST(BlockedAttention, ReadsTensorsAsTheyLie) {
  const Case c{3, 2, 150, 300, 24};
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    auto inputs = inputs_of(c, type);
    if (!blocked_attention_takes(inputs[0])) continue;  // without oneDNN
    const at::Tensor probe = tokens(c, c.queries, 4).to(type);
    // Of a query every second number, keys that all samples share, values head after head.
    const at::Tensor wide = tokens({3, 2, 150, 300, 48}, c.queries, 5).to(type);
    inputs = {wide.slice(3, 0, 48, 2),
              inputs[1].narrow(0, 0, 1).expand_as(inputs[1]),
              inputs[2].contiguous()};
    const auto got = forward_backward(blocked_attention, inputs, probe.contiguous());
    const auto same =
        forward_backward(blocked_attention,
                         {inputs[0].contiguous(), inputs[1].contiguous(), inputs[2].contiguous()},
                         probe);
    for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(at::equal(got[i], same[i])) << i;
    const auto wanted = ordinary_in_double(inputs, probe);
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_LT(relative_difference(got[i], wanted[i]), type == at::kFloat ? 1e-5 : 2e-2) << i;
    }
  }
}

TEST(BlockedAttention, GivesTheSameNumbersForAnyNumberOfThreads) {
  const Case c{1, 3, 900, 900, 40};
  const int threads = at::get_num_threads();
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto inputs = inputs_of(c, type);
    if (!blocked_attention_takes(inputs[0])) continue;  // without oneDNN
    const at::Tensor probe = tokens(c, c.queries, 4).to(type);
    at::set_num_threads(1);
    const auto one = forward_backward(blocked_attention, inputs, probe);
    at::set_num_threads(4);
    const auto four = forward_backward(blocked_attention, inputs, probe);
    at::set_num_threads(threads);
    for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], four[i])) << i;
  }
}

TEST(BlockedAttention, TakesScoresWhoseExponentialsOverflow) {
  const Case c{1, 2, 70, 90, 16};
  auto inputs = inputs_of(c, at::kFloat);
  if (!blocked_attention_takes(inputs[0])) GTEST_SKIP() << "without oneDNN";
  for (auto& input : inputs) input = input * 30;
  const at::Tensor probe = tokens(c, c.queries, 4);
  const auto got = forward_backward(blocked_attention, inputs, probe);
  const auto wanted = ordinary_in_double(inputs, probe);
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_LT(relative_difference(got[i], wanted[i]), 1e-3) << i;
  }
}

TEST(BlockedAttention, TakesScoresOfAnySize) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const double size : {1e2, 1e4, 1e7, 1e9}) {
      // All keys are alike: whatever their score, the output is the mean of the values.
      const Case c{1, 2, 40, 300, 40};
      auto inputs = inputs_of(c, type);
      if (!blocked_attention_takes(inputs[0])) continue;  // without oneDNN
      inputs[0] = inputs[0] * std::sqrt(size);
      inputs[1] = (inputs[1].narrow(2, 0, 1) * std::sqrt(size)).expand_as(inputs[1]);
      const auto output = blocked_attention(inputs[0], inputs[1], inputs[2]);
      const auto mean = inputs[2].to(at::kDouble).mean(2, /*keepdim=*/true).expand_as(output);
      EXPECT_LT(relative_difference(output, mean), type == at::kFloat ? 1e-5 : 2e-2)
          << type << " " << size;
    }
  }
}

TEST(BlockedAttention, LeavesOutKeysWhoseScoreIsMinusInfinity) {
  const Case c{1, 2, 40, 600, 16};
  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    auto inputs = inputs_of(c, type);
    if (!blocked_attention_takes(inputs[0])) continue;  // without oneDNN
    inputs[0].select(3, 0).fill_(1);
    inputs[1].select(3, 0).narrow(2, 0, 300).fill_(-infinity);  // more than the first block
    const auto output = blocked_attention(inputs[0], inputs[1], inputs[2]);
    const auto others = ordinary(inputs[0].to(at::kDouble),
                                 inputs[1].narrow(2, 300, 300).to(at::kDouble),
                                 inputs[2].narrow(2, 300, 300).to(at::kDouble));
    EXPECT_LT(relative_difference(output, others), type == at::kFloat ? 1e-5 : 2e-2) << type;
    inputs[1].select(3, 0).fill_(-infinity);
    EXPECT_TRUE(blocked_attention(inputs[0], inputs[1], inputs[2]).isnan().all().item<bool>() ||
                !fused_attention_takes(inputs[0]))
        << type;
  }
}

TEST(BlockedAttention, InBfloat16RoundsTheScoresOfSharpQueriesAtMost) {
  const Case c{1, 4, 600, 600, 40};
  auto inputs = inputs_of(c, at::kBFloat16);
  if (!blocked_attention_takes(inputs[0])) GTEST_SKIP() << "without oneDNN";
  inputs[0] = inputs[0] * 4;  // scores that deviate by 4
  const at::Tensor probe = tokens(c, c.queries, 4).to(at::kBFloat16);
  const auto got = forward_backward(blocked_attention, inputs, probe);
  const auto wanted = ordinary_in_double(inputs, probe);
  for (size_t i = 0; i < got.size(); ++i) {
    const auto difference = got[i].to(at::kDouble) - wanted[i];
    // Fused, the scores are float32: what is left is the rounding of weights and results.
    EXPECT_LT((difference.norm() / wanted[i].norm()).item<double>(),
              fused_attention_takes(inputs[0]) ? 0.005 : 0.025)
        << i;
  }
}

TEST(BlockedAttention, KeepsANumberThatIsNone) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    auto inputs = inputs_of({1, 2, 40, 80, 8}, type);
    if (!blocked_attention_takes(inputs[0])) continue;  // without oneDNN
    inputs[0] = inputs[0].clone();
    inputs[0][0][1][7][3] = std::numeric_limits<float>::quiet_NaN();
    const auto output = blocked_attention(inputs[0], inputs[1], inputs[2]);
    EXPECT_TRUE(output[0][1][7].isnan().all().item<bool>()) << type;
    auto others = output.clone();
    others[0][1][7].zero_();
    EXPECT_FALSE(others.isnan().any().item<bool>()) << type;
  }
}

}  // namespace
}  // namespace limewash::models
