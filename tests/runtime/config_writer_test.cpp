#include <cmath>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/random.h"
#include "runtime/yaml_scalar.h"
#include "tests/runtime/config_options.h"

namespace limewash {
namespace {

using testing::Contains;
using testing::Pair;

struct Nothing {
  void describe(config::Fields&) {}
};

struct Written {
  std::string text;
  double number = 0;
  int64_t whole = 0;
  std::vector<std::string> texts;
  std::vector<double> numbers;
  config::Map<int64_t> whole_by_name;
  config::Map<double> numbers_by_name;
  Nothing nothing;
  void describe(config::Fields& fields) {
    fields.field("text", text, "");
    fields.field("number", number, "", {-INFINITY, INFINITY});
    fields.section("nothing", nothing);
    fields.field("whole", whole, "");
    fields.field("texts", texts, "");
    fields.field("numbers", numbers, "");
    fields.field("whole_by_name", whole_by_name, "");
    fields.field("numbers_by_name", numbers_by_name, "");
  }
  void validate() const {}
};

Written through_yaml(const Written& written) {
  Written back;
  config::Document::parse(config::to_yaml(written), "resolved.yaml", {}).read_into(back);
  return back;
}

TEST(ConfigWriter, WritesSectionsThatReadAsYaml) {
  Options options;
  options.training.stage = "lora";
  EXPECT_EQ(config::to_yaml(options),
            "prepare:\n  images: photos\n  size: 512\n"
            "training:\n  steps: 1000\n  stop_at: 0\n  gradient_checkpointing: false\n"
            "  learning_rate: 0.0001\n  clip: .inf\n  stage: lora\n  targets: [to_q, to_v]\n"
            "  weights: [1, 0.5]\n  drop:\n    text: 0.05\n");
}

TEST(ConfigWriter, RoundTripsMapsWhateverTheirKeysLookLike) {
  Written written;
  written.whole_by_name = {{"to_out.0", 3}, {"a: b", -1}, {"true", 2}, {"^(x|y)\\d+$", 5}, {"", 7}};
  written.numbers_by_name = {{"z", 0.1}, {"a", 1e-7}};
  const Written back = through_yaml(written);
  EXPECT_EQ(back.whole_by_name, written.whole_by_name);
  EXPECT_EQ(back.numbers_by_name, written.numbers_by_name);
  EXPECT_THAT(config::flatten(written), Contains(Pair("numbers_by_name", "{z: 0.1, a: 1e-07}")));
}

TEST(ConfigWriter, RoundTripsTextThatLooksLikeSomethingElse) {
  for (const char* text : {"",
                           " ",
                           "true",
                           "null",
                           "~",
                           "1e-4",
                           "007",
                           ".inf",
                           "- a",
                           "a: b",
                           "#x",
                           "a #x",
                           "[a]",
                           "{a: b}",
                           "'",
                           "\"",
                           "a\\n",
                           "a\nb",
                           "a\r\n\tb",
                           "*x",
                           "&x",
                           "!x",
                           "%x",
                           "@x",
                           "yes",
                           "...",
                           "---",
                           "a,b",
                           " lead",
                           "trail ",
                           "C:\\x",
                           "\x01\x7f",
                           "\xc3\xa9",
                           "\xf0\x9f\x98\x80",
                           "<<",
                           "=",
                           "\xef\xbb\xbf",
                           "\xc2\x85x",
                           "\xe2\x80\xa8",
                           "a/b.c-d_e",
                           "/x y/z",
                           ".hidden"}) {
    Written written;
    written.text = text;
    written.texts = {text, "x", text};
    const Written back = through_yaml(written);
    EXPECT_EQ(back.text, written.text) << config::to_yaml(written);
    EXPECT_EQ(back.texts, written.texts) << config::to_yaml(written);
  }
}

TEST(ConfigWriter, RoundTripsDoublesBitForBit) {
  RandomStream random(1, Purpose::kNoise, 0, 0);
  std::vector<double> values = {
      0.0, -0.0, 0.1, 1e-4, 5e-324, 1.7976931348623157e308, 1e22, INFINITY, -INFINITY};
  while (values.size() < 5000) {
    const uint64_t bits = random.next_u64();
    double value = 0;
    std::memcpy(&value, &bits, sizeof value);
    if (std::isfinite(value)) values.push_back(value);
  }
  for (const double value : values) {
    Written written;
    written.number = value;
    if (std::isfinite(value)) written.numbers = {value};
    const Written back = through_yaml(written);
    EXPECT_EQ(std::memcmp(&back.number, &value, sizeof value), 0) << config::number_text(value);
    EXPECT_EQ(back.numbers, written.numbers);
  }
}

TEST(ConfigWriter, RoundTripsTheLimitsOfWholeNumbers) {
  for (const int64_t value :
       {INT64_MIN, int64_t{-1}, int64_t{0}, INT64_MAX, (int64_t{1} << 53) + 1}) {
    Written written;
    written.whole = value;
    EXPECT_EQ(through_yaml(written).whole, value);
  }
}

TEST(ConfigWriter, FlattensToPairsOfPathAndValue) {
  Options options;
  options.prepare.images = "my: photos";
  const auto pairs = config::flatten(options);
  EXPECT_THAT(pairs, Contains(Pair("prepare.images", "my: photos")));
  EXPECT_THAT(pairs, Contains(Pair("prepare.size", "512")));
  EXPECT_THAT(pairs, Contains(Pair("training.drop.text", "0.05")));
  EXPECT_THAT(pairs, Contains(Pair("training.targets", "[to_q, to_v]")));
  EXPECT_EQ(pairs.size(), 11u);
}

}  // namespace
}  // namespace limewash
