#pragma once
// A sign of life that another process can see: a file whose time goes on while work does.

#include <filesystem>

namespace limewash {

/// From now on `heartbeat` writes to this file; "" ends it. Of the whole process.
void set_heartbeat_file(const std::filesystem::path& path);

/// Something was done. Called by every loop that shows progress; costs a clock reading, and once a
/// second a write. Nothing without a file. A file that can't be written is no error: whoever
/// watches it sees that.
void heartbeat();

}  // namespace limewash
