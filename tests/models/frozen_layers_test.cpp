// The layers that do without the gradient of their weights, against the ordinary operators.

#include <functional>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "models/frozen_convolution.h"
#include "models/frozen_group_norm.h"
#include "models/frozen_linear.h"
#include "models/geglu.h"
#include "models/onednn.h"
#include "models/patches.h"
#include "tests/models/difference.h"

namespace limewash::models {
namespace {

using Layer = std::function<at::Tensor(const at::Tensor&)>;

at::Tensor drawn(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed));
}

/// In float32 rounding alone; in bfloat16 a few roundings to 8 bits.
double tolerance(at::ScalarType type) {
  return type == at::kFloat ? 1e-5 : 2e-2;
}

struct Result {
  at::Tensor output, input_gradient;
};

Result forward_backward(const Layer& layer, const at::Tensor& input, uint64_t seed) {
  const at::Tensor leaf = input.detach().clone().set_requires_grad(true);
  const at::Tensor output = layer(leaf);
  const at::Tensor probe = drawn(output.sizes(), seed).to(output.scalar_type());
  output.backward(probe);
  return {output.detach(), leaf.grad()};
}

/// `layer` in `input`'s type against `reference` on the same numbers in float32.
void expect_same(const Layer& layer, const Layer& reference, const at::Tensor& input) {
  const double bound = tolerance(input.scalar_type());
  const Result got = forward_backward(layer, input, 77);
  const Result wanted = forward_backward(reference, input.to(at::kFloat), 77);
  EXPECT_EQ(got.output.scalar_type(), input.scalar_type());
  EXPECT_LT(relative_difference(got.output, wanted.output), bound);
  EXPECT_LT(relative_difference(got.input_gradient, wanted.input_gradient), bound);
  torch::NoGradGuard no_grad;
  EXPECT_LT(relative_difference(layer(input), wanted.output), bound);
}

struct Convolution {
  int64_t batch, in, out, height, width, kernel, stride, padding;
  bool bias;
};

class FrozenConvolution : public ::testing::TestWithParam<Convolution> {};

TEST_P(FrozenConvolution, IsTheOrdinaryOneWithItsInputGradient) {
  const Convolution& c = GetParam();
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto input = drawn({c.batch, c.in, c.height, c.width}, 1).to(type);
    const auto weight = (drawn({c.out, c.in, c.kernel, c.kernel}, 2) * 0.05)
                            .to(type)
                            .contiguous(at::MemoryFormat::ChannelsLast);
    const auto bias = c.bias ? drawn({c.out}, 3).to(type) : at::Tensor();
    const auto exact_bias = c.bias ? bias.to(at::kFloat) : at::Tensor();
    expect_same(
        [&](const at::Tensor& x) {
          return frozen_convolution(x, weight, bias, c.stride, c.padding);
        },
        [&](const at::Tensor& x) {
          return at::conv2d(x, weight.to(at::kFloat), exact_bias, c.stride, c.padding);
        },
        input);
    // Whichever layout the picture has.
    expect_same(
        [&](const at::Tensor& x) {
          return frozen_convolution(
              x.contiguous(at::MemoryFormat::ChannelsLast), weight, bias, c.stride, c.padding);
        },
        [&](const at::Tensor& x) {
          return at::conv2d(x, weight.to(at::kFloat), exact_bias, c.stride, c.padding);
        },
        input);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes,
                         FrozenConvolution,
                         ::testing::Values(Convolution{1, 96, 128, 8, 8, 3, 1, 1, true},
                                           Convolution{1, 96, 128, 7, 9, 3, 1, 1, false},
                                           Convolution{2, 65, 130, 9, 7, 3, 2, 1, true},
                                           Convolution{1, 65, 130, 11, 13, 3, 2, 0, true},
                                           Convolution{3, 128, 96, 8, 8, 1, 1, 0, true},
                                           Convolution{1, 40, 24, 33, 31, 3, 1, 1, true},
                                           Convolution{2, 40, 24, 33, 31, 3, 2, 1, true},
                                           Convolution{1, 9, 320, 17, 17, 3, 1, 1, true},
                                           Convolution{1, 320, 4, 17, 17, 3, 1, 1, true},
                                           Convolution{1, 33, 70, 12, 12, 5, 1, 2, true},
                                           Convolution{1, 3, 4, 5, 5, 3, 1, 1, true}));

