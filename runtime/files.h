#pragma once
// Files that are there whole or not at all, and folders that belong to one process.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace limewash {

/// The whole file as bytes. Throws InputError naming the file and the system's reason; refuses
/// files larger than `max_bytes`.
std::string read_file(const std::filesystem::path& path, uint64_t max_bytes = uint64_t{1} << 30);

/// Write to a temporary name in the same folder, fsync, rename over `path`, fsync the folder.
/// Throws InputError (disk full, read-only); what stood at `path` before stays.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

/// The same for content that is made piece by piece: `content` calls its argument with one piece
/// after the other. When it throws, what stood at `path` stays.
using WriteBytes = std::function<void(std::string_view)>;
void write_file_atomically(const std::filesystem::path& path,
                           const std::function<void(const WriteBytes&)>& content);

/// fsync a finished file or folder by name.
void sync_path(const std::filesystem::path& path);

/// Move a finished, synced file or folder to its final name and sync the parent folder.
void publish(const std::filesystem::path& temporary, const std::filesystem::path& final_name);

/// An advisory lock (flock) on `folder/.lock`, held until destruction or process death, whatever
/// kills it. Throws InputError naming the other process when the folder is taken.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace limewash
