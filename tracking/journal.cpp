#include "tracking/journal.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <spdlog/spdlog.h>

#include "runtime/error.h"

namespace limewash::tracking {
namespace {

constexpr std::string_view kPrefix = "journal-";
constexpr std::string_view kSuffix = ".jsonl";
/// No entry comes near it; a line that does is damage, and is not held in
/// memory.
constexpr size_t kLongestLine = size_t{64} << 20;

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

/// Bytes at `offset`, fewer at the end of the file; -1 with errno on failure.
ssize_t read_at(int descriptor, char* bytes, size_t count, uint64_t offset) {
  size_t done = 0;
  while (done < count) {
    const ssize_t got =
        ::pread(descriptor, bytes + done, count - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return static_cast<ssize_t>(done);
}

}  // namespace

std::filesystem::path journal_path(const std::filesystem::path& folder, const std::string& writer) {
  return folder / (std::string(kPrefix) + writer + std::string(kSuffix));
}

std::vector<std::filesystem::path> find_journals(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with(kPrefix) && name.ends_with(kSuffix)) paths.push_back(it->path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

JournalReader::JournalReader(std::filesystem::path path, uint64_t offset)
    : path_(std::move(path)), offset_(offset), from_begin_(offset == 0) {}

JournalChunk JournalReader::read(size_t max_bytes) {
  const Descriptor file{::open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
  const auto fail = [this] {
    return InputError("cannot read '" + path_.string() + "': " + std::strerror(errno));
  };
  if (file.value < 0) throw fail();
  JournalChunk chunk;
  std::string bytes;
  size_t wanted = std::max<size_t>(max_bytes, 1);
  size_t complete = 0;
  while (true) {
    bytes.resize(wanted);
    const ssize_t got = read_at(file.value, bytes.data(), wanted, offset_);
    if (got < 0) throw fail();
    const bool at_end = static_cast<size_t>(got) < wanted;
    bytes.resize(static_cast<size_t>(got));
    const size_t newline = bytes.rfind('\n');
    complete = newline == std::string::npos ? 0 : newline + 1;
    chunk.more = !at_end;
    if (complete > 0) break;
    if (at_end) {
      chunk.torn_bytes = bytes.size();
      break;
    }
    if (wanted >= kLongestLine) {
      complete = bytes.size();
      break;
    }
    wanted = std::min(wanted * 2, kLongestLine);
  }
  if (!chunk.more) chunk.torn_bytes = bytes.size() - complete;

  const std::string_view text(bytes.data(), complete);
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) end = text.size() - 1;
    std::string problem;
    if (auto entry = from_journal_line(text.substr(begin, end - begin), problem)) {
      chunk.items.push_back({std::move(*entry), offset_ + end + 1});
    } else {
      const std::string place = from_begin_ ? "line " + std::to_string(line_ + 1)
                                            : "byte " + std::to_string(offset_ + begin);
      chunk.problems.push_back("'" + path_.string() + "', " + place + ": " + problem);
    }
    ++line_;
    begin = end + 1;
  }
  offset_ += complete;
  chunk.end = offset_;
  return chunk;
}

JournalWriter::JournalWriter(std::filesystem::path path)
    : JournalWriter(std::move(path), Options{}) {}

JournalWriter::JournalWriter(std::filesystem::path path, Options options)
    : path_(std::move(path)), options_(options) {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) {
    throw InputError("cannot write '" + path_.string() + "': " + std::strerror(errno));
  }
  try {
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      throw InputError("'" + path_.string() + "' is being written by another process");
    }
    repair();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
  thread_ = std::thread([this] { sync_in_background(); });
}

JournalWriter::~JournalWriter() {
  close();
}

void JournalWriter::repair() {
  const auto fail = [this] {
    return InputError("cannot write '" + path_.string() + "': " + std::strerror(errno));
  };
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) throw fail();
  size_ = static_cast<uint64_t>(status.st_size);
  // Backwards to the last newline; what stands behind it was torn.
  std::string block(size_t{64} << 10, '\0');
  uint64_t good = size_;
  while (good > 0) {
    const uint64_t begin = good > block.size() ? good - block.size() : 0;
    const size_t count = static_cast<size_t>(good - begin);
    if (read_at(descriptor_, block.data(), count, begin) != static_cast<ssize_t>(count))
      throw fail();
    const size_t newline = std::string_view(block.data(), count).rfind('\n');
    if (newline != std::string_view::npos) {
      good = begin + newline + 1;
      break;
    }
    good = begin;
  }
  if (good == size_) return;
  const uint64_t torn = size_ - good;
  if (torn < kLongestLine) {
    std::string tail(torn, '\0');
    std::string problem;
    if (read_at(descriptor_, tail.data(), torn, good) == static_cast<ssize_t>(torn) &&
        from_journal_line(tail, problem)) {
      pending_ = "\n";
      write_pending();
      return;
    }
  }
  if (::ftruncate(descriptor_, static_cast<off_t>(good)) != 0) throw fail();
  size_ = good;
  repaired_bytes_ = torn;
  spdlog::warn("'{}' ended in the middle of a line; {} bytes were cut off", path_.string(), torn);
}

void JournalWriter::append(const Entry& entry) noexcept {
  try {
    const std::string line = to_journal_line(entry);
    const std::lock_guard lock(mutex_);
    if (descriptor_ < 0) return;
    if (pending_.size() + line.size() > options_.max_pending_bytes) {
      if (dropped_++ == 0) {
        spdlog::error(
            "'{}': the disk still takes nothing and memory is used "
            "up; entries are lost",
            path_.string());
      }
      return;
    }
    pending_ += line;
    // A full disk is asked again by the background thread, not at each entry.
    if (!failing_) write_pending();
  } catch (...) {
    // Out of memory: recording is not worth the run.
  }
}

void JournalWriter::write_pending() {
  size_t done = 0;
  while (done < pending_.size()) {
    const ssize_t wrote = ::pwrite(descriptor_,
                                   pending_.data() + done,
                                   pending_.size() - done,
                                   static_cast<off_t>(size_ + done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      say_failure(wrote < 0 ? errno : ENOSPC);
      break;
    }
    done += static_cast<size_t>(wrote);
  }
  // Count whole lines only: the rest of a half-written one is written over next
  // time.
  if (done < pending_.size()) {
    const size_t newline = done == 0 ? std::string::npos : pending_.rfind('\n', done - 1);
    done = newline == std::string::npos ? 0 : newline + 1;
    // Best effort: a tail that stays is what readers call torn.
    if (::ftruncate(descriptor_, static_cast<off_t>(size_ + done)) != 0) errno = 0;
  } else if (failing_) {
    failing_ = false;
    spdlog::info("'{}' can be written again; nothing that waited was lost", path_.string());
  }
  if (done > 0) dirty_ = true;
  size_ += done;
  pending_.erase(0, done);
}

void JournalWriter::say_failure(int error_number) {
  if (failing_) return;
  failing_ = true;
  spdlog::error("cannot write '{}': {}; entries wait in memory, training goes on",
                path_.string(),
                std::strerror(error_number));
}

bool JournalWriter::sync() noexcept {
  try {
    const std::lock_guard sync_lock(sync_mutex_);
    {
      const std::lock_guard lock(mutex_);
      if (descriptor_ < 0) return false;
      if (!pending_.empty()) write_pending();
      if (!dirty_) return pending_.empty();
      dirty_ = false;
    }
    // Only close() ends the descriptor, and it holds sync_mutex_ then.
    const bool synced = ::fdatasync(descriptor_) == 0;
    const std::lock_guard lock(mutex_);
    if (!synced) {
      say_failure(errno);
      dirty_ = true;
    }
    return synced && pending_.empty();
  } catch (...) {
    return false;
  }
}

void JournalWriter::sync_in_background() {
  std::unique_lock lock(mutex_);
  while (!closing_) {
    wake_.wait_for(lock, options_.sync_interval, [this] { return closing_; });
    lock.unlock();
    sync();
    lock.lock();
  }
}

bool JournalWriter::close() noexcept {
  try {
    {
      const std::lock_guard lock(mutex_);
      if (descriptor_ < 0) return true;
      closing_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    const bool written = sync();
    const std::lock_guard sync_lock(sync_mutex_);
    const std::lock_guard lock(mutex_);
    ::close(descriptor_);
    descriptor_ = -1;
    if (dropped_ > 0) spdlog::error("'{}': {} entries were lost", path_.string(), dropped_);
    return written && dropped_ == 0;
  } catch (...) {
    return false;
  }
}

}  // namespace limewash::tracking
