#include "models/mask_quality_net.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/safetensors.h"
#include "runtime/error.h"

namespace limewash::models {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path kModel = fs::path(LIMEWASH_SOURCE_DIR) / "models/mask-quality";
const fs::path kGolden =
    fs::path(LIMEWASH_SOURCE_DIR) / "tests/golden/mask_quality/probabilities.safetensors";

std::span<const uint8_t> bytes(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<uint8_t>(), static_cast<size_t>(tensor.numel())};
}

TEST(MaskQualityNet, GivesTheProbabilitiesOfThePythonNetwork) {
  const MaskQualityNet net(kModel);
  const TensorMap golden = read_safetensors(kGolden).tensors;
  int compared = 0;
  for (; golden.count("photo." + std::to_string(compared)) > 0; ++compared) {
    const std::string number = std::to_string(compared);
    const at::Tensor photo = golden.at("photo." + number).contiguous(),
                     mask = golden.at("mask." + number).contiguous(),
                     expected = golden.at("probabilities." + number).contiguous();
    const auto found = net.probabilities(bytes(photo), bytes(mask), photo.size(0), photo.size(1));
    for (size_t i = 0; i < 3; ++i)
      EXPECT_NEAR(found[i], expected[static_cast<int64_t>(i)].item<float>(), 1e-4) << number;
    EXPECT_FLOAT_EQ(net.score(bytes(photo), bytes(mask), photo.size(0), photo.size(1)),
                    found[0] + found[1] / 2);
  }
  EXPECT_GE(compared, 4);
}

TEST(MaskQualityNet, GivesTheSameFromManyThreads) {
  const MaskQualityNet net(kModel);
  const TensorMap golden = read_safetensors(kGolden).tensors;
  const at::Tensor photo = golden.at("photo.1").contiguous(),
                   mask = golden.at("mask.1").contiguous();
  const float alone = net.score(bytes(photo), bytes(mask), photo.size(0), photo.size(1));
  std::vector<float> scores(8);
  std::vector<std::thread> threads;
  for (float& score : scores)
    threads.emplace_back([&] {
      for (int i = 0; i < 4; ++i)
        score = net.score(bytes(photo), bytes(mask), photo.size(0), photo.size(1));
    });
  for (std::thread& thread : threads) thread.join();
  for (const float score : scores) EXPECT_EQ(score, alone);
}

TEST(MaskQualityNet, RefusesFoldersThatHoldSomethingElse) {
  const fs::path folder =
      fs::path(testing::TempDir()) / ("mask-quality-" + std::to_string(::getpid()));
  const auto problem = [&]() -> std::string {
    try {
      MaskQualityNet net(folder);
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(problem(), HasSubstr("config.json"));
  fs::create_directories(folder);
  fs::copy(kModel / "model.safetensors", folder);
  const auto write = [&](const std::string& text) {
    std::ofstream(folder / "config.json") << text;
  };
  const std::string start =
      R"({"_class_name": "MaskQualityNet", "clean_iou": 0.95, "noisy_iou": 0.7, "size": 128, )";
  write(start + R"("classes": ["clean", "noisy", "bad"], "channels": [16, 32, 64, 96]})");
  EXPECT_EQ(problem(), "accepted");
  write(start + R"("classes": ["clean", "noisy", "bad"], "channels": [16, 32, 64]})");
  EXPECT_THAT(problem(), HasSubstr("channels"));
  write(start + R"("classes": ["clean", "noisy", "bad"], "channels": [16, 32, 64, 80]})");
  EXPECT_THAT(problem(), HasSubstr("down3"));
  write(start + R"("classes": ["bad", "clean"], "channels": [16, 32, 64, 96]})");
  EXPECT_THAT(problem(), HasSubstr("classes"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace limewash::models
