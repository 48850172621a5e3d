#include "trainer/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>
#include <torch/torch.h>

#include "models/safetensors.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "trainer/run_files.h"
#include "trainer/setting_differences.h"

namespace limewash::trainer {

namespace {

constexpr int kFormatVersion = 1;
constexpr const char* kStatePrefix = "step-";
constexpr const char* kPartialSuffix = ".partial";

constexpr const char* kExtraPrefix = "extra.";
constexpr uint64_t kLargestConfig = uint64_t{4} << 20;

/// The first tensors that only one of two layouts has, and how many there are.
std::string layout_difference(const std::string& then, const std::string& now) {
  constexpr size_t kShown = 3;
  const auto lines_of = [](const std::string& text) {
    std::set<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.insert(line);
    return lines;
  };
  const auto theirs = lines_of(then), ours = lines_of(now);
  std::string text;
  size_t count = 0;
  const auto add = [&](const std::string& line, const char* where) {
    if (++count <= kShown) text += (text.empty() ? "" : ", ") + line + " " + where;
  };
  for (const auto& line : theirs)
    if (!ours.contains(line)) add(line, "in the checkpoint only");
  for (const auto& line : ours)
    if (!theirs.contains(line)) add(line, "now only");
  if (count == 0) return "the trained tensors stand in another order";
  return text + (count > kShown ? " and " + std::to_string(count - kShown) + " more" : "");
}

/// The differences that make it another run.
std::vector<SettingDifference> shaping_differences(const RunIdentity& found,
                                                   const RunIdentity& expected,
                                                   const std::string& name) {
  const auto now = settings_of(expected.configuration, "the configuration");
  auto differences = setting_differences(
      settings_of(found.configuration, name), now, settings_of(expected.defaults, "the defaults"));
  // Where the learning rate never falls, a run does not know how long it is to be.
  const auto schedule = now.find("optimizer.schedule");
  const bool endless = schedule != now.end() && schedule->second == "constant";
  std::erase_if(differences, [&](const SettingDifference& difference) {
    return endless && difference.key == "training.steps";
  });
  return differences;
}

void require_same_run(const std::filesystem::path& path,
                      const RunIdentity& found,
                      const RunIdentity& expected) {
  std::string text =
      differences_text(shaping_differences(found, expected, (path / "state.json").string()));
  const auto add = [&](const std::string& more) { text += (text.empty() ? "" : "; ") + more; };
  if (found.dataset != expected.dataset)
    add("training set: fingerprint " + found.dataset + " in the checkpoint, " + expected.dataset +
        " now");
  if (found.base != expected.base)
    add("base model: fingerprint " + found.base + " in the checkpoint, " + expected.base + " now");
  if (found.layout != expected.layout && text.empty())
    add("trained weights: " + layout_difference(found.layout, expected.layout));
  if (text.empty()) return;
  throw ConfigError(
      path.string() + ": the checkpoint belongs to another run: " + text +
      ". Go on with the old configuration, or start anew with --overwrite or another run.name");
}

at::Tensor take(models::TensorMap& tensors,
                const std::string& key,
                const std::filesystem::path& path) {
  const auto found = tensors.find(key);
  if (found == tensors.end()) throw InputError(path.string() + ": no tensor '" + key + "'");
  return found->second.clone();  // out of the file's mapping
}

void write_files(const std::filesystem::path& folder,
                 const TrainingState& state,
                 const std::string& config_yaml,
                 const std::function<void(const std::filesystem::path&)>& write_adapter) {
  models::TensorMap tensors{
      {"values", state.values}, {"exp_avg", state.exp_avg}, {"exp_avg_sq", state.exp_avg_sq}};
  if (state.ema.defined()) tensors["ema"] = state.ema;
  for (const auto& [name, tensor] : state.extra) tensors[kExtraPrefix + name] = tensor;
  models::write_safetensors(folder / "training_state.safetensors", tensors);
  write_adapter(folder);
  write_file_atomically(folder / "config.yaml", config_yaml);
  const nlohmann::json document = {
      {"format", kFormatVersion},
      {"step", state.step},
      {"stage", state.stage},
      {"updates", state.updates},
      {"skipped_in_a_row", state.skipped_in_a_row},
      {"seconds", state.seconds},
      {"recent_losses", state.recent_losses},
      {"loss_spikes", state.loss_spikes},
      {"identity",
       {{"dataset", state.identity.dataset},
        {"base", state.identity.base},
        {"layout", state.identity.layout},
        {"configuration", state.identity.configuration}}},
  };
  write_file_atomically(folder / "state.json", document.dump(1) + "\n");
}

std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kStatePrefix)) return std::nullopt;
  int64_t step = 0;
  const char* begin = name.data() + std::string(kStatePrefix).size();
  const auto result = std::from_chars(begin, name.data() + name.size(), step);
  if (result.ec != std::errc() || result.ptr != name.data() + name.size()) return std::nullopt;
  return step;
}

