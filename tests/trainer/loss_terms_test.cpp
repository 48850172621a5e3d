#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "runtime/error.h"
#include "tests/eval/random_alexnet.h"
#include "trainer/loss_networks.h"
#include "trainer/loss_tail.h"
#include "trainer/multi_scale_loss.h"
#include "trainer/noise_loss.h"
#include "trainer/objective.h"

namespace limewash::trainer {
namespace {

constexpr int64_t kRows = 3, kChannels = 3, kSide = 12;

/// Three latent channels that are almost RGB themselves, one latent for 4 x 4 pixels.
class PlainDecoder final : public models::Autoencoder {
 public:
  models::LatentDistribution encode(const at::Tensor& pixels) override {
    return {pixels, torch::zeros_like(pixels)};
  }
  at::Tensor decode(const at::Tensor& latents) override {
    rows_decoded += latents.size(0);
    return torch::tanh(
        at::upsample_bilinear2d(latents, {latents.size(2) * 4, latents.size(3) * 4}, false));
  }
  int64_t in_channels() const override {
    return 3;
  }
  int64_t latent_channels() const override {
    return kChannels;
  }
  int64_t downscale() const override {
    return 4;
  }
  double scaling_factor() const override {
    return 0.5;
  }
  torch::nn::Module& module() override {
    return module_;
  }
  int64_t rows_decoded = 0;