TEST(FrozenConvolution, OfATrainedWeightGivesItsGradient) {
  const auto input = drawn({1, 96, 8, 8}, 1);
  const auto weight = drawn({128, 96, 3, 3}, 2).contiguous(at::MemoryFormat::ChannelsLast);
  const auto trained = weight.clone().set_requires_grad(true);
  frozen_convolution(input, trained, {}, 1, 1).sum().backward();
  const auto ordinary = weight.clone().set_requires_grad(true);
  at::conv2d(input, ordinary, {}, 1, 1).sum().backward();
  EXPECT_LT(relative_difference(trained.grad(), ordinary.grad()), 1e-5);
}

TEST(Patches, AreTheColumnsOfAConvolutionAndComeBackSummed) {
  for (const auto& [kernel, stride, padding] :
       {PatchShape{3, 1, 1}, PatchShape{3, 2, 1}, PatchShape{3, 2, 0}, PatchShape{2, 1, 0}}) {
    const PatchShape shape{kernel, stride, padding};
    const auto pictures = drawn({2, 5, 7, 9}, 4).contiguous(at::MemoryFormat::ChannelsLast);
    const auto patches = gather_patches(pictures, shape);
    const std::vector<int64_t> k{kernel, kernel}, p{padding, padding}, s{stride, stride};
    const auto columns = at::im2col(pictures, k, {1, 1}, p, s);  // [N, C * k * k, places]
    const auto wanted = columns.view({2, 5, kernel * kernel, -1})
                            .permute({0, 3, 2, 1})
                            .reshape({-1, kernel * kernel * 5});
    EXPECT_TRUE(at::equal(patches, wanted));
    const auto summed = scatter_patches(patches, pictures.sizes(), shape);
    const auto folded = at::col2im(columns, {7, 9}, k, {1, 1}, p, s);
    EXPECT_LT(relative_difference(summed, folded), 1e-6);
  }
}

TEST(FrozenLinear, IsTheOrdinaryOneWithItsInputGradient) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const bool with_bias : {true, false}) {
      const auto weight = (drawn({130, 257}, 2) * 0.05).to(type);
      const auto bias = with_bias ? drawn({130}, 3).to(type) : at::Tensor();
      const auto exact_bias = with_bias ? bias.to(at::kFloat) : at::Tensor();
      // Small, large, and large with rows that do not lie together.
      for (const auto& input : {drawn({2, 3, 257}, 1),
                                drawn({2, 33, 257}, 1),
                                drawn({2, 257, 33}, 1).transpose(1, 2)}) {
        expect_same(
            [&](const at::Tensor& x) { return frozen_linear(x, weight, bias); },
            [&](const at::Tensor& x) { return at::linear(x, weight.to(at::kFloat), exact_bias); },
            input.to(type));
      }
    }
  }
}

TEST(FrozenLinear, OfATrainedWeightGivesItsGradient) {
  const auto input = drawn({64, 257}, 1);
  const auto trained = drawn({130, 257}, 2).set_requires_grad(true);
  frozen_linear(input, trained, {}).sum().backward();
  EXPECT_LT(relative_difference(trained.grad(), input.sum(0).expand({130, 257})), 1e-5);
}

struct LoraGradients {
  at::Tensor output, input, a, b;
};

