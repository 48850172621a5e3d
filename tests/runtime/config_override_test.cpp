#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/runtime/config_options.h"

namespace limewash {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ConfigOverride, WinsOverTheFileAndTheLastWins) {
  const Options options =
      read("prepare: {size: 64}\n", {"prepare.size=65", "prepare.size=66", "training.steps=3"});
  EXPECT_EQ(options.prepare.size, 66);
  EXPECT_EQ(options.training.steps, 3);
}

TEST(ConfigOverride, IsTypedLikeYaml) {
  const Options options = read("",
                               {"training.gradient_checkpointing=true",
                                "training.learning_rate=1e-3",
                                "training.targets=[to_q, \"a, b\"]",
                                "training.weights=[1, 2.5]",
                                "training.drop.text=0.25",
                                "prepare.images=/photos of: rooms #1"});
  EXPECT_TRUE(options.training.gradient_checkpointing);
  EXPECT_EQ(options.training.learning_rate, 1e-3);
  EXPECT_THAT(options.training.targets, ElementsAre("to_q", "a, b"));
  EXPECT_THAT(options.training.weights, ElementsAre(1.0, 2.5));
  EXPECT_EQ(options.training.drop.text, 0.25);
  EXPECT_EQ(options.prepare.images, "/photos of: rooms #1");
  EXPECT_EQ(read("", {"prepare.images=\"a b\""}).prepare.images, "a b");
  EXPECT_EQ(read("", {"prepare.images=x=y"}).prepare.images, "x=y");
  EXPECT_EQ(read("", {"prepare.images="}).prepare.images, "");
  EXPECT_THAT(read("", {"training.targets=[]"}).training.targets, IsEmpty());
  EXPECT_THAT(read("", {"training.targets=*attn*"}).training.targets, ElementsAre("*attn*"));
}

TEST(ConfigOverride, FillsASectionThatTheFileLeftEmpty) {
  EXPECT_EQ(read("training:\n", {"training.steps=4"}).training.steps, 4);
}

TEST(ConfigOverride, IsNamedInErrors) {
  EXPECT_EQ(error_of("", {"prepare.size=7"}), "--set prepare.size=7: expected 64 to 2048");
  EXPECT_EQ(error_of("", {"training.stpes=5"}),
            "--set training.stpes=5: unknown key (did you mean training.steps?)");
  EXPECT_EQ(error_of("", {"trainnig.steps=5"}),
            "--set trainnig.steps=5: unknown key (did you mean training?)");
  EXPECT_EQ(error_of("", {"training.steps=\"5\""}),
            "--set training.steps=\"5\": expected a whole number, at least 1");
  EXPECT_THAT(error_of("", {"training.weights=[1, x]"}),
              HasSubstr("--set training.weights=[1, x]: "));
}

TEST(ConfigOverride, RefusesWhatIsNoKeyAndValue) {
  for (const char* text : {"prepare.size", "=5", ".size=5", "prepare.=5", "prepare..size=5", ""}) {
    EXPECT_THAT(error_of("", {text}), HasSubstr("expected section.key=value")) << text;
  }
  EXPECT_THAT(error_of("", {"training.targets=[a"}), HasSubstr("is a bracket left open?"));
  EXPECT_THAT(error_of("", {"training.targets=\"a\": b"}), HasSubstr("--set training.targets="));
  EXPECT_THAT(error_of("prepare: {size: 64}", {"prepare.size.x=5"}),
              HasSubstr("prepare.size is a value"));
  EXPECT_THAT(error_of("prepare: {size: 64}", {"prepare=5"}), HasSubstr("prepare is a section"));
  EXPECT_THAT(error_of("", {"prepare=5"}), HasSubstr("expected a section of keys"));
  EXPECT_THAT(error_of("", {"prepare.images=\xff"}), HasSubstr("not UTF-8"));
}

}  // namespace
}  // namespace limewash
