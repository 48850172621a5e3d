#pragma once
// A TIFF in memory behind libtiff, silent and bounded.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tiffio.h>

namespace limewash::data {

/// Opens the first picture of a TIFF. Errors of libtiff are kept for `check`, not printed.
class TiffFile {
 public:
  /// Throws InputError with `name` when the TIFF has no readable directory, no pixels, too many of
  /// them, or pixels that lie beyond the file's end.
  TiffFile(std::string_view bytes, std::string name);
  ~TiffFile();
  TiffFile(const TiffFile&) = delete;
  TiffFile& operator=(const TiffFile&) = delete;

  TIFF* handle() const;
  int64_t width() const;
  int64_t height() const;
  /// An entry of the directory, 16 bits, or its default.
  uint16_t field(uint32_t tag) const;
  int orientation() const;
  /// Throws InputError when `done` is false or libtiff complained meanwhile.
  void check(bool done) const;
  [[noreturn]] void fail(const std::string& what) const;    ///< the file is damaged
  [[noreturn]] void refuse(const std::string& what) const;  ///< the file is of a kind not read

 private:
  struct State;
  void check_header() const;
  void check_places() const;
  std::unique_ptr<State> state_;
  std::string name_;
};

}  // namespace limewash::data
