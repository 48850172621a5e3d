// Files of torch.save: those of tests/golden/pickles, written by torch, and hostile ones, written
// here.

#include "models/pickle_weights.h"

#include <cstring>
#include <fstream>

#include <gmock/gmock.h>
#include <torch/torch.h>

#include "models/pickle_machine.h"
#include "models/weights_file.h"
#include "models/zip_archive.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/random.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

using namespace std::string_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

void append_number(std::string& bytes, uint64_t value, int width) {
  for (int i = 0; i < width; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
}

struct StoredEntry {
  std::string name, data;
  uint64_t method = 0, flags = 0;
  int64_t shift = 0;  ///< added to where the directory says that the entry lies
  int64_t grow = 0;   ///< added to its size in the directory
};

/// A zip archive as PKWARE describes it, with one's own numbers where an entry asks for them.
std::string zip_of(const std::vector<StoredEntry>& entries) {
  std::string bytes, directory;
  for (const auto& entry : entries) {
    const uint64_t offset = bytes.size();
    bytes += "PK\x03\x04";
    append_number(bytes, 20, 2);
    append_number(bytes, entry.flags, 2);
    append_number(bytes, entry.method, 2);
    append_number(bytes, 0, 8);  // time, date, checksum
    append_number(bytes, entry.data.size(), 4);
    append_number(bytes, entry.data.size(), 4);
    append_number(bytes, entry.name.size(), 2);
    append_number(bytes, 0, 2);
    bytes += entry.name + entry.data;

    const auto size = static_cast<uint64_t>(static_cast<int64_t>(entry.data.size()) + entry.grow);
    directory += "PK\x01\x02";
    append_number(directory, 20, 2);
    append_number(directory, 20, 2);
    append_number(directory, entry.flags, 2);
    append_number(directory, entry.method, 2);
    append_number(directory, 0, 8);
    append_number(directory, size, 4);
    append_number(directory, size, 4);
    append_number(directory, entry.name.size(), 2);
    append_number(directory, 0, 12);  // extra, comment, part, attributes
    append_number(directory, static_cast<uint64_t>(static_cast<int64_t>(offset) + entry.shift), 4);
    directory += entry.name;
  }
  const uint64_t offset = bytes.size();
  bytes += directory + "PK\x05\x06";
  append_number(bytes, 0, 4);
  append_number(bytes, entries.size(), 2);
  append_number(bytes, entries.size(), 2);
  append_number(bytes, directory.size(), 4);
  append_number(bytes, offset, 4);
  append_number(bytes, 0, 2);
  return bytes;
}

std::string text_op(const std::string& text) {
  std::string op = "X";
  append_number(op, text.size(), 4);
  return op + text;
}

std::string int_op(int32_t value) {
  std::string op = "J";
  append_number(op, static_cast<uint32_t>(value), 4);
  return op;
}

/// ("storage", torch.FloatStorage, "0", "cpu", elements) as a persistent id.
std::string storage_op(int32_t elements, const std::string& type = "FloatStorage") {
  return "(" + text_op("storage") + "ctorch\n" + type + "\n" + text_op("0") + text_op("cpu") +
         int_op(elements) + "tQ";
}

std::string tensor_op(int32_t elements,
                      int32_t offset,
                      const std::vector<int32_t>& sizes,
                      const std::vector<int32_t>& strides) {
  std::string op = "ctorch._utils\n_rebuild_tensor_v2\n(" + storage_op(elements) + int_op(offset);
  for (const auto* numbers : {&sizes, &strides}) {
    op += "(";
    for (const int32_t number : *numbers) op += int_op(number);
    op += "t";
  }
  return op + "\x89}tR";
}

/// A file of torch.save's layout whose pickle is `program`; the storage "0" has three floats.
std::string file_of(const std::string& program) {
  return zip_of({{"archive/data.pkl", "\x80\x02" + program + "."},
                 {"archive/data/0", std::string(12, '\x01')}});
}

std::string entry_of(const std::string& value) {
  return "}" + text_op("w") + value + "s";
}

std::string error_of(const std::string& bytes) {
  const std::string message =
      message_of<InputError>([&] { parse_pickle_weights(bytes, "hostile.bin"); });
  EXPECT_THAT(message, HasSubstr("hostile.bin"));
  return message;
}

void expect_equal(const TensorMap& actual, const TensorMap& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(actual.contains(name)) << name;
    const at::Tensor& read = actual.at(name);
    EXPECT_EQ(read.scalar_type(), tensor.scalar_type()) << name;
    ASSERT_EQ(read.sizes(), tensor.sizes()) << name;
    const at::Tensor ours = read.contiguous(), theirs = tensor.contiguous();
    if (ours.nbytes() == 0) continue;
    EXPECT_EQ(std::memcmp(ours.const_data_ptr(), theirs.const_data_ptr(), ours.nbytes()), 0)
        << name;
  }
}

