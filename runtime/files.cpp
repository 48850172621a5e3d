#include "runtime/files.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "runtime/error.h"
#include "runtime/host_info.h"

namespace limewash {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& action, int error) {
  throw InputError(path.string() + ": cannot " + action + ": " + std::strerror(error));
}

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const {
    return value_;
  }
  int release() {
    return std::exchange(value_, -1);
  }

 private:
  int value_;
};

std::filesystem::path parent_folder(const std::filesystem::path& path) {
  const auto parent = path.parent_path();
  return parent.empty() ? std::filesystem::path(".") : parent;
}

void write_all(int descriptor, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      fail(path, "write", errno);
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

// Removes a temporary file unless it was moved to its final name.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::filesystem::path path) : path_(std::move(path)) {}
  ~TemporaryFile() {
    if (!kept_) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  void keep() {
    kept_ = true;
  }

 private:
  std::filesystem::path path_;
  bool kept_ = false;
};

}  // namespace

std::string read_file(const std::filesystem::path& path, uint64_t max_bytes) {
  // O_NONBLOCK: opening a pipe that nobody writes to must not wait for ever.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail(path, "read", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail(path, "read", errno);
  if (S_ISDIR(status.st_mode)) throw InputError(path.string() + ": is a folder, not a file");
  if (!S_ISREG(status.st_mode)) throw InputError(path.string() + ": is not a regular file");
  const auto too_large = [&](uint64_t size) {
    return InputError(path.string() + ": " + std::to_string(size) + " bytes are more than the " +
                      std::to_string(max_bytes) + " allowed");
  };
  const auto stated = static_cast<uint64_t>(status.st_size);
  if (stated > max_bytes) throw too_large(stated);

  // The stated size is a hint: files of /proc state none, and a file may grow meanwhile.
  std::string bytes(stated + 1, '\0');
  size_t filled = 0;
  for (;;) {
    if (filled == bytes.size()) bytes.resize(bytes.size() * 2);
    const ssize_t count = ::read(file.get(), bytes.data() + filled, bytes.size() - filled);
    if (count < 0) {
      if (errno == EINTR) continue;
      fail(path, "read", errno);
    }
    if (count == 0) break;
    filled += static_cast<size_t>(count);
    if (filled > max_bytes) throw too_large(filled);
  }
  bytes.resize(filled);
  return bytes;
}

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes) {
  write_file_atomically(path, [&](const WriteBytes& write) { write(bytes); });
}

void write_file_atomically(const std::filesystem::path& path,
                           const std::function<void(const WriteBytes&)>& content) {
  static std::atomic<uint64_t> counter{0};
  if (!path.has_filename()) throw InputError(path.string() + ": names no file to write");
  const auto temporary =
      parent_folder(path) / ("." + path.filename().string() + ".tmp-" + std::to_string(::getpid()) +
                             "-" + std::to_string(counter++));
  {
    // O_TRUNC and not O_EXCL: what a killed process of the same number left is in nobody's way.
    const Descriptor file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (file.get() < 0) fail(path, "write", errno);
    TemporaryFile guard(temporary);
    content([&](std::string_view bytes) { write_all(file.get(), bytes, path); });
    if (::fsync(file.get()) != 0) fail(path, "write", errno);
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail(path, "write", errno);
    guard.keep();
  }
  sync_path(parent_folder(path));
}

void sync_path(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail(path, "sync", errno);
  // EINVAL: some network file systems have no fsync for folders.
  if (::fsync(file.get()) != 0 && errno != EINVAL) fail(path, "sync", errno);
}

void publish(const std::filesystem::path& temporary, const std::filesystem::path& final_name) {
  if (::rename(temporary.c_str(), final_name.c_str()) != 0) {
    fail(temporary, "move to " + final_name.string(), errno);
  }
  sync_path(parent_folder(final_name));
  if (parent_folder(temporary) != parent_folder(final_name)) sync_path(parent_folder(temporary));
}

FolderLock::FolderLock(const std::filesystem::path& folder) {
  const auto path = folder / ".lock";
  // O_CLOEXEC: a program started by the owner must not keep the folder after the owner's death.
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (file.get() < 0) fail(path, "lock", errno);
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) fail(path, "lock", errno);
    std::array<char, 300> owner{};
    const ssize_t count = ::pread(file.get(), owner.data(), owner.size() - 1, 0);
    std::string name(owner.data(), count > 0 ? static_cast<size_t>(count) : 0);
    name.erase(std::min(name.find('\n'), name.size()));
    throw InputError(folder.string() + ": in use by " +
                     (name.empty() ? std::string("another process") : name) + " (" + path.string() +
                     " is locked)");
  }
  const std::string owner = "process " + std::to_string(::getpid()) + " on " + host_name() + "\n";
  if (::ftruncate(file.get(), 0) != 0) fail(path, "write", errno);
  write_all(file.get(), owner, path);
  descriptor_ = file.release();
}

FolderLock::~FolderLock() {
  ::close(descriptor_);
}

}  // namespace limewash