LoraGradients with_lora(
    const std::function<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&)>& layer,
    const at::Tensor& input,
    const at::Tensor& a,
    const at::Tensor& b) {
  const auto x = input.detach().clone().set_requires_grad(true);
  const auto leaf_a = a.clone().set_requires_grad(true), leaf_b = b.clone().set_requires_grad(true);
  const auto output = layer(x, leaf_a, leaf_b);
  output.backward(drawn(output.sizes(), 77).to(output.scalar_type()));
  return {output.detach(), x.grad(), leaf_a.grad(), leaf_b.grad()};
}

TEST(FrozenLinear, WithALoraGivesTheGradientsOfAutograd) {
  const auto a = drawn({7, 257}, 4) * 0.1, b = drawn({130, 7}, 5);
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto input = drawn({2, 33, 257}, 1).to(type);
    const auto weight = (drawn({130, 257}, 2) * 0.05).to(type), bias = drawn({130}, 3).to(type);
    const auto got = with_lora(
        [&](const auto& x, const auto& leaf_a, const auto& leaf_b) {
          return frozen_linear_with_lora(x, weight, bias, leaf_a, leaf_b, 1.5);
        },
        input,
        a,
        b);
    const auto wanted = with_lora(
        [&](const auto& x, const auto& leaf_a, const auto& leaf_b) {
          return at::linear(x, weight.to(at::kFloat), bias.to(at::kFloat)) +
                 at::linear(at::linear(x, leaf_a) * 1.5, leaf_b);
        },
        input.to(at::kFloat),
        a,
        b);
    EXPECT_EQ(got.a.scalar_type(), at::kFloat);
    EXPECT_EQ(got.b.scalar_type(), at::kFloat);
    EXPECT_LT(relative_difference(got.output, wanted.output), tolerance(type));
    EXPECT_LT(relative_difference(got.input, wanted.input), tolerance(type));
    EXPECT_LT(relative_difference(got.a, wanted.a), tolerance(type));
    EXPECT_LT(relative_difference(got.b, wanted.b), tolerance(type));
  }
}

TEST(FrozenLinear, WithALoraNeedsNoGradientOfItsInput) {
  const auto input = drawn({66, 257}, 1), weight = drawn({130, 257}, 2);
  const auto a = drawn({7, 257}, 4).set_requires_grad(true);
  const auto b = drawn({130, 7}, 5).set_requires_grad(true);
  frozen_linear_with_lora(input, weight, {}, a, b, 2.0).sum().backward();
  EXPECT_LT(
      relative_difference(b.grad(), (at::linear(input, a.detach()) * 2).sum(0).expand({130, 7})),
      1e-5);
  EXPECT_TRUE(a.grad().defined());
  EXPECT_FALSE(input.grad().defined());
}

TEST(TrainedLinear, GivesTheGradientOfItsWeightInTheWeightsType) {
  const auto weight = drawn({130, 257}, 2) * 0.05, bias = drawn({130}, 3);
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto input = drawn({2, 33, 257}, 1).to(type);
    const auto got = with_lora(
        [&](const auto& x, const auto& w, const auto& v) { return trained_linear(x, w, v); },
        input,
        weight,
        bias);
    const auto wanted =
        with_lora([&](const auto& x, const auto& w, const auto& v) { return at::linear(x, w, v); },
                  input.to(at::kFloat),
                  weight,
                  bias);
    EXPECT_EQ(got.a.scalar_type(), at::kFloat);
    EXPECT_LT(relative_difference(got.output, wanted.output), tolerance(type));
    EXPECT_LT(relative_difference(got.input, wanted.input), tolerance(type));
    EXPECT_LT(relative_difference(got.a, wanted.a), tolerance(type));
    EXPECT_LT(relative_difference(got.b, wanted.b), tolerance(type));
  }
}