TEST(PickleWeights, ReadWhatTorchWrites) {
  const std::pair<const char*, const char*> files[] = {
      {"state_dict.bin", "state_dict"},
      {"state_dict_legacy.bin", "state_dict"},
      {"state_dict_protocol_5.bin", "state_dict"},
      {"dtypes.bin", "dtypes"},
      {"views.bin", "views"},
  };
  for (const auto& [file, expected] : files) {
    SCOPED_TRACE(file);
    const auto path = golden_path("pickles") / file;
    const TensorMap wanted = golden("pickles/"s + expected);
    expect_equal(read_pickle_weights(path).tensors, wanted);
    expect_equal(parse_pickle_weights(read_file(path), file), wanted);
    expect_equal(read_weights_file(path).tensors, wanted);
  }
}

TEST(PickleWeights, JoinNamesWithinNames) {
  expect_equal(read_pickle_weights(golden_path("pickles/ip_adapter.bin")).tensors,
               golden("pickles/ip_adapter"));
}

TEST(PickleWeights, TakeOnlyTheStateDictOfATrainingCheckpoint) {
  expect_equal(read_pickle_weights(golden_path("pickles/training.ckpt")).tensors,
               golden("pickles/training"));
}

TEST(PickleWeights, LieInTheMappedFile) {
  const auto file = read_pickle_weights(golden_path("pickles/views.bin"));
  const auto* whole = static_cast<const char*>(file.tensors.at("whole").const_data_ptr());
  EXPECT_EQ(file.tensors.at("rows").const_data_ptr(), whole + 2 * 4 * 4);
  EXPECT_EQ(file.tensors.at("transposed").strides(), at::IntArrayRef({1, 4}));
}

TEST(PickleWeights, AHandWrittenFileIsRead) {
  const auto tensors = parse_pickle_weights(file_of(entry_of(tensor_op(3, 1, {2}, {1}))), "hand");
  EXPECT_EQ(tensors.at("w").sizes(), at::IntArrayRef({2}));
}

TEST(PickleWeights, NameWhatWouldRunCodeAndDoNotRunIt) {
  TemporaryFolder folder;
  const auto marker = folder.path() / "was-run";
  const std::string argument = text_op("touch " + marker.string());
  const std::pair<std::string, std::string> programs[] = {
      {"cos\nsystem\n" + argument + "\x85R", "os.system"},
      {"cposix\nsystem\n" + argument + "\x85R", "posix.system"},
      {text_op("os") + text_op("system") + "\x93" + argument + "\x85R", "os.system"},
      {"c__builtin__\neval\n" + argument + "\x85R", "__builtin__.eval"},
      {"cbuiltins\ngetattr\n)R", "builtins.getattr"},
      {"(ios\nsystem\n", "os.system"},
      {"(cos\nsystem\n" + argument + "o", "os.system"},
      {"csubprocess\nPopen\n" + argument + "\x85\x81", "subprocess.Popen"},
      {"ctorch.storage\n_load_from_bytes\n)R", "torch.storage._load_from_bytes"},
      {"ctorch.hub\nload\n)R", "torch.hub.load"},
      {"cdiffusers.models.unets\nUNet\n)\x81}b", "diffusers.models.unets.UNet"},
      {"ccollections\nOrderedDict.__init__.__globals__\n)R", "__globals__"},
  };
  for (const auto& [program, name] : programs) {
    // As the value, and beside weights that are fine.
    const std::string beside =
        "}" + text_op("state_dict") + entry_of(tensor_op(3, 0, {3}, {1})) + "s" + text_op("other");
    for (const auto& bytes : {file_of(program), file_of(beside + program + "s")}) {
      EXPECT_THAT(error_of(bytes), AllOf(HasSubstr(name), HasSubstr("would run code")));
    }
  }
  EXPECT_FALSE(std::filesystem::exists(marker));
}

