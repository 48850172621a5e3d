#pragma once
// What this machine, its container and this process's limits leave to a program: cores, memory,
// files. Everything is read from the kernel; what it does not tell is absent, never a guess.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace limewash {

/// Where the kernel describes the machine; other folders in tests.
struct HostFiles {
  std::filesystem::path proc = "/proc";
  std::filesystem::path cgroup = "/sys/fs/cgroup";
};

struct CoreLimits {
  int64_t online = 1;           ///< cores of the machine
  int64_t allowed = 1;          ///< of those, the ones this process may run on (affinity)
  std::optional<double> quota;  ///< cores' worth of time that the control group grants

  /// Cores that threads are worth starting for, at least 1.
  int64_t usable() const;
  /// One rank's part of them, at least 1: `ranks_on_cores` share the allowed cores, `ranks` the
  /// quota.
  int64_t share(int ranks, int ranks_on_cores) const;
};
CoreLimits read_core_limits(const HostFiles& files = {});

struct MemoryLimits {
  int64_t total = 0;                       ///< bytes of the machine
  int64_t available = 0;                   ///< of those, free or given back without swapping
  std::optional<int64_t> group_limit;      ///< the control group's, where it is below `total`
  std::optional<int64_t> group_available;  ///< what is left of it; page cache counts as left
  std::optional<int64_t> address_space;    ///< RLIMIT_AS: of this process

  /// What one host's processes together can still take.
  int64_t usable() const;
};
/// Control groups of version 1 and 2, all levels above this process included.
MemoryLimits read_memory_limits(const HostFiles& files = {});

/// The most memory that this process has held, in bytes.
int64_t peak_resident_bytes();

struct StorageInfo {
  std::string file_system;  ///< "ext4", "nfs", "lustre", or a number in hex
  bool shared = false;      ///< a network or cluster file system
  int64_t free_bytes = 0;   ///< for this user
  int64_t total_bytes = 0;
};
/// Of the file system that holds `path`, which must exist. Throws InputError.
StorageInfo read_storage_info(const std::filesystem::path& path);

struct StorageCheck {
  std::string problem;      ///< empty: everything works
  bool locks = false;       ///< a second lock on a locked folder is refused
  double sync_seconds = 0;  ///< to write 1 MiB and have it on disk
  /// How far the file system's clock is ahead of this machine's.
  double clock_ahead_seconds = 0;
};
/// Try in a folder of its own below `folder`, which is removed again: writing, syncing, renaming,
/// locking.
StorageCheck check_storage(const std::filesystem::path& folder);

/// `path`, or the nearest folder above it that exists.
std::filesystem::path nearest_existing_folder(const std::filesystem::path& path);

struct ClockInfo {
  bool plausible = true;     ///< not before this program was written
  bool synchronized = true;  ///< the kernel says that something keeps it right (NTP, PTP)
};
ClockInfo read_clock_info();

/// A resource's soft limit (RLIMIT_NOFILE and so on); empty: unlimited.
std::optional<int64_t> soft_limit(int resource);

/// The file that a shell would run for `name`, empty when PATH has none.
std::filesystem::path find_program(const std::string& name);

std::string host_name();

/// "1.5 GiB", "320 MiB".
std::string bytes_text(int64_t bytes);

}  // namespace limewash
