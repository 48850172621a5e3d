// The tokenizer against transformers' (golden ids), on texts that are long or broken, and on
// damaged files. tokenizer_parity_test.py draws many more texts.

#include "models/clip_tokenizer.h"

#include <chrono>
#include <fstream>
#include <functional>
#include <sstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "models/clip_text_split.h"
#include "models/model_tokenize.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/random.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kVocabSize = 2000;

std::filesystem::path golden_folder(const std::string& layout) {
  return golden_path("tokenizer") / layout;
}

ClipTokenizerFiles golden_files(const std::string& layout) {
  return ClipTokenizerFiles::read(golden_folder(layout));
}

ClipTokenizer golden_tokenizer(const std::string& layout = "old") {
  return ClipTokenizer::from_folder(golden_folder(layout), kVocabSize, 77);
}

class GoldenTexts : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenTexts, AgreeWithTransformers) {
  const json cases = json::parse(read_file(golden_path("tokenizer/cases.json"))).at(GetParam());
  const ClipTokenizer tokenizer = golden_tokenizer(GetParam());
  ASSERT_GT(cases.size(), 50u);
  for (const auto& [_, expected] : cases.items()) {
    const auto text = expected.at("text").get<std::string>();
    EXPECT_EQ(tokenizer.encode(text), expected.at("ids").get<std::vector<int64_t>>())
        << expected.at("text").dump(-1, ' ', true);
    const auto padded = expected.at("padded").get<std::vector<int64_t>>();
    EXPECT_TRUE(
        at::equal(tokenizer.encode_batch({text}), at::tensor(padded, at::kLong).unsqueeze(0)))
        << expected.at("text").dump(-1, ' ', true);
  }
}

INSTANTIATE_TEST_SUITE_P(ClipTokenizer, GoldenTexts, ::testing::Values("old", "sd2", "new"));

TEST(ClipTokenizer, EncodesABatchRowByRow) {
  const ClipTokenizer tokenizer = golden_tokenizer();
  EXPECT_EQ(tokenizer.max_length(), 12);  // tokenizer_config.json's, below the 77 asked for
  const std::vector<std::string> prompts = {"", "a wall", "a b c d e f g h i j k l m n o p"};
  const at::Tensor batch = tokenizer.encode_batch(prompts);
  ASSERT_EQ(batch.sizes(), at::IntArrayRef({3, 12}));
  for (int64_t row = 0; row < 3; ++row) {
    EXPECT_TRUE(at::equal(batch[row], tokenizer.encode_batch({prompts[row]})[0]));
  }
  EXPECT_EQ(tokenizer.encode_batch({}).sizes(), at::IntArrayRef({0, 12}));
}

TEST(ClipTextSplit, NormalisesAsTransformersDoes) {
  EXPECT_EQ(normalize_clip_text("A\t\r\n B\u3000\u2028C"), "a b c");
  EXPECT_EQ(normalize_clip_text("e\u0301 \u212b \u1100\u1161"), "\u00e9 \u00e5 \uac00");
  EXPECT_EQ(normalize_clip_text("\u0130 \u039f\u03a3"), "i\u0307 \u03bf\u03c3");
  EXPECT_EQ(normalize_clip_text("x\u0301\u0323"), "x\u0323\u0301");
  // A mark of Unicode 14: tokenizers' tables for the composed form are those of Unicode 9.
  EXPECT_EQ(normalize_clip_text("a\u0898\u0323"), "a\u0898\u0323");
  EXPECT_EQ(normalize_clip_text(""), "");
}

TEST(ClipTextSplit, SplitsWordsDigitsSignsAndContractions) {
  EXPECT_THAT(split_clip_text("it's 42!? we'll"),
              ElementsAre("it", "'s", "4", "2", "!?", "we", "'ll"));
  EXPECT_THAT(split_clip_text("!'s ''s"), ElementsAre("!'", "s", "''", "s"));
  EXPECT_THAT(split_clip_text("<|endoftext|>!!"), ElementsAre("<|", "endoftext", "|>", "!!"));
  EXPECT_THAT(split_clip_text("!<|endoftext|>"), ElementsAre("!<|", "endoftext", "|>"));
  EXPECT_THAT(split_clip_text("e\u0301a"), ElementsAre("e", "\u0301", "a"));
  EXPECT_THAT(split_clip_text("  "), ElementsAre());
}