TEST(PickleWeights, RefuseOtherWaysToMakeObjects) {
  const std::string tensor = tensor_op(3, 0, {3}, {1});
  const std::pair<std::string, const char*> programs[] = {
      {tensor + "}b", "sets attributes of what is no dictionary"},
      {"(ctorch\nSize\n)o", "makes an object, which would run code"},
      {"\x82\x01", "opcode 130"},  // the extension registry
      {"P0\n", "opcode 80"},       // a persistent id as text
      {"S'x'\n", "opcode 83"},
      {text_op("os") + ")R", "calls what is no name"},
      {"ctorch\nfloat32\n)R", "which is no function"},
      {"(" + text_op("module") + text_op("x") + "tQ", "persistent id"},
      {text_op("0") + "Q", "persistent id"},
      {"\x97", "opcode 151"},  // a buffer outside of the pickle
  };
  for (const auto& [program, expected] : programs) {
    EXPECT_THAT(error_of(file_of(entry_of(program))), HasSubstr(expected));
  }
}

TEST(PickleWeights, RefuseTensorsBeyondTheirStorage) {
  const struct {
    int32_t elements, offset;
    std::vector<int32_t> sizes, strides;
    const char* expected;
  } cases[] = {
      {3, 0, {4}, {1}, "reaches to byte 16 of a storage of 12"},
      {3, 1, {3}, {1}, "reaches to byte 16"},
      {3, 0, {2}, {3}, "reaches to byte 16"},
      {3, -1, {2}, {1}, "offset"},
      {3, 0, {-2}, {1}, "size"},
      {3, 0, {2}, {-1}, "stride"},
      {3, 0, {2, 2}, {1}, "too few strides"},
      {3, 0, {1 << 30}, {0}, "a tensor of 4294967296 bytes"},  // one element, repeated
      {3, 0, {1 << 30, 1 << 30, 1 << 30}, {0, 0, 0}, "impossibly large"},
      {3, 0, std::vector<int32_t>(17, 1), std::vector<int32_t>(17, 1), "at most 16"},
      {4, 0, {4}, {1}, "has 12 bytes, the pickle says 16"},
      {2, 0, {2}, {1}, "has 12 bytes, the pickle says 8"},
  };
  for (const auto& bad : cases) {
    const auto op = tensor_op(bad.elements, bad.offset, bad.sizes, bad.strides);
    EXPECT_THAT(error_of(file_of(entry_of(op))), HasSubstr(bad.expected));
  }
  EXPECT_THAT(
      error_of(zip_of({{"a/data.pkl", "\x80\x02"s + entry_of(tensor_op(3, 0, {3}, {1})) + "."}})),
      HasSubstr("storage '0' is missing"));
}

TEST(PickleWeights, RefuseWhatIsNoDictionaryOfTensors) {
  EXPECT_THAT(error_of(file_of("]")), HasSubstr("expected a dictionary of tensors"));
  EXPECT_THAT(error_of(file_of("}")), HasSubstr("there is no tensor"));
  EXPECT_THAT(error_of(file_of(entry_of(text_op("x")))), HasSubstr("there is no tensor"));
  const std::string tensor = tensor_op(3, 0, {3}, {1});
  const std::string twice = "}" + text_op("w") + tensor + "s" + text_op("w") + tensor + "s";
  EXPECT_THAT(error_of(file_of(twice)), HasSubstr("two tensors are named w"));
}

TEST(PickleWeights, CyclesAndTowersEnd) {
  // A list that holds itself, and a dictionary of dictionaries whose names double at each level.
  EXPECT_THAT(error_of(file_of(entry_of("]q\x01h\x01"s + "a"))), HasSubstr("nested too deeply"));
  std::string tower = tensor_op(3, 0, {3}, {1}) + "q\x01"s;
  for (int level = 0; level < 28; ++level) {
    tower += "}(" + text_op("a") + "h\x01" + text_op("b") + "h\x01" + "uq\x01"s;
  }
  EXPECT_THAT(error_of(file_of(entry_of(tower))), HasSubstr("too many values"));
}

