#pragma once
// What MLflow takes as a key, and how long values may be.

#include <cstddef>
#include <string>

namespace limewash::tracking {

/// MLflow's limits of one log-batch, and of values that it would otherwise cut
/// without a word.
inline constexpr size_t kMaxBatchMetrics = 1000;
inline constexpr size_t kMaxBatchParams = 100;
inline constexpr size_t kMaxBatchTags = 100;
inline constexpr size_t kMaxParamBytes = 6000;
inline constexpr size_t kMaxTagBytes = 8000;
inline constexpr size_t kMaxKeyBytes = 250;

/// Why MLflow does not take `key` for a metric, param or tag; "" when it does. Letters beyond ASCII
/// are left for the server to judge.
std::string key_problem(const std::string& key);

/// `value` cut to `max_bytes` at a character's border, with a note of what was cut and where all of
/// it is; as it is when it fits.
std::string shorten(const std::string& value,
                    size_t max_bytes,
                    const std::string& whole_in = "the journal");

/// The folder of a run's artifacts that has the params and tags whole that had to be shortened.
inline constexpr const char* kLongValues = "long_values";

/// The artifact that holds such a value: long_values/params/KEY.txt.
std::string long_value_path(bool param, const std::string& key);

}  // namespace limewash::tracking
