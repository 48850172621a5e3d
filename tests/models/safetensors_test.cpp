#include "models/safetensors.h"

#include <cstring>
#include <fstream>
#include <limits>

#include <gmock/gmock.h>
#include <torch/torch.h>

#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/random.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// A file of header and data; the length field is `claimed`, or the header's true size.
std::string file_bytes(const std::string& header, const std::string& data, int64_t claimed = -1) {
  const uint64_t size = claimed < 0 ? header.size() : static_cast<uint64_t>(claimed);
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(size >> (8 * i) & 0xff);
  return bytes + header + data;
}

std::string repeated(size_t count,
                     char letter,
                     const std::string& before,
                     const std::string& after = "") {
  std::string text = before;
  text.append(count, letter);
  return text.append(after);
}

class SafetensorsTest : public ::testing::Test {
 protected:
  std::string error_of(const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    const std::string message = message_of<InputError>([&] { read_safetensors(path); });
    EXPECT_THAT(message, HasSubstr("file.safetensors"));
    return message;
  }
  TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "file.safetensors";
};

TEST_F(SafetensorsTest, RoundTripKeepsEveryTypeShapeAndBit) {
  TensorMap tensors;
  const auto types = {at::kFloat,
                      at::kHalf,
                      at::kBFloat16,
                      at::kDouble,
                      at::kLong,
                      at::kInt,
                      at::kShort,
                      at::kChar,
                      at::kByte,
                      at::kBool};
  for (const auto type : types) {
    tensors[std::string("odd.") + at::toString(type)] =
        at::arange(15).remainder(2).view({3, 5}).to(type);
  }
  tensors["scalar"] = at::tensor(-0.0f).squeeze();
  tensors["empty"] = at::empty({0, 4});
  tensors["nan"] = at::full({1}, std::numeric_limits<float>::quiet_NaN());
  tensors["name \"with\" \\ and \xc3\xbc"] = at::ones({2});
  tensors["transposed"] = at::arange(6).view({2, 3}).to(at::kFloat).t();
  write_safetensors(path, tensors, {{"format", "pt"}, {"note", "a\nb"}});
  const SafetensorsFile back = read_safetensors(path);
  EXPECT_EQ(back.metadata,
            (std::map<std::string, std::string>{{"format", "pt"}, {"note", "a\nb"}}));
  ASSERT_EQ(back.tensors.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor& read = back.tensors.at(name);
    ASSERT_EQ(read.sizes(), tensor.sizes()) << name;
    ASSERT_EQ(read.scalar_type(), tensor.scalar_type()) << name;
    if (tensor.numel() == 0) continue;
    const at::Tensor dense = tensor.contiguous();
    EXPECT_EQ(std::memcmp(read.const_data_ptr(), dense.const_data_ptr(), dense.nbytes()), 0)
        << name;
  }
}

TEST_F(SafetensorsTest, EqualTensorsGiveEqualBytes) {
  const TensorMap tensors = {{"b", at::ones({3})}, {"a", at::zeros({2, 2})}};
  write_safetensors(path, tensors);
  const std::string first = read_file(path);
  write_safetensors(path, tensors);
  EXPECT_EQ(read_file(path), first);
}

TEST_F(SafetensorsTest, TensorsOutliveTheReaderAndNeverTouchTheFile) {
  write_safetensors(path, {{"a", at::ones({1000})}});
  const std::string before = read_file(path);
  at::Tensor tensor = read_safetensors(path).tensors.at("a");
  tensor.fill_(5);
  EXPECT_EQ(tensor.sum().item<float>(), 5000);
  EXPECT_EQ(read_file(path), before);
}

TEST_F(SafetensorsTest, ReadsTensorsThatAreNotAligned) {
  std::string data(1, '\x07');
  const float values[] = {1.5f, -2.0f};
  data.append(reinterpret_cast<const char*>(values), sizeof values);
  std::ofstream(path, std::ios::binary) << file_bytes(
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})",
      data);
  const auto tensors = read_safetensors(path).tensors;
  EXPECT_EQ(tensors.at("b")[0].item<float>(), 1.5f);
  EXPECT_EQ(tensors.at("b")[1].item<float>(), -2.0f);
}

TEST_F(SafetensorsTest, NamesTheFileWhenTruncatedAnywhere) {
  write_safetensors(path, {{"layer.weight", at::ones({3, 5})}, {"layer.bias", at::ones({3})}});
  const std::string whole = read_file(path);
  for (size_t size = 0; size < whole.size(); ++size) error_of(whole.substr(0, size));
  EXPECT_THAT(error_of(whole + "x"), HasSubstr("after the last tensor"));
}

