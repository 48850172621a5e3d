#include "tracking/journal_repair.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <string_view>
#include <sys/file.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/files.h"
#include "tracking/entry.h"
#include "tracking/journal.h"
#include "tracking/lease.h"
#include "tracking/shipping_state.h"

namespace limewash::tracking {
namespace {

constexpr size_t kBlock = size_t{1} << 20;
/// No entry comes near it; a line that does is damage, and is not held in memory.
constexpr size_t kLongestLine = size_t{64} << 20;

/// A journal that no other process appends to while this lives.
class LockedJournal {
 public:
  LockedJournal(std::filesystem::path path, bool lock) : path_(std::move(path)) {
    descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail();
    if (lock && ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const bool taken = errno == EWOULDBLOCK;
      ::close(descriptor_);
      if (taken) throw InputError("'" + path_.string() + "' is being written by another process");
      fail();
    }
  }
  ~LockedJournal() {
    ::close(descriptor_);
  }
  LockedJournal(const LockedJournal&) = delete;
  LockedJournal& operator=(const LockedJournal&) = delete;

  const std::filesystem::path& path() const {
    return path_;
  }

  /// At most `count` bytes at `offset`; none at the end.
  std::string read(uint64_t offset, size_t count) const {
    std::string bytes(count, '\0');
    size_t done = 0;
    while (done < count) {
      const ssize_t got = ::pread(
          descriptor_, bytes.data() + done, count - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail();
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    bytes.resize(done);
    return bytes;
  }

 private:
  [[noreturn]] void fail() const {
    throw InputError("cannot read '" + path_.string() + "': " + std::strerror(errno));
  }

  std::filesystem::path path_;
  int descriptor_ = -1;
};

struct Line {
  uint64_t number = 0, offset = 0, bytes = 0;  ///< bytes with its newline
  std::string_view text;                       ///< without; empty when it is too long to hold
  bool too_long = false, ended = true;
};

/// Calls `take` with each line.
void for_each_line(const LockedJournal& journal, const std::function<void(const Line&)>& take) {
  std::string held;  // the line so far, unless it is too long
  uint64_t begin = 0, number = 1, length = 0;
  const auto finish = [&](bool ended) {
    const bool too_long = length > kLongestLine;
    take({number,
          begin,
          length + (ended ? 1 : 0),
          too_long ? std::string_view() : std::string_view(held),
          too_long,
          ended});
    begin += length + (ended ? 1 : 0);
    ++number;
    length = 0;
    held.clear();
  };
  for (uint64_t offset = 0;;) {
    const std::string block = journal.read(offset, kBlock);
    if (block.empty()) break;
    offset += block.size();
    for (size_t place = 0; place < block.size();) {
      const size_t newline = block.find('\n', place);
      const size_t end = newline == std::string::npos ? block.size() : newline;
      length += end - place;
      if (length <= kLongestLine) held.append(block, place, end - place);
      if (newline == std::string::npos) break;
      finish(true);
      place = newline + 1;
    }
  }
  if (length > 0) finish(false);
}

JournalRepair inspect(const LockedJournal& journal) {
  JournalRepair result;
  result.journal = journal.path();
  for_each_line(journal, [&](const Line& line) {
    std::string problem = "longer than any entry";
    // A kind that only a later version knows is no damage.
    if (!line.too_long && is_whole_line(line.text, problem)) {
      ++result.intact;
      result.newline_added = !line.ended;
      return;
    }
    auto& damage = result.damage;
    if (!damage.empty() && damage.back().offset + damage.back().bytes == line.offset) {
      ++damage.back().lines;
      damage.back().bytes += line.bytes;
    } else {
      damage.push_back({line.number, 1, line.offset, line.bytes, problem, false});
    }
    damage.back().torn = !line.ended;
  });
  return result;
}

/// Call `take` with the bytes in [begin, end), piece by piece.
void copy_range(const LockedJournal& journal,
                uint64_t begin,
                uint64_t end,
                const std::function<void(std::string_view)>& take) {
  while (begin < end) {
    const std::string bytes =
        journal.read(begin, static_cast<size_t>(std::min<uint64_t>(kBlock, end - begin)));
    if (bytes.empty()) return;
    take(bytes);
    begin += bytes.size();
  }
}

void set_aside(const LockedJournal& journal, const JournalRepair& repair) {
  // What an earlier repair set aside stays in front.
  const std::string earlier =
      std::filesystem::exists(repair.set_aside) ? read_file(repair.set_aside) : std::string();
  write_file_atomically(repair.set_aside, [&](const WriteBytes& write) {
    write(earlier);
    for (const JournalDamage& damage : repair.damage) {
      copy_range(journal, damage.offset, damage.offset + damage.bytes, write);
      if (damage.torn) write("\n");
    }
  });
}

void keep_intact(const LockedJournal& journal, const JournalRepair& repair) {
  constexpr uint64_t kEnd = UINT64_MAX;
  write_file_atomically(journal.path(), [&](const WriteBytes& write) {
    uint64_t from = 0;
    for (const JournalDamage& damage : repair.damage) {
      copy_range(journal, from, damage.offset, write);
      from = damage.offset + damage.bytes;
    }
    copy_range(journal, from, kEnd, write);
    if (repair.newline_added) write("\n");
  });
}

/// Where an offset into the journal stands when the damage is gone.
uint64_t moved(uint64_t offset, const std::vector<JournalDamage>& damage) {
  uint64_t gone = 0;
  for (const JournalDamage& one : damage) {
    if (one.offset >= offset) break;
    gone += std::min(one.bytes, offset - one.offset);
  }
  return offset - gone;
}

void move_states(const std::filesystem::path& folder, const JournalRepair& repair) {
  const std::string name = repair.journal.filename().string();
  for (const std::string& file : find_shipping_states(folder)) {
    ShippingState state = load_shipping_state(folder, file);
    bool changed = false;
    for (JournalOffsets* offsets : {&state.records, &state.files}) {
      const auto found = offsets->find(name);
      if (found == offsets->end()) continue;
      const uint64_t offset = moved(found->second, repair.damage);
      changed = changed || offset != found->second;
      found->second = offset;
    }
    if (changed) save_shipping_state(folder, state, file);
  }
}

}  // namespace

JournalRepair inspect_journal(const std::filesystem::path& journal) {
  return inspect(LockedJournal(journal, false));
}

std::vector<JournalRepair> repair_journals(const std::filesystem::path& folder) {
  const auto journals = find_journals(folder);
  if (journals.empty()) throw InputError("'" + folder.string() + "' holds no journal of a run");
  Lease lease(folder);
  if (!lease.try_acquire())
    throw InputError("'" + folder.string() + "' is being shipped by process " + lease.holder());
  std::vector<JournalRepair> repairs;
  for (const auto& path : journals) {
    const LockedJournal journal(path, true);
    JournalRepair repair = inspect(journal);
    if (!repair.damage.empty()) {
      repair.set_aside = path.string() + ".damaged";
      set_aside(journal, repair);
      // Before the journal: an offset that is too low only ships entries again.
      move_states(folder, repair);
    }
    if (!repair.damage.empty() || repair.newline_added) keep_intact(journal, repair);
    repairs.push_back(std::move(repair));
  }
  return repairs;
}

}  // namespace limewash::tracking
