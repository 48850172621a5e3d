#include "models/zip_archive.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "models/strict_json.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

// Numbers and layouts: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3.
constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocator64Signature = 0x07064b50;
constexpr uint64_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kEnd64Size = 56,
                   kLocator64Size = 20;
constexpr uint64_t kMaxEntries = 1'000'000;
constexpr uint64_t kAllOnes16 = 0xffff, kAllOnes32 = 0xffffffff;

struct Directory {
  uint64_t offset = 0, size = 0, entries = 0;
};

class ZipReader {
 public:
  ZipReader(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  std::map<std::string, ZipEntry> read() const {
    const Directory directory = find_directory();
    std::map<std::string, ZipEntry> entries;
    std::vector<std::pair<uint64_t, uint64_t>> ranges;
    uint64_t position = directory.offset;
    const uint64_t end = directory.offset + directory.size;
    for (uint64_t i = 0; i < directory.entries; ++i) {
      if (end - position < kCentralSize || number(position, 4) != kCentralSignature) {
        fail("entry " + std::to_string(i) + " of the directory is broken");
      }
      position = read_entry(position, end, directory.offset, entries, ranges);
    }
    if (position != end) fail("the directory holds more than its entries");
    std::sort(ranges.begin(), ranges.end());
    for (size_t i = 1; i < ranges.size(); ++i) {
      if (ranges[i].first < ranges[i - 1].second) {
        fail("two entries overlap at byte " + std::to_string(ranges[i].first));
      }
    }
    return entries;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(file_ + ": zip archive: " + what + " (truncated or damaged?)");
  }

  /// A little-endian number of `width` bytes.
  uint64_t number(uint64_t position, unsigned width) const {
    if (position > bytes_.size() || bytes_.size() - position < width) fail("it ends too early");
    uint64_t value = 0;
    for (unsigned byte = width; byte-- > 0;) {
      value = value << 8 | static_cast<unsigned char>(bytes_[position + byte]);
    }
    return value;
  }

  uint64_t find_end() const {
    if (bytes_.size() < kEndSize) fail("it ends too early");
    const uint64_t last = bytes_.size() - kEndSize;
    // The record ends with a comment of up to 65,535 bytes.
    const uint64_t first = last > kAllOnes16 ? last - kAllOnes16 : 0;
    for (uint64_t position = last + 1; position-- > first;) {
      if (number(position, 4) == kEndSignature && number(position + 20, 2) == last - position) {
        return position;
      }
    }
    fail("there is no directory at its end");
  }

  Directory find_directory() const {
    const uint64_t end = find_end();
    Directory directory{number(end + 16, 4), number(end + 12, 4), number(end + 10, 2)};
    uint64_t expected_end = end;
    bool parts = number(end + 4, 2) != 0 || number(end + 6, 2) != 0 ||
                 number(end + 8, 2) != directory.entries;
    if (end >= kLocator64Size && number(end - kLocator64Size, 4) == kLocator64Signature) {
      const uint64_t locator = end - kLocator64Size;
      const uint64_t end64 = number(locator + 8, 8);
      if (end64 > locator || locator - end64 < kEnd64Size || number(end64, 4) != kEnd64Signature ||
          number(end64 + 4, 8) != locator - end64 - 12) {
        fail("its zip64 directory is broken");
      }
      const Directory large{number(end64 + 48, 8), number(end64 + 40, 8), number(end64 + 32, 8)};
      const auto agrees = [](uint64_t small, uint64_t all_ones, uint64_t value) {
        return small == value || small == all_ones;
      };
      if (!agrees(directory.offset, kAllOnes32, large.offset) ||
          !agrees(directory.size, kAllOnes32, large.size) ||
          !agrees(directory.entries, kAllOnes16, large.entries)) {
        fail("its two directories disagree");
      }
      parts = number(end64 + 16, 4) != 0 || number(end64 + 20, 4) != 0 ||
              number(end64 + 24, 8) != large.entries || number(locator + 16, 4) > 1;
      directory = large;
      expected_end = end64;
    }
    if (parts) fail("it is one of several parts");
    if (directory.offset > expected_end || directory.size != expected_end - directory.offset) {
      fail("its directory does not lie where it says");
    }
    if (directory.entries > kMaxEntries || directory.entries > directory.size / kCentralSize) {
      fail("it claims " + std::to_string(directory.entries) + " entries");
    }
    return directory;
  }

  /// Adds the entry described at `position` of the directory; gives the place of the next one.
  uint64_t read_entry(uint64_t position,
                      uint64_t end,
                      uint64_t data_end,
                      std::map<std::string, ZipEntry>& entries,
                      std::vector<std::pair<uint64_t, uint64_t>>& ranges) const {
    const uint64_t name_size = number(position + 28, 2), extra_size = number(position + 30, 2);
    const uint64_t next =
        position + kCentralSize + name_size + extra_size + number(position + 32, 2);
    if (next > end) fail("its directory is cut off");
    const std::string_view name = bytes_.substr(position + kCentralSize, name_size);
    const std::string shown = "the entry '" + printable(std::string(name)) + "' ";
    constexpr uint64_t kEncrypted = 1 | 1 << 6 | 1 << 13;
    if (number(position + 8, 2) & kEncrypted) fail(shown + "is encrypted");
    const uint64_t method = number(position + 10, 2);
    if (method != 0) {
      throw InputError(file_ + ": zip archive: " + shown + "is compressed (method " +
                       std::to_string(method) +
                       "): torch.save stores without compression; load it with torch.load and "
                       "save it again");
    }
    uint64_t packed = number(position + 20, 4), size = number(position + 24, 4);
    uint64_t offset = number(position + 42, 4);
    read_zip64_sizes(position + kCentralSize + name_size, extra_size, size, packed, offset);
    if (packed != size) fail(shown + "has two sizes");
    if (number(position + 34, 2) != 0) fail("it is one of several parts");

    if (offset > data_end || data_end - offset < kLocalSize ||
        number(offset, 4) != kLocalSignature || number(offset + 26, 2) != name_size) {
      fail(shown + "is not where the directory says");
    }
    const uint64_t start = offset + kLocalSize + name_size + number(offset + 28, 2);
    if (start > data_end || size > data_end - start) fail(shown + "reaches beyond the data");
    if (bytes_.substr(offset + kLocalSize, name_size) != name) fail(shown + "has two names");
    if (!entries.emplace(name, ZipEntry{start, size}).second) fail(shown + "stands twice");
    ranges.emplace_back(offset, start + size);
    return next;
  }

  /// Replaces each number that is all ones by the one in the zip64 extra field.
  void read_zip64_sizes(uint64_t extra,
                        uint64_t extra_size,
                        uint64_t& size,
                        uint64_t& packed,
                        uint64_t& offset) const {
    uint64_t* const numbers[] = {&size, &packed, &offset};
    if (size != kAllOnes32 && packed != kAllOnes32 && offset != kAllOnes32) return;
    const uint64_t end = extra + extra_size;
    while (end - extra >= 4) {
      const uint64_t field_size = number(extra + 2, 2);
      const uint64_t field_end = extra + 4 + field_size;
      if (field_end > end) break;
      if (number(extra, 2) == 1) {
        uint64_t position = extra + 4;
        for (uint64_t* value : numbers) {
          if (*value != kAllOnes32) continue;
          if (field_end - position < 8) fail("a zip64 size is missing");
          *value = number(position, 8);
          position += 8;
        }
        return;
      }
      extra = field_end;
    }
    fail("a zip64 size is missing");
  }

  std::string_view bytes_;
  const std::string& file_;
};

}  // namespace

std::map<std::string, ZipEntry> read_zip_directory(std::string_view bytes,
                                                   const std::string& file) {
  return ZipReader(bytes, file).read();
}

}  // namespace limewash::models
