#pragma once
// How far a run has been shipped: runs/NAME/tracker.json, and tracker-replay-*.json for servers
// that it was replayed into.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace limewash::tracking {

/// Bytes of each journal, by file name, that the tracker has.
using JournalOffsets = std::map<std::string, uint64_t>;

struct ShippingState {
  std::string uri;  ///< of the tracker, without credentials
  std::string experiment_id, run_id, client_run_key;
  /// The parent run's client key or run id, until the run stands under it.
  std::string unlinked_parent;
  JournalOffsets records;  ///< params, metrics, tags, datasets, statuses
  JournalOffsets files;    ///< artifacts and images
};

/// The state of the server that a run belongs to.
inline constexpr const char* kShippingStateFile = "tracker.json";
/// The state of a server that the run is replayed into, besides the one that it belongs to.
std::string replay_state_file(const std::string& uri);
/// All states of a run folder, by file name.
std::vector<std::string> find_shipping_states(const std::filesystem::path& folder);

/// The state in a run folder; an empty one when there is none, or when it is
/// damaged (with a warning): what was shipped can be shipped again without
/// harm.
ShippingState load_shipping_state(const std::filesystem::path& folder,
                                  const std::string& file_name = kShippingStateFile);

/// Replaces the file atomically. Throws InputError.
void save_shipping_state(const std::filesystem::path& folder,
                         const ShippingState& state,
                         const std::string& file_name = kShippingStateFile);

}  // namespace limewash::tracking
