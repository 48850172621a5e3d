#include "tracking/shipping_state.h"

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "runtime/files.h"

namespace limewash::tracking {
namespace {

constexpr const char* kFileName = "tracker.json";
constexpr int kFormat = 1;

}  // namespace

ShippingState load_shipping_state(const std::filesystem::path& folder) {
  const auto path = folder / kFileName;
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

void save_shipping_state(const std::filesystem::path& folder, const ShippingState& state) {
  const nlohmann::json json = {{"format", kFormat},
                               {"uri", state.uri},
                               {"experiment_id", state.experiment_id},
                               {"run_id", state.run_id},
                               {"client_run_key", state.client_run_key},
                               {"unlinked_parent", state.unlinked_parent},
                               {"records", state.records},
                               {"files", state.files}};
  write_file_atomically(folder / kFileName, json.dump(2) + "\n");
}

}  // namespace limewash::tracking
