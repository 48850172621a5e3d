// Values, types, ranges and unknown keys.

#include <cmath>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/runtime/config_options.h"

namespace limewash {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Config, KeepsDefaultsWhereAKeyIsAbsent) {
  const Options options = read("training:\n  steps: 7\n");
  EXPECT_EQ(options.training.steps, 7);
  EXPECT_EQ(options.training.stage, "joint");
  EXPECT_EQ(options.prepare.size, 512);
}

TEST(Config, ReadsEveryKindOfField) {
  const Options options = read(R"(
prepare: {images: 'my photos', size: 256}
training:
  steps: 1e3
  gradient_checkpointing: true
  learning_rate: 1e-4
  clip: .inf
  stage: lora
  targets: ["*.to_q", to_k]
  weights: [0.25, 2]
  drop: {text: 1}
)");
  EXPECT_EQ(options.prepare.images, "my photos");
  EXPECT_EQ(options.prepare.size, 256);
  EXPECT_EQ(options.training.steps, 1000);
  EXPECT_TRUE(options.training.gradient_checkpointing);
  EXPECT_EQ(options.training.learning_rate, 1e-4);
  EXPECT_TRUE(std::isinf(options.training.clip));
  EXPECT_EQ(options.training.stage, "lora");
  EXPECT_THAT(options.training.targets, ElementsAre("*.to_q", "to_k"));
  EXPECT_THAT(options.training.weights, ElementsAre(0.25, 2.0));
  EXPECT_EQ(options.training.drop.text, 1.0);
}

TEST(Config, TakesASingleValueAsAListOfOne) {
  const Options options = read("training: {targets: to_q, weights: 3}\n");
  EXPECT_THAT(options.training.targets, ElementsAre("to_q"));
  EXPECT_THAT(options.training.weights, ElementsAre(3.0));
}

TEST(Config, TakesAnEmptyListAndAnEmptySection) {
  EXPECT_TRUE(read("training: {targets: []}\n").training.targets.empty());
  EXPECT_EQ(read("training:\n  # steps: 5\n").training.steps, 1000);
  EXPECT_EQ(read("").prepare.size, 512);
  EXPECT_EQ(read("---\n...\n").prepare.size, 512);
}

struct MapOptions {
  config::Map<int64_t> ranks = {{"to_q", 4}};
  config::Map<double> alphas;
  void describe(config::Fields& fields) {
    fields.field("ranks", ranks, "by module", {1, 64});
    fields.field("alphas", alphas, "by module", {0, 10});
  }
  void validate() const {}
};

MapOptions read_maps(const std::string& text, const std::vector<std::string>& overrides = {}) {
  MapOptions options;
  config::Document::parse(text, "x.yaml", overrides).read_into(options);
  return options;
}

std::string map_error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    read_maps(text, overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Config, ReadsAMapInTheOrderOfTheFile) {
  const MapOptions options = read_maps("ranks:\n  to_v: 8\n  'a.*b': 2\nalphas: {x.y: 0.5}\n");
  EXPECT_THAT(options.ranks, ElementsAre(testing::Pair("to_v", 8), testing::Pair("a.*b", 2)));
  EXPECT_THAT(options.alphas, ElementsAre(testing::Pair("x.y", 0.5)));
  EXPECT_THAT(read_maps("alphas: {}\n").ranks, ElementsAre(testing::Pair("to_q", 4)));
  EXPECT_TRUE(read_maps("ranks: {}\n").ranks.empty());
  EXPECT_THAT(read_maps("", {"ranks={to_out.0: 3, b: 1}"}).ranks,
              ElementsAre(testing::Pair("to_out.0", 3), testing::Pair("b", 1)));
}

TEST(Config, NamesTheEntryOfAMapThatIsWrong) {
  EXPECT_THAT(map_error_of("ranks: {a: 1, b: 65}\n"),
              AllOf(HasSubstr("x.yaml:1"), HasSubstr("ranks.b = 65"), HasSubstr("1 to 64")));
  EXPECT_THAT(map_error_of("ranks: {a: 1.5}\n"), HasSubstr("expected a whole number"));
  EXPECT_THAT(map_error_of("ranks: {a: [1]}\n"), HasSubstr("expected a whole number"));
  EXPECT_THAT(map_error_of("alphas: {a: .nan}\n"), HasSubstr("alphas.a"));
  EXPECT_THAT(map_error_of("alphas: [1]\n"), HasSubstr("expected a map"));
  EXPECT_THAT(map_error_of("alphas: 1\n"), HasSubstr("expected a map"));
  EXPECT_THAT(map_error_of("alphas:\n"), HasSubstr("write {} for none"));
  EXPECT_THAT(map_error_of("", {"ranks={a: 0}"}), HasSubstr("--set ranks={a: 0}"));
  EXPECT_THAT(map_error_of("", {"ranks={a: 1"}), HasSubstr("--set ranks={a: 1"));
}

TEST(Config, TakesANumberAsTextWhereTextIsAsked) {
  EXPECT_EQ(read("prepare: {images: 2024}\n").prepare.images, "2024");
}

TEST(Config, NamesLineAndNearestKeyOfAMistypedKey) {
  EXPECT_EQ(error_of("training:\n  gradient_checkpointing: true\n  stpes: 500\n"),
            "configs/demo.yaml:3: training.stpes: unknown key (did you mean training.steps?); its "
            "value is 500");
}

TEST(Config, NamesTheNearestSectionOfAMistypedSection) {
  EXPECT_THAT(error_of("trainig:\n  steps: 5\n"),
              HasSubstr("trainig: unknown key (did you mean training?)"));
}

