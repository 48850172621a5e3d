#pragma once
// A whole file in memory, page by page as it is touched.

#include <cstdint>
#include <filesystem>
#include <string>

namespace limewash::models {

/// Mapped privately: what is written to the memory never reaches the file. A file that is cut short
/// while it is mapped ends the process, so weights are replaced by renaming and never written in
/// place.
class MappedFile {
 public:
  /// Throws InputError naming the file when it cannot be read or is no regular file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  /// Null for an empty file.
  char* data() const;
  uint64_t size() const;

  /// Gives the memory of these bytes back; when they are touched again they are read from the file
  /// again. What was written to them is lost. Bytes of other memory are left alone.
  void drop(const void* begin, uint64_t bytes) const;

 private:
  char* data_ = nullptr;
  uint64_t size_ = 0;
};

/// Throws InputError "WHERE: …" when one of the bytes is neither 0 nor 1.
void check_booleans(const char* data, uint64_t bytes, const std::string& where);

}  // namespace limewash::models
