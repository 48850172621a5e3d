#include "tracking/shipping_state.h"

#include <algorithm>
#include <string_view>

#include <nlohmann/json.hpp>
#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>
#include <xxhash.h>

#include "runtime/files.h"

namespace limewash::tracking {
namespace {

constexpr std::string_view kReplayPrefix = "tracker-replay-";
constexpr std::string_view kSuffix = ".json";
constexpr int kFormat = 1;

}  // namespace

std::string replay_state_file(const std::string& uri) {
  // A URI is no file name; its hash is.
  return fmt::format("{}{:016x}{}", kReplayPrefix, XXH3_64bits(uri.data(), uri.size()), kSuffix);
}

std::vector<std::string> find_shipping_states(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name == kShippingStateFile || (name.starts_with(kReplayPrefix) && name.ends_with(kSuffix)))
      names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

ShippingState load_shipping_state(const std::filesystem::path& folder,
                                  const std::string& file_name) {
  const auto path = folder / file_name;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return {};
  try {
    const auto json = nlohmann::json::parse(read_file(path, uint64_t{1} << 20));
    if (json.at("format") != kFormat) throw std::invalid_argument("another format");
    ShippingState state;
    state.uri = json.at("uri").get<std::string>();
    state.experiment_id = json.at("experiment_id").get<std::string>();
    state.run_id = json.at("run_id").get<std::string>();
    state.client_run_key = json.at("client_run_key").get<std::string>();
    state.unlinked_parent = json.value("unlinked_parent", "");
    state.records = json.at("records").get<JournalOffsets>();
    state.files = json.at("files").get<JournalOffsets>();
    return state;
  } catch (const std::exception& problem) {
    spdlog::warn("'{}' is damaged ({}); the run is shipped from the beginning",
                 path.string(),
                 problem.what());
    return {};
  }
}

void save_shipping_state(const std::filesystem::path& folder,
                         const ShippingState& state,
                         const std::string& file_name) {
  const nlohmann::json json = {{"format", kFormat},
                               {"uri", state.uri},
                               {"experiment_id", state.experiment_id},
                               {"run_id", state.run_id},
                               {"client_run_key", state.client_run_key},
                               {"unlinked_parent", state.unlinked_parent},
                               {"records", state.records},
                               {"files", state.files}};
  write_file_atomically(folder / file_name, json.dump(2) + "\n");
}

}  // namespace limewash::tracking