/// What killed writers left: folders without DONE.
std::vector<std::filesystem::path> unfinished_folders(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  if (!std::filesystem::is_directory(folder)) return found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::string name = entry.path().filename().string();
    const bool partial = name.ends_with(kPartialSuffix);
    if (partial) name.resize(name.size() - std::string(kPartialSuffix).size());
    if (step_of(name) && (partial || !std::filesystem::exists(entry.path() / "DONE")))
      found.push_back(entry.path());
  }
  return found;
}

}  // namespace

std::filesystem::path checkpoint_path(const std::filesystem::path& folder, int64_t step) {
  return folder / step_name(step);
}

void write_checkpoint(const std::filesystem::path& folder,
                      const TrainingState& state,
                      const std::string& config_yaml,
                      const std::function<void(const std::filesystem::path&)>& write_adapter) {
  const auto final_path = checkpoint_path(folder, state.step);
  if (std::filesystem::exists(final_path / "DONE"))
    return;  // the same step of the same run: the same bytes
  auto temporary_name = final_path.filename();
  temporary_name += kPartialSuffix;
  const auto temporary = folder / temporary_name;
  std::error_code error;
  std::filesystem::remove_all(temporary, error);
  std::filesystem::remove_all(final_path, error);
  require_run_folder(folder.parent_path());
  std::filesystem::create_directory(folder, error);
  if (!error) std::filesystem::create_directory(temporary, error);
  if (error) throw InputError(temporary.string() + ": can't create: " + error.message());
  try {
    write_files(temporary, state, config_yaml, write_adapter);
    publish(temporary, final_path);
    write_file_atomically(final_path / "DONE", std::to_string(state.step) + "\n");
  } catch (...) {
    // On a full disk the next attempt needs the room.
    std::filesystem::remove_all(temporary, error);
    if (!std::filesystem::exists(final_path / "DONE", error))
      std::filesystem::remove_all(final_path, error);
    throw;
  }
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
    state.stage = document.value("stage", int64_t{0});
    state.recent_losses = document.value("recent_losses", std::vector<double>());
    state.loss_spikes = document.value("loss_spikes", int64_t{0});
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
  require_same_run(path, state.identity, expected);

  const auto tensors_path = path / "training_state.safetensors";
  auto file = models::read_safetensors(tensors_path);
  state.values = take(file.tensors, "values", tensors_path);
  state.exp_avg = take(file.tensors, "exp_avg", tensors_path);
  state.exp_avg_sq = take(file.tensors, "exp_avg_sq", tensors_path);
  if (file.tensors.contains("ema")) state.ema = take(file.tensors, "ema", tensors_path);
  for (const auto& [name, tensor] : file.tensors) {
    const std::string prefix = kExtraPrefix;
    if (name.starts_with(prefix)) state.extra[name.substr(prefix.size())] = tensor.clone();
  }
  return state;
}

std::string setting_changes(const std::filesystem::path& folder,
                            int64_t step,
                            const std::string& config_yaml) {
  const auto path = checkpoint_path(folder, step) / "config.yaml";
  try {
    auto differences =
        setting_differences(settings_of(read_file(path, kLargestConfig), path.string()),
                            settings_of(config_yaml, "the configuration"));
    // Another version's keys say nothing of what was chosen.
    std::erase_if(differences, [](const SettingDifference& difference) {
      return !difference.then || !difference.now;
    });
    return differences_text(differences);
  } catch (const ConfigError&) {
    return "";
  } catch (const InputError&) {
    return "";
  }
}

void prune_checkpoints(const std::filesystem::path& folder,
                       int64_t keep_last,
                       const std::set<int64_t>& keep) {
  const auto steps = complete_checkpoints(folder);
  const auto keep_from = std::max<int64_t>(0, static_cast<int64_t>(steps.size()) - keep_last);
  for (int64_t i = 0; i < keep_from; ++i) {
    const auto step = steps[static_cast<size_t>(i)];
    if (keep.contains(step)) continue;
    const auto path = checkpoint_path(folder, step);
    std::error_code error;
    std::filesystem::remove(path / "DONE", error);  // first: a half-deleted folder must not count
    std::filesystem::remove_all(path, error);
    if (error) spdlog::warn("{}: can't delete: {}", path.string(), error.message());
  }
  for (const auto& path : unfinished_folders(folder)) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
  }
}

}  // namespace limewash::trainer