TEST(ClipTokenizer, RefusesTextThatIsNotUtf8) {
  const ClipTokenizer tokenizer = golden_tokenizer();
  for (const std::string& broken : {std::string("\xff"),
                                    std::string("\xc0\xaf"),
                                    std::string("\xed\xa0\x80"),
                                    std::string("\xf4\x90\x80\x80"),
                                    std::string("\xe2\x82")}) {
    EXPECT_THAT(message_of<InputError>([&] { tokenizer.encode("a wall " + broken); }),
                HasSubstr("not UTF-8 at byte 7"));
  }
  EXPECT_THAT(message_of<InputError>([&] { tokenizer.encode(std::string(17 << 20, 'a')); }),
              HasSubstr("17825792 bytes"));
}

TEST(ClipTokenizer, TakesSecondsForAMegabyteOfAnything) {
  const ClipTokenizer tokenizer = golden_tokenizer("new");
  const auto repeated = [](const std::string& part) {
    std::string text;
    while (text.size() < (1 << 20)) text += part;
    return text;
  };
  for (const std::string part : {"a",
                                 "ab ",
                                 "!",
                                 "\u0301\u0323",
                                 "\u0f73\u0344",
                                 "\uac00",
                                 "<|endoftext|>",
                                 "<|endoftex",
                                 "'s",
                                 "\u0130",
                                 " "}) {
    const auto begin = std::chrono::steady_clock::now();
    const size_t count = tokenizer.encode(repeated(part)).size();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(seconds.count(), 10) << part;
    EXPECT_EQ(count == 0, part == " ") << part;
  }
}

/// Errors of damaged files: the file that is spoilt, with what, and what the message says.
struct Damage {
  std::string file;
  std::function<void(std::string& bytes)> spoil;
  std::string expected;
};

std::function<void(std::string&)> edit(const std::function<void(json&)>& change) {
  return [change](std::string& bytes) {
    json object = json::parse(bytes);
    change(object);
    bytes = object.dump();
  };
}

std::function<void(std::string&)> become(const std::string& text) {
  return [text](std::string& bytes) { bytes = text; };
}

std::string error_of(const ClipTokenizerFiles& files, int64_t vocab_size = kVocabSize) {
  return message_of<InputError>([&] { ClipTokenizer(files, vocab_size, 77); });
}

TEST(ClipTokenizer, NamesWhatIsDamagedInTheOldLayout) {
  const Damage damages[] = {
      {"vocab.json", become("{\"a\":"), "broken JSON"},
      {"vocab.json", become("[1, 2]"), "expected a JSON object"},
      {"vocab.json", become("{}"), "expected an object of tokens and ids"},
      {"vocab.json", become("{\"a\": 1, \"a\": 2}"), "stands twice"},
      {"vocab.json", edit([](json& o) { o["b"] = "7"; }), "the id of 'b' is \"7\""},
      {"vocab.json", edit([](json& o) { o["b"] = 1.5; }), "the id of 'b' is 1.5"},
      {"vocab.json", edit([](json& o) { o["b"] = -1; }), "the id of 'b' is -1"},
      {"vocab.json", edit([](json& o) { o["b"] = 2000; }), "'b' has the id 2000"},
      {"vocab.json", edit([](json& o) { o["b"] = 1ULL << 63; }), "the id 9223372036854775808"},
      {"vocab.json", edit([](json& o) { o["b"] = o["a"]; }), "stands for 'a' and for 'b'"},
      {"vocab.json", edit([](json& o) { o.erase("a"); }), "'a' is not in the vocabulary"},
      {"merges.txt", become("#version: 0.2\na b c\n"), "line 2: expected two parts"},
      {"merges.txt", become("ab\n"), "line 1: expected two parts"},
      {"merges.txt", become("#version: 0.2\n\n"), "line 2: expected two parts"},
      {"merges.txt", become("a  b\n"), "line 1: expected two parts"},
      {"merges.txt", become("a \u4e00\n"), "line 1: '\u4e00' is not in the vocabulary"},
      {"merges.txt", become("~ ~\n"), "line 1: '~~' is not in the vocabulary"},
      {"special_tokens_map.json", become("\x01"), "broken JSON"},
      {"special_tokens_map.json", become("{\"pad_token\": 3}"), "pad_token is 3"},
      {"special_tokens_map.json", become("{\"pad_token\": null}"), "pad_token is null"},
      {"special_tokens_map.json", become("{\"pad_token\": \"\"}"), "pad_token is \"\""},
      {"special_tokens_map.json", become("{\"eos_token\": {}}"), "eos_token is {}"},
      {"special_tokens_map.json",
       become("{\"pad_token\": {\"content\": \"!\", \"single_word\": true}}"),
       "single_word is true"},
      {"tokenizer_config.json", become("{\"padding_side\": \"left\"}"), "padding_side is \"left\""},
      {"tokenizer_config.json", become("{\"split_special_tokens\": true}"), "split_special_tokens"},
      {"tokenizer_config.json", become("{\"tokenizer_class\": \"T5Tokenizer\"}"), "T5Tokenizer"},
      {"tokenizer_config.json", become("{\"model_max_length\": 1}"), "model_max_length is 1"},
      {"tokenizer_config.json", become("{\"model_max_length\": \"x\"}"), "model_max_length is"},
      {"tokenizer_config.json", become("{\"image_token\": \"a\"}"), "image_token is \"a\""},
      {"tokenizer_config.json",
       become("{\"added_tokens_decoder\": {\"x\": {\"content\": \"a\"}}}"),
       "expected an id"},
      {"tokenizer_config.json",
       become("{\"added_tokens_decoder\": {\"5\": {\"content\": \"zzz\"}}}"),
       "'zzz' is given the id 5"},
  };
  for (const Damage& damage : damages) {
    ClipTokenizerFiles files = golden_files("old");
    damage.spoil(files.bytes.at(damage.file));
    EXPECT_THAT(error_of(files), AllOf(HasSubstr("tokenizer/old"), HasSubstr(damage.expected)))
        << damage.file << " " << files.bytes.at(damage.file).substr(0, 80);
  }
  ClipTokenizerFiles files = golden_files("old");
  files.bytes.erase("merges.txt");
  EXPECT_THAT(error_of(files), HasSubstr("merges.txt: no such file"));
  files.bytes.erase("vocab.json");
  EXPECT_THAT(error_of(files), HasSubstr("expected vocab.json or tokenizer.json"));
}

