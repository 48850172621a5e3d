#pragma once
// Takes the damage out of a run's journals without losing an entry that is intact.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace limewash::tracking {

/// Lines in a row that are not what was written.
struct JournalDamage {
  uint64_t line = 0, lines = 0;    ///< of the first, from 1; how many
  uint64_t offset = 0, bytes = 0;  ///< where they stand in the journal before the repair
  std::string problem;             ///< of the first
  bool torn = false;               ///< the file ends in the middle of the line
};

struct JournalRepair {
  std::filesystem::path journal;
  uint64_t intact = 0;  ///< entries, all of which stay
  std::vector<JournalDamage> damage;
  bool newline_added = false;       ///< the last entry was whole but for its newline
  std::filesystem::path set_aside;  ///< JOURNAL.damaged, where there was damage: its very bytes
};

/// Look at one journal; changes nothing. Memory does not grow with the journal.
JournalRepair inspect_journal(const std::filesystem::path& journal);

/// Repair all journals of a run folder: damaged lines go to the end of JOURNAL.damaged, intact ones
/// stay in their order, and every shipping state of the folder is moved along, so that nothing
/// intact counts as shipped that was not. A crash in between repeats nothing but harmless
/// shipping. Throws InputError: no journal, one that a process writes or ships, or a disk that
/// takes nothing; the journals are then as they were.
std::vector<JournalRepair> repair_journals(const std::filesystem::path& folder);

}  // namespace limewash::tracking