TEST(Config, NamesTheSectionThatHasAMisplacedKey) {
  EXPECT_THAT(error_of("learning_rate: 0.1\n"), HasSubstr("did you mean training.learning_rate?"));
}

TEST(Config, ListsTheKnownKeysWhenNoneIsNear) {
  EXPECT_THAT(error_of("prepare: {quantum_flux: 1}\n"),
              HasSubstr("(known keys of prepare: images, size)"));
}

TEST(Config, FindsUnknownKeysInNestedSectionsAndBelowValues) {
  EXPECT_THAT(error_of("training: {drop: {txet: 0.1}}\n"),
              HasSubstr("training.drop.txet: unknown key (did you mean training.drop.text?)"));
}

TEST(Config, NamesTheRangeOfAValueOutsideOfIt) {
  EXPECT_EQ(error_of("\nprepare:\n  size: 7\n"),
            "configs/demo.yaml:3: prepare.size = 7: expected 64 to 2048");
  EXPECT_THAT(error_of("training: {steps: 0}"),
              HasSubstr("training.steps = 0: expected at least 1"));
  EXPECT_THAT(error_of("training: {weights: [1, 101]}"),
              HasSubstr("training.weights[1] = 101: expected 0 to 100"));
  EXPECT_THAT(error_of("training: {drop: {text: 1.0001}}"), HasSubstr("expected 0 to 1"));
}

TEST(Config, RefusesAWrongTypeByName) {
  EXPECT_EQ(error_of("prepare:\n  size: large\n"),
            "configs/demo.yaml:2: prepare.size = large: expected a whole number, 64 to 2048");
  for (const char* text : {"prepare: {size: \"128\"}",
                           "prepare: {size: 128.5}",
                           "prepare: {size: 0128}",
                           "prepare: {size: 0x80}",
                           "prepare: {size: 128px}",
                           "prepare: {size: true}",
                           "prepare: {size: [128]}",
                           "prepare: {size: {value: 128}}",
                           "prepare: {size: 99999999999999999999}",
                           "prepare: {size: }",
                           "prepare: {size: ~}"}) {
    EXPECT_THAT(error_of(text), HasSubstr("prepare.size = ")) << text;
    EXPECT_THAT(error_of(text), HasSubstr("expected a whole number")) << text;
  }
  for (const char* text : {"training: {learning_rate: fast}",
                           "training: {learning_rate: 1e-4x}",
                           "training: {learning_rate: 1e999}",
                           "training: {learning_rate: []}",
                           "training: {learning_rate: \"0.1\"}"}) {
    EXPECT_THAT(error_of(text), HasSubstr("expected a number, 0 to 1")) << text;
  }
  for (const char* value : {"yes", "on", "1", "\"true\"", "[true]", "~"}) {
    EXPECT_THAT(error_of("training: {gradient_checkpointing: " + std::string(value) + "}"),
                HasSubstr("expected true or false"))
        << value;
  }
  EXPECT_THAT(error_of("prepare: {images: [a, b]}"),
              HasSubstr("prepare.images = [a, b]: expected text"));
  EXPECT_THAT(error_of("prepare: {images: }"), HasSubstr("expected text (write \"\" for none)"));
  EXPECT_THAT(error_of("training: {targets: {a: b}}"), HasSubstr("expected a list"));
  EXPECT_THAT(error_of("training: {targets: [[a]]}"), HasSubstr("training.targets[0]"));
  EXPECT_THAT(error_of("training: {weights: [1, heavy]}"),
              HasSubstr("training.weights[1] = heavy"));
}

TEST(Config, RefusesInfinityAndNotANumberUnlessTheRangeHoldsThem) {
  EXPECT_THAT(error_of("training: {learning_rate: .inf}"), HasSubstr("expected 0 to 1"));
  EXPECT_THAT(error_of("training: {learning_rate: .nan}"), HasSubstr("expected 0 to 1"));
  EXPECT_THAT(error_of("training: {clip: .nan}"), HasSubstr("training.clip = .nan: expected"));
  EXPECT_EQ(error_of("training: {clip: .inf}"), "no error");
}

TEST(Config, RefusesASectionThatIsAValue) {
  EXPECT_EQ(error_of("training: 5\n"),
            "configs/demo.yaml:1: training = 5: expected a section of keys");
  EXPECT_THAT(error_of("training: [steps, 5]\n"), HasSubstr("expected a section of keys"));
}

TEST(Config, NamesTheNearestChoice) {
  EXPECT_THAT(error_of("training: {stage: jiont}"),
              HasSubstr("training.stage = jiont: expected one of lora, ip_adapter, joint (did you "
                        "mean joint?)"));
}

TEST(Config, ValidatesLastWithAllKeysRead) {
  EXPECT_EQ(error_of("training: {steps: 5, stop_at: 6}"),
            "training.stop_at: expected at most training.steps");
}

TEST(Config, LoadsAFileAndNamesOneThatIsMissing) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("limewash-config-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "a.yaml") << "prepare: {size: 65}\n";
  Options options;
  config::Document::load((folder / "a.yaml").string(), {"training.steps=3"}).read_into(options);
  EXPECT_EQ(options.prepare.size, 65);
  EXPECT_EQ(options.training.steps, 3);
  EXPECT_THROW(config::Document::load((folder / "b.yaml").string(), {}), ConfigError);
  EXPECT_THROW(config::Document::load(folder.string(), {}), ConfigError);
  std::filesystem::remove_all(folder);
  Options empty;
  config::Document::load("", {}).read_into(empty);
  EXPECT_EQ(empty.prepare.size, 512);
}

}  // namespace
}  // namespace limewash