TEST(ClipTokenizer, NamesWhatIsDamagedInTheNewLayout) {
  const auto model = [](const std::string& key, const json& value) {
    return edit([=](json& o) { o["model"][key] = value; });
  };
  const auto added = [](const json& token) {
    return edit([=](json& o) { o["added_tokens"].push_back(token); });
  };
  const Damage damages[] = {
      {"", become("{}"), "model: expected an object"},
      {"", model("type", "WordPiece"), "model.type is \"WordPiece\""},
      {"", model("end_of_word_suffix", "@@"), "model.end_of_word_suffix is \"@@\""},
      {"", model("dropout", 0.1), "model.dropout is 0.1"},
      {"", model("vocab", json::array({1, 2})), "model.vocab: expected an object"},
      {"", model("merges", "a b"), "model.merges: expected a list"},
      {"", model("merges", json::array({"a b c"})), "model.merges[0]: expected two parts"},
      {"",
       model("merges", json::array({json::array({"a", "b", "c"})})),
       "model.merges[0] is [\"a\",\"b\",\"c\"]"},
      {"", model("merges", json::array({json::array({"a", 5})})), "model.merges[0] is [\"a\",5]"},
      {"", edit([](json& o) { o["added_tokens"] = 3; }), "added_tokens is 3"},
      {"",
       edit([](json& o) {
         o["truncation"] = {{"direction", "Left"}};
       }),
       "truncation is"},
      {"", added("x"), "the id of 'x' is null"},
      {"", added({{"content", "x "}, {"id", 1063}}), "without white space around it"},
      {"", added({{"content", "x"}, {"id", -1}}), "the id of 'x' is -1"},
      {"", added({{"content", std::string(300, 'x')}, {"id", 1063}}), "1 to 256 bytes"},
      {"", added({{"content", "new"}, {"id", 1064}}), "its place in the vocabulary is 1063"},
      {"", added({{"content", "new"}, {"id", 1062}}), "is another token's"},
      {"", added({{"content", "sage GREEN"}, {"id", 1063}}), "two added tokens read 'sage GREEN'"},
  };
  for (const Damage& damage : damages) {
    ClipTokenizerFiles files = golden_files("new");
    damage.spoil(files.bytes.at("tokenizer.json"));
    EXPECT_THAT(error_of(files), AllOf(HasSubstr("tokenizer/new"), HasSubstr(damage.expected)));
  }
  // The added tokens take the ids 1061 and 1062.
  EXPECT_THAT(error_of(golden_files("new"), 1062), HasSubstr("'Sage Green' has the id 1062"));
}

