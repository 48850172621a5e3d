// Broken, hostile and unusual YAML.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/runtime/config_options.h"

namespace limewash {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(ConfigText, NamesLineAndColumnOfBrokenYaml) {
  EXPECT_THAT(error_of("prepare:\n  size: [1, 2\n"),
              StartsWith("configs/demo.yaml:3:1: broken YAML"));
  EXPECT_THAT(error_of("prepare: {size: 3\ntraining: }"), HasSubstr("broken YAML"));
  EXPECT_THAT(error_of("a: b: c\n"), StartsWith("configs/demo.yaml:1:5: broken YAML"));
  EXPECT_THAT(error_of("prepare:\n\tsize: 64\n"), HasSubstr("configs/demo.yaml:2"));
  EXPECT_THAT(error_of("prepare: *nothing\n"), HasSubstr("configs/demo.yaml:1"));
  EXPECT_THAT(error_of("prepare: {images: \"open}\n"), HasSubstr("broken YAML"));
}

TEST(ConfigText, RefusesADuplicateKeyAndNamesTheFirst) {
  EXPECT_EQ(error_of("prepare:\n  size: 64\n  size: 128\n"),
            "configs/demo.yaml:3:3: size: duplicate key, first at configs/demo.yaml:2");
  EXPECT_THAT(error_of("prepare: {size: 64}\nprepare: {size: 65}\n"), HasSubstr("duplicate key"));
}

TEST(ConfigText, RefusesARootThatIsNoMap) {
  EXPECT_THAT(error_of("- a\n- b\n"), HasSubstr("expected sections"));
  EXPECT_THAT(error_of("just words\n"), HasSubstr("expected sections"));
}

TEST(ConfigText, RefusesASecondDocument) {
  EXPECT_THAT(error_of("prepare: {size: 64}\n---\nprepare: {size: 65}\n"),
              HasSubstr("more than one YAML document"));
}

TEST(ConfigText, RefusesKeysThatAreNoWords) {
  EXPECT_THAT(error_of("? [a, b]\n: 1\n"), HasSubstr("a key must be a single word"));
  EXPECT_THAT(error_of("~: 1\n"), HasSubstr("a key must be a single word"));
}

TEST(ConfigText, RefusesUnknownTags) {
  EXPECT_THAT(error_of("prepare: {size: !python/object 64}"), HasSubstr("tag"));
  EXPECT_EQ(read("prepare: {images: !!str 64}").prepare.images, "64");
}

TEST(ConfigText, RefusesControlCharactersAndWhatIsNotUtf8) {
  EXPECT_EQ(error_of(std::string("prepare:\n  size: 64\0\n", 20)),
            "configs/demo.yaml:2: not UTF-8 text");
  EXPECT_THAT(error_of("prepare: {images: \xff}"), HasSubstr("not UTF-8"));
  EXPECT_THAT(error_of("prepare: {images: \xed\xa0\x80}"), HasSubstr("not UTF-8"));
  // 4 ends the input for the YAML library: what follows would be lost without a word.
  EXPECT_THAT(error_of("prepare: {size: 64}\n\x04\nprepare: {size: 7}"), HasSubstr("not UTF-8"));
  EXPECT_EQ(read("prepare: {images: t\xc6\xb0\xe1\xbb\x9dng}").prepare.images,
            "t\xc6\xb0\xe1\xbb\x9dng");
}

TEST(ConfigText, ReadsAliasesAndMergeKeys) {
  const Options options = read(R"(
training:
  drop: &defaults {text: 0.5}
prepare: {size: 99}
)");
  EXPECT_EQ(options.training.drop.text, 0.5);
  const Options merged = read(R"(
prepare: &base {size: 100, images: a}
training: {steps: 3}
)",
                              {});
  EXPECT_EQ(merged.prepare.size, 100);
  struct Two {
    PrepareOptions first, second;
    void describe(config::Fields& fields) {
      fields.section("first", first);
      fields.section("second", second);
    }
    void validate() const {}
  } two;
  config::Document::parse(
      "first: &base {size: 100, images: a}\nsecond:\n  <<: *base\n  images: b\n", "x.yaml", {})
      .read_into(two);
  EXPECT_EQ(two.second.size, 100);
  EXPECT_EQ(two.second.images, "b");
  config::Document::parse("first: &base {size: 101}\nsecond: *base\n", "x.yaml", {}).read_into(two);
  EXPECT_EQ(two.second.size, 101);
  EXPECT_THROW(config::Document::parse("first: {<<: 5}\n", "x.yaml", {}), ConfigError);
}

TEST(ConfigText, RefusesAnAliasBombInBoundedMemory) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int level = 1; level < 20; ++level) {
    const std::string below = "*a" + std::to_string(level - 1);
    bomb += "a" + std::to_string(level) + ": &a" + std::to_string(level) + " [" + below;
    for (int i = 0; i < 9; ++i) bomb += ", " + below;
    bomb += "]\n";
  }
  EXPECT_THAT(error_of(bomb), HasSubstr("more than 16 MiB"));
}

TEST(ConfigText, RefusesAnAliasInsideOfItself) {
  EXPECT_THAT(error_of("a: &a [*a]\n"), HasSubstr("alias"));
}

TEST(ConfigText, BoundsDepthAndSize) {
  EXPECT_THAT(error_of("a: " + std::string(100, '[') + std::string(100, ']')),
              HasSubstr("nested deeper"));
  EXPECT_NE(error_of("a: " + std::string(100000, '[')), "no error");
  EXPECT_NE(error_of("a: " + std::string(100000, '{')), "no error");
  EXPECT_NE(error_of(std::string(100000, '-')), "no error");
  EXPECT_THAT(error_of("#" + std::string(size_t{1} << 20, 'x')), HasSubstr("larger than 1 MiB"));
}

TEST(ConfigText, KeepsMessagesShortAndOnOneLine) {
  const std::string message = error_of("prepare: {size: \"a\\n" + std::string(10000, 'x') + "\"}");
  EXPECT_LT(message.size(), 300u);
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_LT(error_of("prepare: {" + std::string(500, 'k') + ": 1}").size(), 500u);
}

}  // namespace
}  // namespace limewash
