#pragma once
// One thing that a run recorded, and its line in the journal.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace limewash::tracking {

enum class EntryKind {
  kAttempt,   ///< a process began to record: key = client run key, value = run
              ///< name
  kParam,     ///< key, value
  kTag,       ///< key, value
  kMetric,    ///< key, number, step
  kArtifact,  ///< file (relative to the run folder), path (folder at the
              ///< tracker)
  kImage,     ///< key, step, file, path = the unique part of its name at the
              ///< tracker
  kDataset,   ///< key = context, value = name, file = digest, path = source
  kStatus,    ///< value = FINISHED, FAILED or KILLED
};

struct Entry {
  EntryKind kind = EntryKind::kMetric;
  int64_t time_ms = 0;  ///< since 1970; part of a point's identity at the
                        ///< tracker, so it never changes
  std::string key, value;
  double number = 0;
  int64_t step = 0;
  std::string file, path;
};

/// The journal line of `entry`, newline included: {"xxh3":"<16 hex
/// digits>","entry":{...}}. The checksum (XXH3, 64 bits) covers the bytes of
/// the inner object. Bytes that are not UTF-8 become U+FFFD.
std::string to_journal_line(const Entry& entry);

/// Whether the line, without its newline, is what was written, byte for byte, be its kind known or
/// not; otherwise the reason is in `problem`.
bool is_whole_line(std::string_view line, std::string& problem);

/// The entry of a line without its newline; empty, with the reason in
/// `problem`, when the line is not what was written or is of a kind that this
/// version does not know.
std::optional<Entry> from_journal_line(std::string_view line, std::string& problem);

/// A number as JSON can hold it: "NaN", "Infinity", "-Infinity" as text,
/// everything else as a number.
std::string json_number(double value);

/// Milliseconds since 1970.
int64_t now_ms();

/// 32 random hex digits out of the system's generator: an identity, not a draw
/// that results depend on.
std::string random_identity();

}  // namespace limewash::tracking
