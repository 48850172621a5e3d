#pragma once
// How far a run has been shipped: runs/NAME/tracker.json.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

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

/// The state in a run folder; an empty one when there is none, or when it is
/// damaged (with a warning): what was shipped can be shipped again without
/// harm.
ShippingState load_shipping_state(const std::filesystem::path& folder);

/// Replaces the file atomically. Throws InputError.
void save_shipping_state(const std::filesystem::path& folder, const ShippingState& state);

}  // namespace limewash::tracking
