#include "trainer/adversary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "runtime/error.h"

namespace limewash::trainer {
namespace {

constexpr int64_t kSide = 16;

AdversarialLossOptions both() {
  AdversarialLossOptions options;
  options.wall = options.paint = 1;
  options.channels = 8;
  options.learning_rate = 2e-3;
  return options;
}

/// Rooms of latents: things are noisy, walls are plain; a prediction whose walls are noisy, too.
struct Rooms {
  at::Tensor z0, mask, core, predicted;
  explicit Rooms(int64_t seed) {
    torch::manual_seed(static_cast<uint64_t>(seed));
    mask = torch::zeros({4, 1, kSide, kSide});
    mask.narrow(3, 0, 10).fill_(1);
    core = torch::zeros_like(mask);
    core.narrow(3, 0, 8).fill_(1);
    const auto color = torch::randn({4, 4, 1, 1});
    z0 = mask * color + (1 - mask) * torch::randn({4, 4, kSide, kSide});
    predicted = z0 + 0.7 * mask * torch::randn_like(z0);
  }
  at::Tensor weight() const {
    return torch::full({4}, 0.25F);
  }
};

TEST(Adversary, StartsAsAPureFunctionOfTheSeed) {
  const Rooms rooms(1);
  const Adversary one(both(), 4, 5), same(both(), 4, 5), other(both(), 4, 6);
  const auto term = [&](const Adversary& adversary) {
    return adversary.wall_term(rooms.predicted, rooms.z0, rooms.mask);
  };
  EXPECT_TRUE(term(one).equal(term(same)));
  EXPECT_FALSE(term(one).equal(term(other)));
}

TEST(Adversary, LearnsToTellWallsAndToSeeStrayPaint) {
  Adversary adversary(both(), 4, 5);
  for (int64_t step = 0; step < 150; ++step) {
    const Rooms rooms(step);
    adversary.zero();
    const auto losses =
        adversary.learn(rooms.predicted, rooms.z0, rooms.mask, rooms.core, rooms.weight());
    EXPECT_TRUE(losses.wall.isfinite().item<bool>() && losses.paint.isfinite().item<bool>());
    adversary.step();
  }
  const Rooms unseen(1000);
  const auto mean = [](const at::Tensor& rows) { return rows.mean().item<double>(); };
  EXPECT_GT(mean(adversary.wall_term(unseen.predicted, unseen.z0, unseen.mask)),
            mean(adversary.wall_term(unseen.z0, unseen.z0, unseen.mask)) + 0.5)
      << "a noisy wall costs more than the target's";
  const auto stray = Adversary::painted(unseen.z0, unseen.mask, unseen.core);
  EXPECT_GT(mean(adversary.paint_term(stray)), mean(adversary.paint_term(unseen.z0)) + 0.3)
      << "painted things cost more than things as they are";
}

TEST(Adversary, PaintsAllButTheHoleInTheColorOfTheCore) {
  const Rooms rooms(2);
  const auto painted = Adversary::painted(rooms.z0, rooms.mask, rooms.core);
  const auto outside = 1 - rooms.mask;
  EXPECT_TRUE((painted * rooms.mask).equal(rooms.z0 * rooms.mask));
  const auto wall = rooms.z0.select(3, 0).select(2, 0);  // [4, 4], plain
  const auto mean = (painted * outside).narrow(3, 12, 4).mean(at::IntArrayRef{2, 3});
  EXPECT_LT((mean - wall).abs().max().item<double>(), 0.4);
}

TEST(Adversary, GivesTheNetworkAGradientAndItselfNone) {
  Adversary adversary(both(), 4, 5);
  const Rooms rooms(3);
  auto predicted = rooms.predicted.clone().requires_grad_(true);
  adversary.zero();
  (adversary.wall_term(predicted, rooms.z0, rooms.mask) + adversary.paint_term(predicted))
      .sum()
      .backward();
  EXPECT_GT(predicted.grad().abs().sum().item<double>(), 0);
  EXPECT_EQ(adversary.reduced().abs().max().item<double>(), 0);
}

// Without R1: the slope of a network of straight pieces jumps from piece to piece, so that its
// differences show more than its gradient. objective_steps_test.py compares R1 with torch.
TEST(Adversary, HasTheGradientThatDifferencesShow) {
  auto options = both();
  options.paint = 0;
  options.r1 = 0;
  Adversary adversary(options, 4, 5);
  const Rooms rooms(4);
  const auto loss = [&] {
    return adversary.learn(rooms.predicted, rooms.z0, rooms.mask, rooms.core, rooms.weight())
        .wall.item<double>();
  };
  adversary.zero();
  loss();
  const auto gradient = adversary.reduced().clone();
  const auto state = adversary.state();
  const auto values = state.at("discriminators.values");
  const auto start = values.clone();
  const auto direction = torch::randn_like(gradient) * 0.1;
  constexpr double kStep = 2e-3;
  const auto at = [&](double place) {
    torch::NoGradGuard no_grad;
    values.copy_(start + place * direction);
    torch::AutoGradMode with_gradient(true);
    return loss();
  };
  const double difference = (at(kStep) - at(-kStep)) / (2 * kStep);
  const double slope = (gradient * direction).sum().item<double>();
  EXPECT_NEAR(slope, difference, 0.03 * std::abs(slope) + 1e-3);
}

TEST(Adversary, GoesOnFromItsState) {
  Adversary straight(both(), 4, 5);
  const auto train = [](Adversary& adversary, int64_t from, int64_t to) {
    for (int64_t step = from; step < to; ++step) {
      const Rooms rooms(step);
      adversary.zero();
      adversary.learn(rooms.predicted, rooms.z0, rooms.mask, rooms.core, rooms.weight());
      adversary.step();
    }
  };
  train(straight, 0, 6);
  Adversary first(both(), 4, 5), second(both(), 4, 77);
  train(first, 0, 3);
  second.load_state(first.state());
  train(second, 3, 6);
  EXPECT_TRUE(second.state()
                  .at("discriminators.values")
                  .equal(straight.state().at("discriminators.values")));
  auto state = first.state();
  state.erase("discriminators.exp_avg");
  EXPECT_THROW(second.load_state(state), InputError);
}

}  // namespace
}  // namespace limewash::trainer
