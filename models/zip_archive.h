#pragma once
// The directory of a zip archive whose entries are stored and not compressed, as torch.save writes
// them.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace limewash::models {

/// Where an entry's bytes lie in the archive.
struct ZipEntry {
  uint64_t offset = 0;
  uint64_t size = 0;
};

/// All entries of the archive `bytes` by name, zip64 included. Compressed and encrypted entries,
/// names given twice, entries that overlap or reach beyond the archive, and archives in several
/// parts are an InputError naming `file` and the entry. Checksums are not compared: torch can be
/// told not to write them.
std::map<std::string, ZipEntry> read_zip_directory(std::string_view bytes, const std::string& file);

}  // namespace limewash::models
