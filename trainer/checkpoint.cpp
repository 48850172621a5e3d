#include "trainer/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <sstream>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>
#include <torch/torch.h>

#include "models/safetensors.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::trainer {

namespace {

constexpr int kFormatVersion = 1;
constexpr const char* kStatePrefix = "step-";

/// The first line in which two texts differ, for a message.
std::string first_difference(const std::string& ours, const std::string& theirs) {
  std::istringstream our_lines(ours), their_lines(theirs);
  std::string our_line, their_line;
  while (true) {
    const bool our_end = !std::getline(our_lines, our_line),
               their_end = !std::getline(their_lines, their_line);
    if (our_end) our_line.clear();
    if (their_end) their_line.clear();
    if (our_line != their_line)
      return "'" + their_line + "' in the checkpoint, '" + our_line + "' now";
    if (our_end && their_end) return "nothing that can be shown";
  }
}

void require_same(const std::filesystem::path& path,
                  const char* what,
                  const std::string& expected,
                  const std::string& found) {
  if (expected == found) return;
  throw ConfigError(
      path.string() + ": the checkpoint belongs to another " + what + ": " +
      first_difference(expected, found) +
      ". Go on with the old configuration, or start anew with --overwrite or another run.name");
}

at::Tensor take(models::TensorMap& tensors,
                const std::string& key,
                const std::filesystem::path& path) {
  const auto found = tensors.find(key);
  if (found == tensors.end()) throw InputError(path.string() + ": no tensor '" + key + "'");
  return found->second.clone();  // out of the file's mapping
}

std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kStatePrefix)) return std::nullopt;
  int64_t step = 0;
  const char* begin = name.data() + std::string(kStatePrefix).size();
  const auto result = std::from_chars(begin, name.data() + name.size(), step);
  if (result.ec != std::errc() || result.ptr != name.data() + name.size()) return std::nullopt;
  return step;
}

}  // namespace

std::filesystem::path checkpoint_path(const std::filesystem::path& folder, int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "%s%06lld", kStatePrefix, static_cast<long long>(step));
  return folder / name;
}

void write_checkpoint(const std::filesystem::path& folder,
                      const TrainingState& state,
                      const std::string& config_yaml,
                      const std::function<void(const std::filesystem::path&)>& write_adapter) {
  const auto final_path = checkpoint_path(folder, state.step);
  if (std::filesystem::exists(final_path / "DONE"))
    return;  // the same step of the same run: the same bytes
  auto temporary_name = final_path.filename();
  temporary_name += ".partial";
  const auto temporary = folder / temporary_name;
  std::error_code error;
  std::filesystem::remove_all(temporary, error);
  std::filesystem::remove_all(final_path, error);
  std::filesystem::create_directories(temporary, error);
  if (error) throw InputError(temporary.string() + ": can't create: " + error.message());

  models::TensorMap tensors{
      {"values", state.values}, {"exp_avg", state.exp_avg}, {"exp_avg_sq", state.exp_avg_sq}};
  if (state.ema.defined()) tensors["ema"] = state.ema;
  for (const auto& [name, tensor] : state.extra) tensors["extra." + name] = tensor;
  models::write_safetensors(temporary / "training_state.safetensors", tensors);
  write_adapter(temporary);
  write_file_atomically(temporary / "config.yaml", config_yaml);
  const nlohmann::json document = {
      {"format", kFormatVersion},
      {"step", state.step},
      {"updates", state.updates},
      {"skipped_in_a_row", state.skipped_in_a_row},
      {"seconds", state.seconds},
      {"identity",
       {{"dataset", state.identity.dataset},
        {"base", state.identity.base},
        {"layout", state.identity.layout},
        {"configuration", state.identity.configuration}}},
  };
  write_file_atomically(temporary / "state.json", document.dump(1) + "\n");
  publish(temporary, final_path);
  write_file_atomically(final_path / "DONE", std::to_string(state.step) + "\n");
}

std::vector<int64_t> complete_checkpoints(const std::filesystem::path& folder) {
  std::vector<int64_t> steps;
  if (!std::filesystem::is_directory(folder)) return steps;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto step = step_of(entry.path().filename().string());
    if (step && std::filesystem::exists(entry.path() / "DONE")) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

TrainingState read_checkpoint(const std::filesystem::path& folder,
                              int64_t step,
                              const RunIdentity& expected) {
  const auto path = checkpoint_path(folder, step);
  const auto state_path = path / "state.json";
  TrainingState state;
  try {
    const auto document = nlohmann::json::parse(read_file(state_path, uint64_t{1} << 26));
    const int format = document.at("format").get<int>();
    if (format != kFormatVersion) {
      throw InputError(state_path.string() + ": format " + std::to_string(format) + ", expected " +
                       std::to_string(kFormatVersion));
    }
    state.step = document.at("step").get<int64_t>();
    state.updates = document.at("updates").get<int64_t>();
    state.skipped_in_a_row = document.at("skipped_in_a_row").get<int64_t>();
    state.seconds = document.at("seconds").get<double>();
    const auto& identity = document.at("identity");
    state.identity.dataset = identity.at("dataset").get<std::string>();
    state.identity.base = identity.at("base").get<std::string>();
    state.identity.layout = identity.at("layout").get<std::string>();
    state.identity.configuration = identity.at("configuration").get<std::string>();
  } catch (const nlohmann::json::exception& error) {
    throw InputError(state_path.string() + ": " + error.what());
  }
  require_same(path, "configuration", expected.configuration, state.identity.configuration);
  require_same(path, "training set", expected.dataset, state.identity.dataset);
  require_same(path, "base model", expected.base, state.identity.base);
  require_same(path, "adapter", expected.layout, state.identity.layout);

  const auto tensors_path = path / "training_state.safetensors";
  auto file = models::read_safetensors(tensors_path);
  state.values = take(file.tensors, "values", tensors_path);
  state.exp_avg = take(file.tensors, "exp_avg", tensors_path);
  state.exp_avg_sq = take(file.tensors, "exp_avg_sq", tensors_path);
  if (file.tensors.contains("ema")) state.ema = take(file.tensors, "ema", tensors_path);
  const std::string prefix = "extra.";
  for (const auto& [name, tensor] : file.tensors) {
    if (name.starts_with(prefix)) state.extra[name.substr(prefix.size())] = tensor.clone();
  }
  return state;
}

void prune_checkpoints(const std::filesystem::path& folder,
                       int64_t keep_last,
                       std::optional<int64_t> best) {
  const auto steps = complete_checkpoints(folder);
  const auto keep_from = std::max<int64_t>(0, static_cast<int64_t>(steps.size()) - keep_last);
  for (int64_t i = 0; i < keep_from; ++i) {
    const auto step = steps[static_cast<size_t>(i)];
    if (step == best) continue;
    const auto path = checkpoint_path(folder, step);
    std::error_code error;
    std::filesystem::remove(path / "DONE", error);  // first: a half-deleted folder must not count
    std::filesystem::remove_all(path, error);
    if (error) spdlog::warn("{}: can't delete: {}", path.string(), error.message());
  }
}

}  // namespace limewash::trainer
