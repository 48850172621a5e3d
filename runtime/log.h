#pragma once
// Logging goes to stderr through spdlog: call spdlog::info/warn/error with {} placeholders.

#include <string>

namespace limewash {

/// Set the pattern, the level ("debug", "info", "warn", "error"), and the rank that each line names
/// when the world is larger than one. Ranks other than 0 log warnings and errors only.
void configure_logging(const std::string& level, int rank = 0, int world_size = 1);

}  // namespace limewash