TEST(FrozenGroupNorm, IsTheOrdinaryOneWithItsInputGradient) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const bool silu : {false, true}) {
      for (const auto& sizes :
           {std::vector<int64_t>{2, 60, 17, 19}, {1, 96, 32, 32}, {1, 6, 3, 3}}) {
        const auto weight = drawn({sizes[1]}, 2).to(type), bias = drawn({sizes[1]}, 3).to(type);
        // Far from zero, where a careless variance loses its digits.
        const auto input = (drawn(sizes, 1) * 2 + 5).to(type);
        expect_same(
            [&](const at::Tensor& x) {
              return frozen_group_norm(
                  x.contiguous(at::MemoryFormat::ChannelsLast), 6, weight, bias, 1e-5, silu);
            },
            [&](const at::Tensor& x) {
              const auto z = at::group_norm(x, 6, weight.to(at::kFloat), bias.to(at::kFloat), 1e-5);
              return silu ? at::silu(z) : z;
            },
            input);
      }
    }
  }
}

TEST(FrozenGroupNorm, GivesTheSameNumbersForAnyNumberOfThreads) {
  const auto weight = drawn({96}, 2), bias = drawn({96}, 3);
  const auto input = drawn({2, 96, 20, 24}, 4).contiguous(at::MemoryFormat::ChannelsLast);
  const int threads = at::get_num_threads();
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto layer = [&](const at::Tensor& x) {
      return frozen_group_norm(x, 32, weight.to(type), bias.to(type), 1e-5, true);
    };
    at::set_num_threads(1);
    const Result one = forward_backward(layer, input.to(type), 5);
    for (const int count : {3, 4, 7}) {
      at::set_num_threads(count);
      const Result several = forward_backward(layer, input.to(type), 5);
      EXPECT_TRUE(at::equal(one.output, several.output)) << count;
      EXPECT_TRUE(at::equal(one.input_gradient, several.input_gradient)) << count;
    }
    at::set_num_threads(threads);
  }
}

TEST(FrozenGroupNorm, OfATrainedWeightGivesItsGradient) {
  const auto input =
      drawn({2, 64, 16, 16}, 4).contiguous(at::MemoryFormat::ChannelsLast).requires_grad_(true);
  const auto weight = drawn({64}, 2).requires_grad_(true),
             bias = drawn({64}, 3).requires_grad_(true);
  const auto probe = drawn(input.sizes(), 5);
  frozen_group_norm(input, 32, weight, bias, 1e-5, false).backward(probe);
  const auto weight_gradient = weight.grad().clone(), bias_gradient = bias.grad().clone();
  weight.mutable_grad().reset();
  bias.mutable_grad().reset();
  at::group_norm(input, 32, weight, bias, 1e-5).backward(probe);
  EXPECT_LT(relative_difference(weight_gradient, weight.grad()), 1e-5);
  EXPECT_LT(relative_difference(bias_gradient, bias.grad()), 1e-5);
}

TEST(FrozenGroupNorm, KeepsANumberThatIsNone) {
  torch::NoGradGuard no_grad;
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    auto input = drawn({1, 96, 16, 16}, 1).to(type).contiguous(at::MemoryFormat::ChannelsLast);
    input[0][0][0][0] = std::numeric_limits<float>::quiet_NaN();
    const auto weight = at::ones({96}, input.options()), bias = at::zeros({96}, input.options());
    const auto output = frozen_group_norm(input, 6, weight, bias, 1e-5, true);
    EXPECT_TRUE(output.slice(1, 0, 16).isnan().all().item<bool>());
    EXPECT_FALSE(output.slice(1, 16).isnan().any().item<bool>());
  }
}

TEST(Geglu, IsValuesTimesGeluOfGates) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    expect_same([](const at::Tensor& x) { return geglu(x); },
                [](const at::Tensor& x) {
                  const auto parts = x.chunk(2, -1);
                  return parts[0] * at::gelu(parts[1]);
                },
                drawn({2, 9, 38}, 1).to(type));
  }
}

TEST(FrozenLayers, AreOneDnnsOwnHere) {
  // Otherwise every test above compares the ordinary operators with themselves.
  EXPECT_TRUE(onednn_takes(at::zeros({1})));
  EXPECT_FALSE(onednn_takes(at::zeros({1}, at::kDouble)));
}

}  // namespace
}  // namespace limewash::models