TEST_F(SafetensorsTest, RefusesEachWayAHeaderCanLie) {
  const auto entry =
      [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
        return R"({"key":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
               offsets + "}}";
      };
  const std::string data(16, '\0');
  const struct {
    std::string header, expected;
  } cases[] = {
      {entry("F32", "[4]", "[0,12]"), "span 12 bytes"},
      {entry("F32", "[5]", "[0,20]"), "outside"},
      {entry("F32", "[4]", "[16,0]"), "outside"},
      {entry("F32", "[3]", "[4,16]"), "a gap at byte 4"},
      {entry("F32", "[3]", "[0,12]"), "after the last tensor"},
      {entry("F33", "[4]", "[0,16]"), "unknown dtype 'F33'"},
      {entry("F32", "[4611686018427387904,4]", "[0,16]"), "impossibly large"},
      {entry("F32", "[1099511627776,1099511627776]", "[0,16]"), "impossibly large"},
      {entry("F32", "[0,18446744073709551615]", "[0,0]"), "impossibly large"},
      {entry("F32", "[-4]", "[0,16]"), "a negative number"},
      {entry("F32", "[4.0]", "[0,16]"), "not a whole one"},
      {entry("F32", "[99999999999999999999999]", "[0,16]"), "not a whole one"},
      {entry("F32", "[[4]]", "[0,16]"), "a list"},
      {entry("F32", "[null]", "[0,16]"), "null"},
      {entry("F32", "4", "[0,16]"), "a number"},
      {entry("F32", "[4]", "[0,16,16]"), "not two numbers"},
      {entry("F32", "[4]", "[16]"), "not two numbers"},
      {entry("F32", repeated(80, '1', "[", "]"), "[0,16]"), "not a whole one"},
      {entry(
           "F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,4]", "[0,16]"),
       "more than 32 dimensions"},
      {R"({"key":{"dtype":"F32","shape":[4]}})", "without dtype, shape and data_offsets"},
      {R"({"key":{"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]}})", "second time"},
      {R"({"key":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"key":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
       "second time"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
       "an overlap at byte 8"},
      {R"({"key":{"dtype":"F32","shape":[4],"data_offsets":[0,16],"extra":"x"}})",
       "unexpected text"},
      {R"({"key":{"dtype":"F32","shape":[4],"data_offsets":[0,16],"extra":{}}})",
       "unexpected an object"},
      {R"({"key":[]})", "a list"},
      {R"({"key":true})", "true or false"},
      {R"({"__metadata__":{"a":1}})", "a number"},
      {R"({"__metadata__":{"a":"b","a":"c"}})", "given twice"},
      {R"({"__metadata__":{},"__metadata__":{}})", "a second __metadata__"},
      {"[]", "does not begin with '{'"},
      {"", "does not begin with '{'"},
      {" {}", "does not begin with '{'"},
      {"{", "broken JSON"},
      {"{}{}", "broken JSON"},
      {"{\"a", "broken JSON"},
      {"{\"\xff\":1}", "broken JSON"},
      {std::string("{\0}", 3), "broken JSON"},
      {repeated(200'000, '{', "{\"a\":"), "broken JSON"},
      {repeated(200'000, '[', "{\"a\":"), "a list"},
  };
  for (const auto& [header, expected] : cases) {
    EXPECT_THAT(error_of(file_bytes(header, data)), HasSubstr(expected)) << header.substr(0, 200);
  }
  EXPECT_THAT(
      error_of(file_bytes(R"({"key":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", "\x02")),
      HasSubstr("neither 0 nor 1"));
}

TEST_F(SafetensorsTest, RefusesAHeaderLengthThatTheFileDoesNotHave) {
  EXPECT_THAT(error_of(file_bytes("{}", "", 3)), HasSubstr("claims 3 bytes"));
  EXPECT_THAT(error_of(file_bytes("{}", "", std::numeric_limits<int64_t>::max())),
              HasSubstr("claims"));
  EXPECT_THAT(error_of(std::string(8, '\xff')), HasSubstr("claims 18446744073709551615"));
  EXPECT_THAT(error_of(std::string(108, '\xff')), HasSubstr("claims"));
}

TEST_F(SafetensorsTest, RefusesWhatIsNoFile) {
  EXPECT_THAT(message_of<InputError>([&] { read_safetensors(folder.path()); }),
              HasSubstr("not a regular file"));
  EXPECT_THAT(message_of<InputError>([&] { read_safetensors(folder.path() / "none"); }),
              AllOf(HasSubstr("none"), HasSubstr("No such file")));
}

TEST_F(SafetensorsTest, SurvivesRandomBytesAndEveryFlippedByteOfAHeader) {
  RandomStream random(1, Purpose::kEvaluation, 0, 0);
  for (int round = 0; round < 300; ++round) {
    std::string bytes(random.below(200), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.next_u32());
    error_of(bytes);
  }
  write_safetensors(
      path, {{"layer.weight", at::ones({3, 5})}, {"layer.bias", at::ones({3})}}, {{"a", "b"}});
  const std::string whole = read_file(path);
  for (size_t i = 0; i < whole.size() - 72; ++i) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ (1 << random.below(8)));
    std::ofstream(path, std::ios::binary) << changed;
    try {
      // A changed letter of a name is another valid file; then everything in it must be readable.
      for (const auto& [name, tensor] : read_safetensors(path).tensors) {
        EXPECT_TRUE(at::isfinite(tensor.to(at::kFloat).sum()).item<bool>() || tensor.numel() > 0);
      }
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("file.safetensors"));
    }
  }
}

TEST_F(SafetensorsTest, ControlCharactersOfANameNeverReachTheTerminal) {
  const std::string message = error_of(
      file_bytes("{\"a\\u001b[31m\":{\"dtype\":\"X\",\"shape\":[],\"data_offsets\":[0,0]}}", ""));
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_THAT(message, HasSubstr("a\\x1b[31m"));
}

}  // namespace
}  // namespace limewash::models