TEST(PickleWeights, MemoryStaysInProportionToTheFile) {
  // One list of a thousand pairs, made into a dictionary again and again.
  std::string program = "]q\x01("s;
  for (int i = 0; i < 1000; ++i) program += "K\x01K\x02\x86"s;
  program += "e0";
  for (int i = 0; i < 2000; ++i) program += "ccollections\nOrderedDict\nh\x01\x85R0"s;
  EXPECT_THAT(error_of(file_of(program + "}")), HasSubstr("too many values"));
  EXPECT_THAT(error_of(file_of(std::string(1'100'000, ']'))), HasSubstr("too many values"));
  EXPECT_THAT(error_of(file_of(std::string(1'100'000, '('))), HasSubstr("too many marks"));
  EXPECT_THAT(error_of(file_of("N" + std::string(1'100'000, '2'))), HasSubstr("too many values"));
  // Texts that claim more than there is.
  EXPECT_THAT(error_of(file_of("X\xff\xff\xff\xff")), HasSubstr("ends too early"));
  EXPECT_THAT(error_of(file_of("\x8d\xff\xff\xff\xff\xff\xff\xff\xff")),
              HasSubstr("ends too early"));
}

TEST(PickleWeights, ADamagedStackIsNoticed) {
  for (const std::string& program : {"0"s,
                                     "1"s,
                                     "2"s,
                                     "t"s,
                                     "a"s,
                                     "s"s,
                                     "R"s,
                                     "b"s,
                                     "Q"s,
                                     "\x93"s,
                                     "h\x05"s,
                                     "q\x05"s,
                                     "(N0"s + "00"}) {
    EXPECT_THAT(error_of(file_of(program)), HasSubstr("pickle, byte"));
  }
}

TEST(PickleWeights, BooleansAreZeroOrOne) {
  const std::string op = "ctorch._utils\n_rebuild_tensor_v2\n(" + storage_op(12, "BoolStorage") +
                         int_op(0) + int_op(12) + "\x85" + int_op(1) + "\x85\x89}tR";
  const auto file = [&](char value) {
    return zip_of(
        {{"a/data.pkl", "\x80\x02" + entry_of(op) + "."}, {"a/data/0", std::string(12, value)}});
  };
  EXPECT_TRUE(parse_pickle_weights(file('\x01'), "x").at("w").all().item<bool>());
  EXPECT_THAT(error_of(file('\x02')), HasSubstr("neither 0 nor 1"));
}

TEST(ZipArchive, RefusesWhatTorchDoesNotWrite) {
  const StoredEntry plain{"a/data.pkl", "0123456789"};
  const std::pair<std::vector<StoredEntry>, const char*> cases[] = {
      {{{"a/data.pkl", "0123456789", 8}}, "is compressed (method 8)"},
      {{{"a/data.pkl", "0123456789", 0, 1}}, "is encrypted"},
      {{plain, plain}, "stands twice"},
      {{plain, {"b", "x", 0, 0, -20}}, "is not where the directory says"},
      {{{"a/data.pkl", "0123456789", 0, 0, 0, 1}}, "reaches beyond the data"},
      {{{"a/data.pkl", "0123456789", 0, 0, 0, 1}, {"b", ""}}, "overlap"},
      {{{"a/data.pkl", "0123456789", 0, 0, 1}}, "is not where the directory says"},
      {{{"a/data.pkl", "0123456789", 0, 0, 1 << 30}}, "is not where the directory says"},
      {{{"a/other.pkl", "0123456789"}}, "without a data.pkl"},
      {{{"a/b/data.pkl", "0123456789"}}, "without a data.pkl"},
      {{plain, {"b/data.pkl", ""}}, "two pickles"},
      {{{"a/data.pkl", "\x80\x02}."}, {"a/byteorder", "big"}}, "byte order"},
  };
  for (const auto& [entries, expected] : cases) {
    EXPECT_THAT(error_of(zip_of(entries)), HasSubstr(expected));
  }
  EXPECT_THAT(error_of("PK\x03\x04"), HasSubstr("truncated"));
  EXPECT_THAT(error_of("no archive at all, but long enough"),
              HasSubstr("torch.save did not write"));
}

