#include "models/mapped_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/error.h"

namespace limewash::models {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const char* what) {
  throw InputError(path.string() + ": " + what + ": " + std::strerror(errno));
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe that nobody writes to must not wait for ever.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail(path, "cannot open");
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) {
    ::close(descriptor);
    fail(path, "cannot stat");
  }
  if (!S_ISREG(status.st_mode)) {
    ::close(descriptor);
    throw InputError(path.string() + ": not a regular file");
  }
  size_ = static_cast<uint64_t>(status.st_size);
  if (size_ == 0) {
    ::close(descriptor);
    return;
  }
  void* address =
      ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, descriptor, 0);
  const int reason = errno;
  ::close(descriptor);
  errno = reason;
  if (address == MAP_FAILED) fail(path, "cannot map");
  data_ = static_cast<char*>(address);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(data_, size_);
}

char* MappedFile::data() const {
  return data_;
}

uint64_t MappedFile::size() const {
  return size_;
}

void MappedFile::drop(const void* begin, uint64_t bytes) const {
  const auto first = reinterpret_cast<uintptr_t>(data_);
  const auto start = reinterpret_cast<uintptr_t>(begin);
  if (!data_ || start < first || start - first > size_ || bytes > size_ - (start - first)) return;
  // Whole pages only: the neighbours' bytes stay.
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t from = (start + page - 1) / page * page, to = (start + bytes) / page * page;
  if (from < to) ::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

void check_booleans(const char* data, uint64_t bytes, const std::string& where) {
  if (std::any_of(data, data + bytes, [](char byte) { return byte != 0 && byte != 1; })) {
    throw InputError(where + ": a BOOL that is neither 0 nor 1");
  }
}

}  // namespace limewash::models
