#include "trainer/setting_differences.h"

#include <gtest/gtest.h>

namespace limewash::trainer {
namespace {

std::map<std::string, std::string> read(const std::string& yaml) {
  return settings_of(yaml, "test.yaml");
}

TEST(SettingDifferences, NamesEveryKeyWithBothValues) {
  const auto then = read("run: {seed: 1, name: a}\nlora: {targets: [to_q, to_v], rank: 4}\n");
  const auto now = read("run: {seed: 2, name: a}\nlora: {targets: [to_q], rank: 4}\n");
  EXPECT_EQ(differences_text(setting_differences(then, now)),
            "lora.targets: [to_q, to_v] in the checkpoint, [to_q] now; "
            "run.seed: 1 in the checkpoint, 2 now");
  EXPECT_EQ(differences_text(setting_differences(now, now)), "");
}

TEST(SettingDifferences, AKeyThatAnOlderVersionDidNotHaveMeantItsDefault) {
  const auto then = read("optimizer: {clip: 1}\n");
  const auto defaults = read("optimizer: {clip: 1, cycles: 1}\n");
  EXPECT_TRUE(
      setting_differences(then, read("optimizer: {clip: 1, cycles: 1}\n"), defaults).empty());
  EXPECT_EQ(differences_text(
                setting_differences(then, read("optimizer: {clip: 1, cycles: 3}\n"), defaults)),
            "optimizer.cycles: 1 in the checkpoint, 3 now");
  EXPECT_EQ(differences_text(setting_differences(read("gone: 1\n"), read("{}\n"), defaults)),
            "gone: 1 in the checkpoint, nothing now");
}

TEST(SettingDifferences, LooksIntoListsOfSections) {
  const auto then = read("stages: [{stage: lora, steps: 5}, {stage: joint, steps: 5}]\n");
  const auto now = read("stages: [{stage: lora, steps: 5}, {stage: joint, steps: 6}]\n");
  EXPECT_EQ(differences_text(setting_differences(then, now)),
            "stages[1].steps: 5 in the checkpoint, 6 now");
}

}  // namespace
}  // namespace limewash::trainer