/// As for an archive of more than 4 GiB: each number is all ones, and stands in the zip64 records.
std::string zip64_of(const std::string& name, const std::string& data, int64_t shift = 0) {
  std::string bytes = "PK\x03\x04" + std::string(22, '\0');
  append_number(bytes, name.size(), 2);
  append_number(bytes, 0, 2);
  bytes += name + data;
  const uint64_t directory = bytes.size();
  bytes += "PK\x01\x02" + std::string(16, '\0');
  append_number(bytes, ~uint64_t{0}, 8);  // both sizes
  append_number(bytes, name.size(), 2);
  append_number(bytes, 4 + 3 * 8, 2);
  bytes += std::string(10, '\0');
  append_number(bytes, ~uint64_t{0}, 4);
  bytes += name;
  append_number(bytes, 1, 2);
  append_number(bytes, 3 * 8, 2);
  append_number(bytes, data.size(), 8);
  append_number(bytes, data.size(), 8);
  append_number(bytes, 0, 8);
  const uint64_t end = bytes.size();
  bytes += "PK\x06\x06";
  append_number(bytes, 44, 8);
  append_number(bytes, 0, 12);
  append_number(bytes, 1, 8);
  append_number(bytes, 1, 8);
  append_number(bytes, end - directory, 8);
  append_number(bytes, directory + static_cast<uint64_t>(shift), 8);
  bytes += "PK\x06\x07";
  append_number(bytes, 0, 4);
  append_number(bytes, end, 8);
  append_number(bytes, 1, 4);
  bytes += "PK\x05\x06";
  append_number(bytes, 0, 4);
  append_number(bytes, ~uint64_t{0}, 8);
  append_number(bytes, ~uint64_t{0}, 4);
  append_number(bytes, 0, 2);
  return bytes;
}

TEST(ZipArchive, ReadsTheNumbersOfLargeArchives) {
  const std::string bytes = zip64_of("a/b", "0123456789");
  const auto entries = read_zip_directory(bytes, "large");
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(bytes.substr(entries.at("a/b").offset, entries.at("a/b").size), "0123456789");
  EXPECT_THAT(error_of(zip64_of("a/b", "0123456789", 1)), HasSubstr("does not lie where it says"));
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x41);
    try {
      for (const auto& [name, entry] : read_zip_directory(changed, "large")) {
        EXPECT_LE(entry.offset + entry.size, bytes.size());
      }
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("large"));
    }
  }
}

TEST(PickleWeights, EveryTruncationIsNoticed) {
  for (const char* name : {"state_dict.bin", "state_dict_legacy.bin", "training.ckpt"}) {
    const std::string whole = read_file(golden_path("pickles") / name);
    for (size_t size = 0; size < whole.size(); ++size) {
      EXPECT_THROW(parse_pickle_weights(whole.substr(0, size), name), InputError) << name << size;
    }
  }
}

TEST(PickleWeights, EveryChangedByteIsReadOrRefused) {
  RandomStream random(2, Purpose::kEvaluation, 0, 0);
  for (const char* name : {"state_dict.bin", "state_dict_legacy.bin", "dtypes.bin", "views.bin"}) {
    const std::string whole = read_file(golden_path("pickles") / name);
    for (size_t i = 0; i < whole.size(); ++i) {
      std::string changed = whole;
      changed[i] = static_cast<char>(random.next_u32());
      try {
        for (const auto& [key, tensor] : parse_pickle_weights(changed, name)) {
          EXPECT_LE(tensor.nbytes(), whole.size());
          tensor.contiguous().to(at::kFloat).sum();
        }
      } catch (const InputError& error) {
        EXPECT_THAT(error.what(), HasSubstr(name));
      }
    }
  }
}

TEST(PickleWeights, RandomProgramsEnd) {
  RandomStream random(3, Purpose::kEvaluation, 0, 0);
  const std::string words =
      "(.012GJKMNQRTUX]abcehijoqrst)u}BC\x80\x81\x85\x86\x87\x88\x89\x8a\x93\x94\x95"
      "\x01\x02\x05"s;
  for (int round = 0; round < 20'000; ++round) {
    std::string program(1 + random.below(40), '\0');
    for (char& letter : program) letter = words[random.below(words.size())];
    try {
      read_pickle(program, "random");
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("random: pickle"));
    }
  }
}

}  // namespace
}  // namespace limewash::models
