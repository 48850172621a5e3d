#include "tests/fuzz/parsers.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include <torch/torch.h>

#include "models/autoencoder_kl.h"
#include "models/autoencoder_tiny.h"
#include "models/base_model.h"
#include "models/clip.h"
#include "models/clip_tokenizer.h"
#include "models/noise_schedule.h"
#include "models/pickle_machine.h"
#include "models/pickle_weights.h"
#include "models/safetensors.h"
#include "models/safetensors_header.h"
#include "models/unet.h"
#include "models/zip_archive.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "tests/fuzz/dataset_parsers.h"
#include "tests/fuzz/picture_parsers.h"

namespace limewash::fuzz {

namespace {

using std::filesystem::path;

/// The bytes of every file below `folder` that `wanted` takes, in a fixed order.
std::vector<std::string> files_below(const path& folder,
                                     const std::function<bool(const path&)>& wanted,
                                     uint64_t max_bytes = 1 << 16) {
  std::vector<path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && wanted(entry.path()) && entry.file_size() <= max_bytes) {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> contents;
  for (const auto& file : paths) contents.push_back(read_file(file));
  if (contents.empty()) throw std::runtime_error(folder.string() + ": no input to begin with");
  return contents;
}

bool has_extension(const path& file, const char* extension) {
  return file.extension() == extension;
}

bool is_torch_file(const path& file) {
  return has_extension(file, ".bin") || has_extension(file, ".ckpt");
}

void write_plain(const path& file, const std::string& bytes) {
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!stream) throw std::runtime_error(file.string() + ": cannot write");
}

const std::vector<std::string>& json_words() {
  static const std::vector<std::string> words = {"{",
                                                 "}",
                                                 "[",
                                                 "]",
                                                 "[[[[[[[[",
                                                 "{\"a\":{\"a\":{\"a\":",
                                                 ":",
                                                 ",",
                                                 "null",
                                                 "true",
                                                 "false",
                                                 "\"\"",
                                                 "\"\\u0000\"",
                                                 "\"\\ud800\"",
                                                 "\xff\xfe",
                                                 "1e999",
                                                 "NaN",
                                                 "-",
                                                 "//",
                                                 "\"__metadata__\":{\"a\":\"b\"}",
                                                 "\"data_offsets\":[0,18446744073709551615]",
                                                 "\"shape\":[4294967296,4294967296]",
                                                 "\"dtype\":\"F64\""};
  return words;
}

Parser safetensors_header(const path& source) {
  Parser parser{"safetensors-header", {}, json_words(), {}};
  for (const auto& file : files_below(source / "tests/golden", [](const path& candidate) {
         return has_extension(candidate, ".safetensors");
       })) {
    uint64_t size = 0;
    for (int byte = 7; byte >= 0; --byte) {
      size = size << 8 | static_cast<unsigned char>(file[static_cast<size_t>(byte)]);
    }
    parser.corpus.push_back(file.substr(8, size));
  }
  parser.parse = [](const std::string& bytes) { models::parse_safetensors_header(bytes, "fuzz"); };
  return parser;
}

Parser safetensors(const path& source, const path& work) {
  Parser parser{"safetensors", {}, json_words(), {}};
  parser.corpus = files_below(
      source / "tests/golden",
      [](const path& candidate) { return has_extension(candidate, ".safetensors"); },
      1 << 13);
  const path file = work / "input.safetensors";
  parser.parse = [file](const std::string& bytes) {
    write_plain(file, bytes);
    for (const auto& [name, tensor] : models::read_safetensors(file).tensors) {
      if (tensor.numel() > 0) tensor.flatten()[0].item();
    }
  };
  return parser;
}

Parser config(const path& source, const path& work) {
  Parser parser{"config", {}, json_words(), {}};
  for (const char* folder : {"tests/golden", "models/limewash-tiny"}) {
    for (auto& file : files_below(source / folder, [](const path& candidate) {
           const std::string name = candidate.filename().string();
           return name.ends_with("config.json") && name != "tokenizer_config.json";
         })) {
      parser.corpus.push_back(std::move(file));
    }
  }
  // The readers of all networks see each input; one that accepts it is enough.
  parser.parse = [work](const std::string& bytes) {
    const path file = work / "config.json";
    write_plain(file, bytes);
    write_plain(work / "preprocessor_config.json", bytes);
    const std::vector<std::function<void()>> readers = {
        [&] { models::UNetConfig::from_json(file); },
        [&] { models::AutoencoderKLConfig::from_json(file); },
        [&] { models::AutoencoderTinyConfig::from_json(file); },
        [&] { models::CLIPTextConfig::from_json(file); },
        [&] { models::CLIPVisionConfig::from_json(file); },
        [&] { models::NoiseSchedule(models::NoiseScheduleConfig::from_json(file)); },
        [&] { models::ImagePreprocessing::from_folder(work, 224); }};
    std::string refusal;
    for (const auto& read : readers) {
      try {
        read();
        return;
      } catch (const InputError& error) {
        refusal = error.what();
      }
    }
    throw InputError(refusal);
  };
  return parser;
}

/// One input holds all files of a tokenizer, each behind its name, so that one damage can hit any.
constexpr const char* kFileMark = "\n<<file:";

std::string joined_files(const path& folder) {
  std::vector<path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::string bytes;
  for (const auto& file : paths) {
    bytes += kFileMark + file.filename().string() + ">>" + read_file(file);
  }
  return bytes;
}

models::ClipTokenizerFiles split_files(const std::string& bytes) {
  models::ClipTokenizerFiles files{.folder = "fuzz", .bytes = {}};
  const std::string mark = kFileMark;
  for (size_t at = bytes.find(mark); at != std::string::npos;) {
    const size_t name_end = bytes.find(">>", at);
    if (name_end == std::string::npos) break;
    const size_t next = bytes.find(mark, name_end);
    const size_t content = name_end + 2;
    files.bytes[bytes.substr(at + mark.size(), name_end - at - mark.size())] =
        bytes.substr(content, next == std::string::npos ? next : next - content);
    at = next;
  }
  return files;
}

Parser tokenizer(const path& source) {
  Parser parser{"tokenizer", {}, json_words(), {}};
  for (const char* folder : {"tests/golden/base/tokenizer", "models/limewash-tiny/tokenizer"}) {
    parser.corpus.push_back(joined_files(source / folder));
  }
  for (const char* word : {"</w>", "<|endoftext|>", "\"special\":true", "#version: 0.2\n", "a b\n"})
    parser.words.emplace_back(word);
  parser.parse = [](const std::string& bytes) {
    const models::ClipTokenizer tokenizer(split_files(bytes), 1 << 16, 77);
    // The text is whatever the input is, cut to be UTF-8.
    std::string text = bytes.substr(0, 256);
    std::replace_if(
        text.begin(), text.end(), [](char byte) { return (byte & 0x80) != 0; }, ' ');
    tokenizer.encode_batch({text, ""});
  };
  return parser;
}

const std::vector<std::string>& pickle_words() {
  static const std::vector<std::string> words = {"cos\nsystem\n",
                                                 "c__builtin__\neval\n",
                                                 "\x93",
                                                 "R",
                                                 "b",
                                                 "i",
                                                 "o",
                                                 "\x81",
                                                 "(",
                                                 "t",
                                                 "}",
                                                 "]",
                                                 "s",
                                                 "u",
                                                 "e",
                                                 "a",
                                                 "q\x01",
                                                 "h\x01",
                                                 std::string("r\xff\xff\xff\x7f", 5),
                                                 std::string("j\xff\xff\xff\xff", 5),
                                                 std::string("X\xff\xff\xff\xff", 5),
                                                 "Q",
                                                 "2",
                                                 "0",
                                                 "1",
                                                 ".",
                                                 "ctorch._utils\n_rebuild_tensor_v2\n",
                                                 std::string("\x8a\xff", 2),
                                                 "\x94",
                                                 "P0\n"};
  return words;
}

Parser pickle(const path& source) {
  Parser parser{"pickle", {}, pickle_words(), {}};
  for (const auto& file : files_below(source / "tests/golden/pickles", is_torch_file)) {
    if (!file.starts_with("PK")) continue;
    for (const auto& [name, entry] : models::read_zip_directory(file, "corpus")) {
      if (name.ends_with("data.pkl"))
        parser.corpus.push_back(file.substr(entry.offset, entry.size));
    }
  }
  parser.parse = [](const std::string& bytes) { models::read_pickle(bytes, "fuzz"); };
  return parser;
}

Parser torch_archive(const path& source) {
  Parser parser{"torch-archive", {}, pickle_words(), {}};
  parser.corpus = files_below(source / "tests/golden/pickles", is_torch_file);
  for (const char* word : {"PK\x01\x02", "PK\x03\x04", "PK\x05\x06", "PK\x06\x06", "PK\x06\x07"}) {
    parser.words.emplace_back(word);
  }
  parser.parse = [](const std::string& bytes) {
    for (const auto& [name, tensor] : models::parse_pickle_weights(bytes, "fuzz")) {
      if (tensor.numel() > 0) tensor.flatten()[-1].item();
    }
  };
  return parser;
}

}  // namespace

std::vector<Parser> all_parsers(const path& source, const path& work) {
  std::vector<Parser> parsers{safetensors_header(source),
                              safetensors(source, work),
                              config(source, work),
                              tokenizer(source),
                              pickle(source),
                              torch_archive(source)};
  for (Parser& parser : picture_parsers(work)) parsers.push_back(std::move(parser));
  for (Parser& parser : dataset_parsers(work)) parsers.push_back(std::move(parser));
  return parsers;
}

}  // namespace limewash::fuzz