 private:
  torch::nn::Module module_;
};

models::NoiseSchedule schedule_of(models::PredictionType type, bool zero_terminal_snr = false) {
  models::NoiseScheduleConfig config;
  config.prediction_type = type;
  config.rescale_betas_zero_snr = zero_terminal_snr;
  return models::NoiseSchedule(config);
}

struct Fixture {
  MicroBatch batch;
  at::Tensor output;
  LossScale scale{200, 2, 2, 2, 2, 2};
  Fixture() {
    torch::manual_seed(5);
    batch.z0 = 0.3 * torch::randn({kRows, kChannels, kSide, kSide});
    batch.noise = torch::randn_like(batch.z0);
    batch.mask = torch::zeros({kRows, 1, kSide, kSide});
    batch.mask.narrow(2, 2, 7).narrow(3, 3, 6).fill_(1);
    batch.core = batch.mask * torch::rand_like(batch.mask);
    batch.quality = torch::tensor({1.0F, 0.5F, 0.8F});
    batch.told = torch::ones({kRows});
    batch.timesteps = torch::tensor({20, 300, 700}, torch::kLong);
    batch.asked_lab = torch::tensor({60.0F, 5.0F, -5.0F}).expand({kRows, 3}).contiguous();
    batch.samples.resize(kRows);
    for (size_t row = 0; row < kRows; ++row) {
      batch.samples[row].id = row;
      batch.samples[row].timestep = batch.timesteps[static_cast<int64_t>(row)].item<int64_t>();
      batch.samples[row].quality = batch.quality[static_cast<int64_t>(row)].item<float>();
    }
    output = torch::randn_like(batch.z0);
  }
};

LossOptions everything() {
  LossOptions options;
  options.noise.kind = "huber";
  options.noise.huber_schedule = "snr";
  options.noise.min_snr_gamma = 5;
  options.color.path = "crop";
  options.color.weight = 0.5;
  options.perceptual.multi_scale.weight = 0.5;
  options.perceptual.lpips.weight = 0.5;
  options.adversarial.wall = 0.5;
  options.adversarial.paint = 0.5;
  options.adversarial.channels = 4;
  options.crop = 8;
  return options;
}

class LossTermsTest : public testing::Test {
 protected:
  Objective objective(const LossOptions& options) {
    return Objective(options, {schedule, map, 3, &decoder, &lpips});
  }
  LossTerms terms(const Objective& objective, const at::Tensor& output) const {
    const auto z_t =
        schedule.add_noise(fixture.batch.z0, fixture.batch.noise, fixture.batch.timesteps);
    return objective(fixture.batch,
                     z_t,
                     output,
                     fixture.scale.denominators(),
                     objective.counted_terms(fixture.batch.samples, 0));
  }
  models::NoiseSchedule schedule = schedule_of(models::PredictionType::kVPrediction);
  const std::vector<float> map = {0.2F, 0, 0.1F, 0, 0.3F, 0, 0.1F, 0, 0.2F, 0.5F, 0.5F, 0.5F};
  Fixture fixture;
  PlainDecoder decoder;
  eval::RandomAlexNet alexnet;
  eval::Lpips lpips{alexnet.file()};
};

TEST_F(LossTermsTest, HaveTheGradientThatDifferencesShow) {
  const auto options = everything();
  const auto all = objective(options);
  const auto direction = torch::randn_like(fixture.output);
  constexpr double kStep = 2e-3;
  const auto names = all.terms();
  for (size_t i = 0; i < names.size(); ++i) {
    auto output = fixture.output.clone().requires_grad_(true);
    const auto value = terms(all, output).terms[i].value;
    const double slope = (torch::autograd::grad({value}, {output})[0] * direction)
                             .sum()
                             .to(torch::kDouble)
                             .item<double>();
    const auto at = [&](double place) {
      return terms(all, fixture.output + place * direction).terms[i].value.item<double>();
    };
    const double difference = (at(kStep) - at(-kStep)) / (2 * kStep);
    EXPECT_NE(slope, 0) << names[i].name;
    EXPECT_NEAR(slope, difference, 0.03 * std::abs(slope) + 2e-4) << names[i].name;
  }
}

TEST_F(LossTermsTest, SumToTheTotalByTheirWeights) {
  const auto found = terms(objective(everything()), fixture.output);
  double sum = 0;
  for (const auto& term : found.terms) sum += term.weight * term.value.item<double>();
  EXPECT_EQ(found.terms.size(), 6U);
  EXPECT_NEAR(found.total.item<double>(), sum, 1e-5 * std::abs(sum));
}

TEST_F(LossTermsTest, VanishForAPerfectPrediction) {
  auto options = everything();
  options.adversarial.wall = options.adversarial.paint = 0;
  const auto perfect =
      schedule.training_target(fixture.batch.z0, fixture.batch.noise, fixture.batch.timesteps);
  for (const auto& term : terms(objective(options), perfect).terms)
    EXPECT_NEAR(term.value.item<double>(), 0, 1e-4) << term.name;
}

TEST_F(LossTermsTest, DecodeEachCountedCropOnce) {
  auto options = everything();
  options.color.timestep_high = 500;            // rows 0 and 1
  options.perceptual.lpips.timestep_low = 100;  // rows 1 and 2
  terms(objective(options), fixture.output);
  EXPECT_EQ(decoder.rows_decoded, 6) << "prediction and target of three rows";
  decoder.rows_decoded = 0;
  options.perceptual.lpips.start_step = 1;
  terms(objective(options), fixture.output);
  EXPECT_EQ(decoder.rows_decoded, 4);
}

TEST_F(LossTermsTest, WeighByTheShareOfSignalWhereAsked) {
  auto options = everything();
  options.perceptual.multi_scale.timestep_low = 500;  // row 2 alone
  const double plain =
      terms(objective(options), fixture.output).value("multi_scale").item<double>();
  options.perceptual.multi_scale.timestep_weight = "alpha_bar";
  const double weighed =
      terms(objective(options), fixture.output).value("multi_scale").item<double>();
  EXPECT_NEAR(weighed / plain, schedule.alphas_cumprod()[700].item<double>(), 1e-5);
}

TEST_F(LossTermsTest, HaveSharesOfTheGradientThatSumToOne) {
  auto options = everything();
  options.gradient_share_every = 5;
  const auto all = objective(options);
  auto output = fixture.output.clone().requires_grad_(true);
  const auto found = terms(all, output);
  const LossTail tail(options, all.terms());
  auto slots = torch::zeros({tail.size()});
  tail.add(slots, found, {}, all.gradient_squares(found, output));
  const auto losses = tail.read(slots, true);
  double sum = 0;
  for (const auto& term : losses.terms) sum += term.share.value();
  EXPECT_NEAR(sum, 1, 1e-6);
  EXPECT_EQ(tail.columns().size(), tail.values(losses, 0, 0).size());
  EXPECT_EQ(tail.read(slots, false).terms[0].share, std::nullopt);
  EXPECT_THAT(tail.columns(),
              testing::ElementsAre("loss",
                                   "noise",
                                   "color",
                                   "multi_scale",
                                   "lpips",
                                   "adversarial_wall",
                                   "adversarial_paint",
                                   "discriminator_wall",
                                   "discriminator_paint",
                                   "noise_share",
                                   "color_share",
                                   "multi_scale_share",
                                   "lpips_share",
                                   "adversarial_wall_share",
                                   "adversarial_paint_share",
                                   "learning_rate",
                                   "gradient_norm"));
}

TEST(LossTail, HasOnlyTheColumnsOfTermsThatAreOn) {
  const auto schedule = schedule_of(models::PredictionType::kEpsilon);
  const Objective objective({}, {schedule, {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}});
  EXPECT_THAT(LossTail({}, objective.terms()).columns(),
              testing::ElementsAre("loss", "noise", "learning_rate", "gradient_norm"));
}

TEST(MinSnr, IsDefinedWithoutSignal) {
  const auto last = torch::tensor({999}, torch::kLong);
  const auto v = schedule_of(models::PredictionType::kVPrediction, true);
  EXPECT_NEAR(min_snr_weight(v, last, 5).item<double>(), 0, 1e-6);
  const auto epsilon = schedule_of(models::PredictionType::kEpsilon, true);
  EXPECT_NEAR(min_snr_weight(epsilon, last, 5).item<double>(), 1, 1e-6);
}

TEST(MultiScale, SeesACoarseDifferenceInTheCoarseBands) {
  const auto a = torch::zeros({1, 1, 16, 16});
  const auto flat = torch::ones_like(a);
  EXPECT_NEAR(multi_scale_distance(flat, a, 3).item<double>(), 0.25, 1e-6) << "the rest alone";
  auto checks = torch::ones_like(a);
  checks.slice(2, 0, 16, 2).slice(3, 0, 16, 2).fill_(-1);
  checks.slice(2, 1, 16, 2).slice(3, 1, 16, 2).fill_(-1);
  EXPECT_NEAR(multi_scale_distance(checks, a, 3).item<double>(), 0.25, 1e-6) << "the finest alone";
  EXPECT_EQ(multi_scale_distance(checks, checks, 3).item<double>(), 0);
}

TEST(CropPlace, IsAPureFunctionOfTheSampleAndHoldsAPixelOfTheCore) {
  auto core = torch::zeros({20, 30});
  core[17][2] = 0.3;
  core[3][29] = 1;
  std::set<std::pair<int64_t, int64_t>> seen;
  for (uint64_t epoch = 0; epoch < 20; ++epoch) {
    StreamSample sample;
    sample.id = 9;
    sample.epoch = epoch;
    const auto place = crop_place(1, sample, core, 8);
    const auto again = crop_place(1, sample, core, 8);
    EXPECT_EQ(std::pair(place.top, place.left), std::pair(again.top, again.left));
    const auto cut = cut_crops(core.view({1, 1, 20, 30}), {place}, 8);
    EXPECT_EQ(cut.sizes(), at::IntArrayRef({1, 1, 8, 8}));
    EXPECT_GT(cut.sum().item<double>(), 0);
    seen.insert({place.top, place.left});
  }
  EXPECT_EQ(seen.size(), 2U);
  const auto none = crop_place(1, {}, torch::zeros({4, 5}), 8);
  EXPECT_EQ(std::pair(none.top, none.left), std::pair(int64_t{0}, int64_t{0}));
}

TEST(LossNetworks, RefuseADecoderOfOtherLatentsAndCropsBelowLpips) {
  const eval::RandomAlexNet alexnet;
  const PlainDecoder vae;
  LossOptions options;
  options.perceptual.lpips.weight = 1;
  options.perceptual.lpips.weights = alexnet.file();
  options.crop = 4;
  try {
    load_loss_networks(options, vae, at::kFloat);
    FAIL() << "16 pixels are too few";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("loss.crop = 4"));
  }
  options.crop = 8;
  EXPECT_NE(load_loss_networks(options, vae, at::kFloat).lpips, nullptr);
  options.decoder = std::string(LIMEWASH_SOURCE_DIR) + "/models/limewash-tiny/vae";
  EXPECT_THROW(load_loss_networks(options, vae, at::kFloat), ConfigError);
  EXPECT_THAT(loss_networks_yaml(options), testing::HasSubstr("loss.decoder: "));
}

}  // namespace
}  // namespace limewash::trainer
