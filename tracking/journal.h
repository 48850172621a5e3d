#pragma once
// The run's record on disk: runs/NAME/journal-WRITER.jsonl, one file a writing
// process, append-only, one checksummed JSON line an entry (tracking/entry.h).

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tracking/entry.h"

namespace limewash::tracking {

/// The journal of `writer` in a run folder.
std::filesystem::path journal_path(const std::filesystem::path& folder, const std::string& writer);

/// All journals of a run folder, by name.
std::vector<std::filesystem::path> find_journals(const std::filesystem::path& folder);

/// What a read gave.
struct JournalChunk {
  struct Item {
    Entry entry;
    uint64_t end = 0;  ///< offset after the line
  };
  std::vector<Item> items;
  uint64_t end = 0;  ///< offset after the last complete line read, good or corrupt
  /// One sentence a corrupt line, with file and place.
  std::vector<std::string> problems;
  /// Bytes after the last newline: a line that is being written, or that a
  /// crash tore.
  uint64_t torn_bytes = 0;
  /// More complete lines may follow.
  bool more = false;
};

/// Reads complete lines from an offset on. Corrupt lines are named and passed
/// over; a torn tail is left for the writer. Throws InputError when the file
/// cannot be read.
class JournalReader {
 public:
  explicit JournalReader(std::filesystem::path path, uint64_t offset = 0);
  /// About `max_bytes` further on (more when one line is longer).
  JournalChunk read(size_t max_bytes = size_t{1} << 20);
  uint64_t offset() const {
    return offset_;
  }
  const std::filesystem::path& path() const {
    return path_;
  }

 private:
  std::filesystem::path path_;
  uint64_t offset_ = 0;
  uint64_t line_ = 0;
  bool from_begin_ = false;
};

/// Appends entries. Each entry reaches the operating system at once, so a
/// killed process loses nothing; the disk gets it at the next sync: every
/// `sync_interval`, at `sync()`, at `close()`.
class JournalWriter {
 public:
  struct Options {
    std::chrono::milliseconds sync_interval{1000};
    /// What is kept in memory while the disk takes nothing; beyond it entries
    /// are dropped and counted.
    size_t max_pending_bytes = size_t{16} << 20;
  };

  /// Opens or creates; cuts a torn tail off (or ends the line when only its
  /// newline is missing). Throws InputError: unwritable, or another process
  /// writes this journal.
  explicit JournalWriter(std::filesystem::path path);
  JournalWriter(std::filesystem::path path, Options options);
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  /// Never throws, never waits for a sync. A full disk is said once; the entry
  /// waits in memory.
  void append(const Entry& entry) noexcept;
  /// Everything appended so far is on disk when this returns true.
  bool sync() noexcept;
  /// Sync, then end. Returns false when entries could not be written.
  bool close() noexcept;
  /// Bytes that a torn tail lost when the journal was opened.
  uint64_t repaired_bytes() const {
    return repaired_bytes_;
  }

 private:
  void repair();
  void write_pending();
  void say_failure(int error_number);
  void sync_in_background();

  std::filesystem::path path_;
  Options options_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  uint64_t repaired_bytes_ = 0;
  int64_t dropped_ = 0;
  bool failing_ = false, dirty_ = false, closing_ = false;
  std::string pending_;
  std::mutex mutex_;       // all of the above
  std::mutex sync_mutex_;  // one fsync at a time; never taken while mutex_ is held
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace limewash::tracking
