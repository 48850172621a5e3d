#include "tracking/lease.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sys/file.h>
#include <unistd.h>

#include "runtime/error.h"

namespace limewash::tracking {

Lease::Lease(std::filesystem::path folder) : path_(std::move(folder) / ".tracker.lock") {}

Lease::~Lease() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool Lease::try_acquire() {
  if (descriptor_ >= 0) return true;
  const int descriptor = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    throw InputError("cannot write '" + path_.string() + "': " + std::strerror(errno));
  }
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(descriptor);
    return false;
  }
  descriptor_ = descriptor;
  // Only for messages, so a failure does not matter.
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(descriptor_, 0) != 0 ||
      ::pwrite(descriptor_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    errno = 0;
  }
  return true;
}

std::string Lease::holder() const {
  std::ifstream file(path_);
  std::string process;
  std::getline(file, process);
  return process;
}

}  // namespace limewash::tracking
