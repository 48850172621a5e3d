// The part of host_info.h that looks at file systems.

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/host_info.h"

namespace limewash {

namespace {

namespace fs = std::filesystem;

struct FileSystemName {
  uint64_t magic;
  const char* name;
  bool shared;
};
/// statfs(2) and the file systems' own headers.
constexpr std::array<FileSystemName, 17> kFileSystems = {{{0xEF53, "ext4", false},
                                                          {0x58465342, "xfs", false},
                                                          {0x9123683E, "btrfs", false},
                                                          {0x01021994, "tmpfs", false},
                                                          {0x794C7630, "overlay", false},
                                                          {0x2FC12FC1, "zfs", false},
                                                          {0xF2F52010, "f2fs", false},
                                                          {0x65735546, "fuse", false},
                                                          {0x01021997, "9p", false},
                                                          {0x6969, "nfs", true},
                                                          {0x0BD00BD0, "lustre", true},
                                                          {0x47504653, "gpfs", true},
                                                          {0x19830326, "beegfs", true},
                                                          {0x00C36400, "ceph", true},
                                                          {0xFE534D42, "smb", true},
                                                          {0xFF534D42, "cifs", true},
                                                          {0x013111A8, "ibrix", true}}};

/// A folder that is gone when this goes.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(fs::path path) : path_(std::move(path)) {}
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

 private:
  fs::path path_;
};

double now_seconds() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

StorageInfo read_storage_info(const fs::path& path) {
  struct statfs status {};
  struct statvfs sizes {};
  if (::statfs(path.c_str(), &status) != 0 || ::statvfs(path.c_str(), &sizes) != 0) {
    throw InputError(path.string() + ": cannot ask its file system: " + std::strerror(errno));
  }
  StorageInfo info;
  const auto magic = static_cast<uint64_t>(static_cast<uint32_t>(status.f_type));
  std::array<char, 24> number{};
  std::snprintf(number.data(), number.size(), "%#llx", static_cast<unsigned long long>(magic));
  info.file_system = number.data();
  for (const auto& known : kFileSystems) {
    if (known.magic != magic) continue;
    info.file_system = known.name;
    info.shared = known.shared;
  }
  const auto block = static_cast<int64_t>(sizes.f_frsize);
  info.free_bytes = block * static_cast<int64_t>(sizes.f_bavail);
  info.total_bytes = block * static_cast<int64_t>(sizes.f_blocks);
  return info;
}

StorageCheck check_storage(const fs::path& folder) {
  StorageCheck check;
  const fs::path own = folder / (".limewash-check-" + std::to_string(::getpid()));
  try {
    std::error_code error;
    fs::create_directory(own, error);
    if (error) throw InputError(own.string() + ": cannot be made: " + error.message());
    const TemporaryFolder remove_at_end(own);
    const auto begin = std::chrono::steady_clock::now();
    write_file_atomically(own / "file", std::string(size_t{1} << 20, 'x'));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    check.sync_seconds = seconds.count();
    struct stat status {};
    if (::stat((own / "file").c_str(), &status) == 0) {
      const double written = static_cast<double>(status.st_mtim.tv_sec) +
                             1e-9 * static_cast<double>(status.st_mtim.tv_nsec);
      check.clock_ahead_seconds = written - now_seconds();
    }
    const FolderLock first(own);
    try {
      const FolderLock second(own);
    } catch (const InputError&) {
      check.locks = true;
    }
    if (!check.locks) {
      check.problem = folder.string() + ": a second lock on a locked folder was given";
    }
  } catch (const InputError& error) {
    check.problem = error.what();
  }
  return check;
}

fs::path nearest_existing_folder(const fs::path& path) {
  fs::path at = fs::absolute(path).lexically_normal();
  std::error_code ignored;
  while (!fs::is_directory(at, ignored) && at.has_parent_path() && at.parent_path() != at) {
    at = at.parent_path();
  }
  return at;
}

}  // namespace limewash