TEST(ClipTokenizer, NamesAByteThatHasNoToken) {
  ClipTokenizerFiles files{.folder = "made-up", .bytes = {}};
  files.bytes["vocab.json"] = R"({"a": 0, "b</w>": 1, "ab</w>": 2})";
  files.bytes["merges.txt"] = "a b</w>\n";
  const ClipTokenizer tokenizer(files, 10, 8);
  EXPECT_THAT(tokenizer.encode("AB ab"), ElementsAre(2, 2));
  EXPECT_THAT(message_of<InputError>([&] { tokenizer.encode("ab a"); }),
              HasSubstr("no token for the byte 0x61 at the end of a word"));
  // Start and end token take the ids behind the vocabulary.
  EXPECT_TRUE(at::equal(tokenizer.encode_batch({"ab"}),
                        at::tensor({3, 2, 4, 4, 4, 4, 4, 4}, at::kLong).unsqueeze(0)));
}

TEST(ClipTokenizer, RefusesFilesOfAGigabyteUnread) {
  for (const char* name : {"vocab.json", "merges.txt"}) {
    TemporaryFolder folder;
    std::filesystem::copy(golden_folder("old"), folder.path() / "tokenizer");
    std::filesystem::resize_file(folder.path() / "tokenizer" / name, uint64_t{1} << 30);
    EXPECT_THAT(message_of<InputError>([&] {
                  ClipTokenizer::from_folder(folder.path() / "tokenizer", kVocabSize, 77);
                }),
                HasSubstr(name));
  }
}

/// Each a file with some bytes changed, cut or doubled: a tokenizer or an InputError.
TEST(ClipTokenizer, SurvivesFilesWithRandomDamage) {
  RandomStream random(7, Purpose::kOrder, 0, 0);
  const auto below = [&](size_t limit) { return limit ? random.below(limit) : 0; };
  int loaded = 0, refused = 0;
  for (int round = 0; round < 600; ++round) {
    ClipTokenizerFiles files = golden_files(round % 2 ? "old" : "new");
    auto file = files.bytes.begin();
    std::advance(file, below(files.bytes.size()));
    std::string& bytes = file->second;
    for (size_t changes = 1 + below(3); changes > 0; --changes) {
      const size_t place = below(bytes.size());
      const size_t kind = below(4);
      if (kind == 0) bytes.resize(place);
      if (kind == 1) bytes.insert(place, bytes.substr(below(bytes.size()), below(40)));
      if (kind == 2) bytes.erase(place, below(40));
      if (kind == 3 && !bytes.empty()) bytes[place] = static_cast<char>(below(256));
    }
    try {
      ClipTokenizer(files, kVocabSize, 77).encode("a wall in Sage Green <|endoftext|>");
      ++loaded;
    } catch (const InputError&) {
      ++refused;
    }
  }
  EXPECT_GT(loaded, 10);
  EXPECT_GT(refused, 100);
}

TEST(TokenizeLines, WritesAListOfIdsForEachLine) {
  const auto run = [](const std::string& lines, TokenizeOptions options = {}) {
    std::istringstream input(lines);
    std::ostringstream output;
    tokenize_lines(golden_folder("old"), options, input, output);
    return output.str();
  };
  const json ids = golden_tokenizer().encode("a wall");
  EXPECT_EQ(run("a wall\n\nA  WALL"), ids.dump() + "\n[]\n" + ids.dump() + "\n");
  EXPECT_EQ(run("\"a\\nwall\"\n", {.json = true}), ids.dump() + "\n");
  EXPECT_EQ(json::parse(run("a wall\n", {.padded = true})).size(), 12u);
  EXPECT_THAT(message_of<InputError>([&] { run("a\n\xff\n"); }),
              HasSubstr("line 2 of the input: the text is not UTF-8"));
  for (const std::string line : {"a wall", "5", "\"a", "\"\\ud800\""}) {
    EXPECT_THAT(message_of<InputError>([&] { run("\"\"\n" + line + "\n", {.json = true}); }),
                HasSubstr("line 2 of the input: expected a JSON string"));
  }
}

TEST(TokenizeLines, TakesADiffusersFolder) {
  std::istringstream input("a sage wall\n");
  std::ostringstream output;
  const auto tiny = std::filesystem::path(LIMEWASH_SOURCE_DIR) / "models/limewash-tiny";
  tokenize_lines(tiny, {.padded = true}, input, output);
  EXPECT_EQ(json::parse(output.str()).size(), 32u);
}

}  // namespace
}  // namespace limewash::models
