#include "models/model_tokenize.h"

#include <istream>
#include <ostream>
#include <string>

#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "models/clip.h"
#include "models/clip_tokenizer.h"
#include "models/model_folder.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

ClipTokenizer tokenizer_of(const std::filesystem::path& model) {
  const auto folder =
      std::filesystem::is_directory(model / "tokenizer") ? model / "tokenizer" : model;
  const auto encoder = model / "text_encoder/config.json";
  if (folder == model || !std::filesystem::exists(encoder)) {
    // A tokenizer by itself: CLIP's length, and no bound on the ids but a large one.
    return ClipTokenizer::from_folder(folder, int64_t{1} << 24, 77);
  }
  const auto config = CLIPTextConfig::from_json(encoder);
  return ClipTokenizer::from_folder(folder, config.vocab_size, config.max_position_embeddings);
}

std::string text_of(const std::string& line, bool json) {
  if (!json) return line;
  const auto value = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!value.is_string()) throw InputError("expected a JSON string");
  return value.get<std::string>();
}

nlohmann::json ids_of(const ClipTokenizer& tokenizer, const std::string& text, bool padded) {
  if (!padded) return tokenizer.encode(text);
  const at::Tensor row = tokenizer.encode_batch({text});
  const auto* ids = row.const_data_ptr<int64_t>();
  return std::vector<int64_t>(ids, ids + row.numel());
}

}  // namespace

void tokenize_lines(const std::filesystem::path& model,
                    const TokenizeOptions& options,
                    std::istream& input,
                    std::ostream& output) {
  const ClipTokenizer tokenizer = tokenizer_of(resolve_model_folder(model));
  std::string line;
  for (int64_t number = 1; std::getline(input, line); ++number) {
    try {
      output << ids_of(tokenizer, text_of(line, options.json), options.padded) << '\n';
    } catch (const InputError& error) {
      throw InputError("line " + std::to_string(number) + " of the input: " + error.what());
    }
  }
  output.flush();
  if (!output) throw InputError("the ids can't be written");
}

}  // namespace limewash::models
