#pragma once
// The little of HDF5 that limewash's files use: named arrays, contiguous or with one deflated chunk
// a row, and scalar attributes, written without time stamps so that equal input gives equal bytes,
// and read as places that were checked against the file, so that the numbers themselves can be read
// with pread and inflated from any thread, outside of the library's lock.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace limewash::data {

enum class Hdf5Type { kUint8, kUint64, kFloat32, kFloat64, kText };

/// Bytes of one element; a text has its own length.
int64_t hdf5_type_size(Hdf5Type type);

/// Writes one new file. Every failure is an InputError naming it.
class Hdf5Writer {
 public:
  /// Create `path`, replacing what stands there.
  explicit Hdf5Writer(std::filesystem::path path);
  ~Hdf5Writer();
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  void attribute(const std::string& name, int64_t value);
  void attribute(const std::string& name, const std::string& value);
  void attribute(const std::string& name, const std::vector<std::string>& values);

  /// Create the dataset /`name` and write all of it.
  void dataset(const std::string& name,
               Hdf5Type type,
               const std::vector<int64_t>& shape,
               const void* values);
  /// Create the dataset /`name`, to be filled by `write_row`.
  void declare(const std::string& name, Hdf5Type type, const std::vector<int64_t>& shape);
  /// Write row `row` (all of the dimensions after the first) of the declared dataset /`name`.
  void write_row(const std::string& name, int64_t row, const void* values);
  /// Create the dataset /`name` of uint8 in chunks of one row, filtered by deflate, to be filled by
  /// `write_chunk`.
  void declare_deflated(const std::string& name, const std::vector<int64_t>& shape);
  /// Write row `row` of such a dataset, `deflated` before (data/deflate.h).
  void write_chunk(const std::string& name, int64_t row, std::span<const uint8_t> deflated);
  /// Write fixed-length UTF-8 texts, padded with zeros, as the dataset /`name` [values.size()].
  void texts(const std::string& name, const std::vector<std::string>& values);

  /// Close the file and sync it to the disk; without `sync` that is left to the caller.
  void close(bool sync = true);

 private:
  void finish();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Where a dataset's numbers lie in the file: contiguous, little-endian, inside the file.
struct Hdf5Array {
  Hdf5Type type = Hdf5Type::kUint8;
  std::vector<int64_t> shape;
  int64_t text_length = 0;  ///< of a kText element
  int64_t offset = 0;       ///< of the first byte in the file
  int64_t bytes = 0;
};

/// Where the rows of a uint8 dataset lie in the file: side by side, or each deflated in a chunk of
/// its own. All places are inside the file.
struct Hdf5Rows {
  struct Chunk {
    int64_t offset = 0, bytes = 0;
  };
  int64_t count = 0, row_bytes = 0;
  int64_t offset = 0;         ///< of the first row, without chunks
  std::vector<Chunk> chunks;  ///< one a row, or none
};

/// An open file descriptor that reads at offsets, from any thread.
class PositionedFile {
 public:
  explicit PositionedFile(const std::filesystem::path& path);
  ~PositionedFile();
  PositionedFile(PositionedFile&& other) noexcept;
  PositionedFile& operator=(PositionedFile&&) = delete;

  int64_t size() const;
  /// Read exactly `bytes` from `offset`; InputError naming the file when it ends before or fails.
  void read(int64_t offset, int64_t bytes, void* into) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// Reads the structure of a file that may be damaged or hostile. Every failure is an InputError
/// naming the file.
class Hdf5Reader {
 public:
  explicit Hdf5Reader(std::filesystem::path path);
  ~Hdf5Reader();
  Hdf5Reader(const Hdf5Reader&) = delete;
  Hdf5Reader& operator=(const Hdf5Reader&) = delete;

  int64_t integer_attribute(const std::string& name) const;
  std::string text_attribute(const std::string& name) const;
  std::vector<std::string> text_list_attribute(const std::string& name) const;
  bool has_dataset(const std::string& name) const;
  /// The place of dataset /`name`, which must have this type and this shape; -1 in `shape` allows
  /// any extent.
  Hdf5Array array(const std::string& name, Hdf5Type type, const std::vector<int64_t>& shape) const;
  /// The places of the rows of the uint8 dataset /`name`, which must have exactly this shape.
  Hdf5Rows rows(const std::string& name, const std::vector<int64_t>& shape) const;
  /// The elements of a kText array, without their padding.
  std::vector<std::string> read_texts(const Hdf5Array& array) const;
  /// Read all of an array.
  template <class T>
  std::vector<T> read_all(const Hdf5Array& array) const {
    std::vector<T> values(static_cast<size_t>(array.bytes) / sizeof(T));
    file().read(array.offset, array.bytes, values.data());
    return values;
  }
  const PositionedFile& file() const;
  /// Keep the descriptor beyond the reader, which can't be used for numbers afterwards.
  PositionedFile take_file();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// One row, inflated where it is deflated; never more than `rows.row_bytes`. InputError when the
/// file ends before, or when the chunk does not inflate to exactly one row. From any thread.
std::vector<uint8_t> read_row(const PositionedFile& file, const Hdf5Rows& rows, int64_t index);

}  // namespace limewash::data
