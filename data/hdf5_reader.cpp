#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "data/deflate.h"
#include "data/hdf5_file.h"
#include "data/hdf5_handles.h"
#include "data/pixel_memory.h"

namespace limewash::data {
namespace {

constexpr size_t kMaxAttributeBytes = 1 << 16;
constexpr int kMaxDimensions = 8;
/// Deflate can't reach 1,032 : 1; a smaller chunk that claims to hold a row is damaged or hostile.
constexpr int64_t kHighestDeflateRatio = 1100;

std::string name_of(Hdf5Type type) {
  switch (type) {
    case Hdf5Type::kUint8:
      return "uint8";
    case Hdf5Type::kUint64:
      return "uint64";
    case Hdf5Type::kFloat32:
      return "float32";
    case Hdf5Type::kFloat64:
      return "float64";
    case Hdf5Type::kText:
      break;
  }
  return "fixed-length text";
}

bool is_fixed_text(hid_t type) {
  return H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0;
}

bool fits(hid_t stored, Hdf5Type wanted) {
  switch (wanted) {
    case Hdf5Type::kUint8:
      return H5Tequal(stored, H5T_STD_U8LE) > 0;
    case Hdf5Type::kUint64:
      return H5Tequal(stored, H5T_STD_U64LE) > 0;
    case Hdf5Type::kFloat32:
      return H5Tequal(stored, H5T_IEEE_F32LE) > 0;
    case Hdf5Type::kFloat64:
      return H5Tequal(stored, H5T_IEEE_F64LE) > 0;
    case Hdf5Type::kText:
      break;
  }
  return is_fixed_text(stored);
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i > 0 ? ", " : "") + (shape[i] < 0 ? std::string("any") : std::to_string(shape[i]));
  return text + "]";
}

/// Split texts of one length and drop the zeros that pad them.
std::vector<std::string> split_texts(const std::string& bytes, size_t length) {
  std::vector<std::string> texts;
  for (size_t place = 0; place + length <= bytes.size(); place += length) {
    std::string text = bytes.substr(place, length);
    text.resize(std::min(text.size(), text.find('\0')));
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace

PositionedFile::PositionedFile(const std::filesystem::path& path) : path_(path) {
  // O_NONBLOCK: opening a pipe that nobody writes to must not wait for ever.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0)
    throw InputError(path.string() + ": cannot be opened: " + std::strerror(errno));
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    throw InputError(path.string() + ": is not a regular file");
  }
}

PositionedFile::~PositionedFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

PositionedFile::PositionedFile(PositionedFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

int64_t PositionedFile::size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0)
    throw InputError(path_.string() + ": cannot be measured: " + std::strerror(errno));
  return status.st_size;
}

void PositionedFile::read(int64_t offset, int64_t bytes, void* into) const {
  auto* place = static_cast<char*>(into);
  while (bytes > 0) {
    const ssize_t got = ::pread(descriptor_, place, static_cast<size_t>(bytes), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw InputError(path_.string() + ": cannot be read: " + std::strerror(errno));
    if (got == 0)
      throw InputError(path_.string() + ": is truncated: it ends at byte " +
                       std::to_string(offset) + ", " + std::to_string(bytes) + " bytes early");
    place += got;
    offset += got;
    bytes -= got;
  }
}

struct Hdf5Reader::Impl {
  std::filesystem::path path;
  PositionedFile numbers;
  Hdf5Handle file;

  /// The attribute's bytes in the file's type, and that type's size; checks a text attribute.
  std::string text_bytes(const std::string& name, size_t& length) const {
    const Hdf5Handle attribute(H5Aopen(file, name.c_str(), H5P_DEFAULT), H5Aclose);
    if (attribute < 0) hdf5_failed(path, "has no attribute " + name);
    const Hdf5Handle type(H5Aget_type(attribute), H5Tclose);
    const Hdf5Handle space(H5Aget_space(attribute), H5Sclose);
    const hssize_t count = H5Sget_simple_extent_npoints(space);
    length = is_fixed_text(type) ? H5Tget_size(type) : 0;
    if (length == 0 || length > kMaxAttributeBytes || count < 1 ||
        static_cast<size_t>(count) > kMaxAttributeBytes / length)
      throw InputError(path.string() + ": attribute " + name + " is not a fixed-length text");
    std::string bytes(length * static_cast<size_t>(count), '\0');
    if (H5Aread(attribute, type, bytes.data()) < 0)
      hdf5_failed(path, "cannot read attribute " + name);
    return bytes;
  }

  std::string place(const std::string& name) const {
    return path.string() + ": dataset /" + name;
  }

  struct OpenDataset {
    Hdf5Handle dataset, type, settings;
    std::vector<int64_t> shape;
  };

  /// Open a dataset of this file and check its type and shape.
  OpenDataset open(const std::string& name,
                   Hdf5Type type,
                   const std::vector<int64_t>& expected) const {
    if (H5Lexists(file, name.c_str(), H5P_DEFAULT) < 0)
      hdf5_failed(path, "cannot look up dataset /" + name);
    H5L_info_t link{};
    // A link into another file would make offsets of that file pass for offsets of this one.
    if (H5Lget_info(file, name.c_str(), &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD)
      throw InputError(place(name) + " is missing");
    Hdf5Handle dataset(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose);
    if (dataset < 0) hdf5_failed(path, "cannot open dataset /" + name);
    Hdf5Handle stored(H5Dget_type(dataset), H5Tclose);
    Hdf5Handle settings(H5Dget_create_plist(dataset), H5Pclose);
    if (!fits(stored, type)) throw InputError(place(name) + " is not of type " + name_of(type));
    if (H5Pget_external_count(settings) != 0)
      throw InputError(place(name) + " is not stored in this file");
    const Hdf5Handle space(H5Dget_space(dataset), H5Sclose);
    const int dimensions = H5Sget_simple_extent_ndims(space);
    if (dimensions < 1 || dimensions > kMaxDimensions)
      throw InputError(place(name) + " has no usable shape");
    std::vector<hsize_t> extents(static_cast<size_t>(dimensions));
    H5Sget_simple_extent_dims(space, extents.data(), nullptr);
    std::vector<int64_t> shape(extents.begin(), extents.end());
    bool agrees = shape.size() == expected.size();
    for (size_t i = 0; agrees && i < shape.size(); ++i)
      agrees = shape[i] >= 0 && (expected[i] < 0 || shape[i] == expected[i]);
    if (!agrees)
      throw InputError(place(name) + " has shape " + shape_text(shape) + ", expected " +
                       shape_text(expected));
    return {std::move(dataset), std::move(stored), std::move(settings), std::move(shape)};
  }

  /// `offset`, when `bytes` from there on are inside the file.
  int64_t inside(const std::string& name, haddr_t offset, int64_t bytes) const {
    const auto file_size = static_cast<uint64_t>(numbers.size());
    if (offset == HADDR_UNDEF || offset > file_size ||
        static_cast<uint64_t>(bytes) > file_size - offset)
      throw InputError(place(name) + " reaches beyond the end of the file: truncated or damaged");
    return static_cast<int64_t>(offset);
  }

  /// One row a chunk, and deflate alone: what read_row understands.
  void check_chunking(const std::string& name, const OpenDataset& opened) const {
    std::vector<hsize_t> chunk(opened.shape.size());
    const int dimensions =
        H5Pget_chunk(opened.settings, static_cast<int>(chunk.size()), chunk.data());
    bool one_row = dimensions == static_cast<int>(chunk.size()) && chunk[0] == 1;
    for (size_t i = 1; one_row && i < chunk.size(); ++i)
      one_row = chunk[i] == static_cast<hsize_t>(opened.shape[i]);
    if (!one_row) throw InputError(place(name) + " is not stored in chunks of one row");
    unsigned flags = 0;
    size_t values = 0;
    if (H5Pget_nfilters(opened.settings) != 1 ||
        H5Pget_filter2(opened.settings, 0, &flags, &values, nullptr, 0, nullptr, nullptr) !=
            H5Z_FILTER_DEFLATE)
      throw InputError(place(name) + " has chunks of another filter than gzip alone");
  }
};

Hdf5Reader::Hdf5Reader(std::filesystem::path path) {
  const Hdf5Session session;
  PositionedFile numbers(path);
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_file_locking(access, false, true);
  Hdf5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access), H5Fclose);
  if (file < 0)
    hdf5_failed(path, "is not a readable HDF5 file: truncated, damaged or of another kind");
  impl_ = std::unique_ptr<Impl>(new Impl{std::move(path), std::move(numbers), std::move(file)});
}

Hdf5Reader::~Hdf5Reader() {
  const Hdf5Session session;
  impl_.reset();
}

int64_t Hdf5Reader::integer_attribute(const std::string& name) const {
  const Hdf5Session session;
  const Hdf5Handle attribute(H5Aopen(impl_->file, name.c_str(), H5P_DEFAULT), H5Aclose);
  if (attribute < 0) hdf5_failed(impl_->path, "has no attribute " + name);
  const Hdf5Handle type(H5Aget_type(attribute), H5Tclose);
  const Hdf5Handle space(H5Aget_space(attribute), H5Sclose);
  int64_t value = 0;
  if (H5Tget_class(type) != H5T_INTEGER || H5Sget_simple_extent_npoints(space) != 1)
    throw InputError(impl_->path.string() + ": attribute " + name + " is not one integer");
  if (H5Aread(attribute, H5T_NATIVE_INT64, &value) < 0)
    hdf5_failed(impl_->path, "cannot read attribute " + name);
  return value;
}

std::string Hdf5Reader::text_attribute(const std::string& name) const {
  return text_list_attribute(name).front();
}

std::vector<std::string> Hdf5Reader::text_list_attribute(const std::string& name) const {
  const Hdf5Session session;
  size_t length = 0;
  const std::string bytes = impl_->text_bytes(name, length);
  return split_texts(bytes, length);
}

bool Hdf5Reader::has_dataset(const std::string& name) const {
  const Hdf5Session session;
  return H5Lexists(impl_->file, name.c_str(), H5P_DEFAULT) > 0;
}

Hdf5Array Hdf5Reader::array(const std::string& name,
                            Hdf5Type type,
                            const std::vector<int64_t>& shape) const {
  const Hdf5Session session;
  const Impl::OpenDataset opened = impl_->open(name, type, shape);
  if (H5Pget_layout(opened.settings) != H5D_CONTIGUOUS)
    throw InputError(impl_->place(name) + " is not stored contiguously in this file");
  Hdf5Array array{type, opened.shape, 0, 0, 0};
  array.text_length = type == Hdf5Type::kText ? static_cast<int64_t>(H5Tget_size(opened.type)) : 0;
  array.bytes = type == Hdf5Type::kText ? array.text_length : hdf5_type_size(type);
  bool overflow = false;
  for (const int64_t extent : array.shape)
    overflow = __builtin_mul_overflow(array.bytes, extent, &array.bytes) || overflow;
  array.offset =
      impl_->inside(name, H5Dget_offset(opened.dataset), overflow ? INT64_MAX : array.bytes);
  return array;
}

Hdf5Rows Hdf5Reader::rows(const std::string& name, const std::vector<int64_t>& shape) const {
  const Hdf5Session session;
  const Impl::OpenDataset opened = impl_->open(name, Hdf5Type::kUint8, shape);
  Hdf5Rows rows{shape[0], 1, 0, {}};
  for (size_t i = 1; i < shape.size(); ++i)
    if (__builtin_mul_overflow(rows.row_bytes, shape[i], &rows.row_bytes))
      throw InputError(impl_->place(name) + " has rows of impossible size");
  if (H5Pget_layout(opened.settings) != H5D_CHUNKED) {
    rows.offset = array(name, Hdf5Type::kUint8, shape).offset;
    return rows;
  }
  impl_->check_chunking(name, opened);
  std::vector<hsize_t> start(shape.size(), 0);
  for (int64_t row = 0; row < rows.count; ++row) {
    start[0] = static_cast<hsize_t>(row);
    unsigned skipped_filters = 0;
    haddr_t offset = HADDR_UNDEF;
    hsize_t bytes = 0;
    if (H5Dget_chunk_info_by_coord(
            opened.dataset, start.data(), &skipped_filters, &offset, &bytes) < 0)
      hdf5_failed(impl_->path, "cannot find row " + std::to_string(row) + " of dataset /" + name);
    if (skipped_filters != 0 || bytes == 0 || bytes > INT64_MAX)
      throw InputError(impl_->place(name) + " lacks row " + std::to_string(row));
    const auto size = static_cast<int64_t>(bytes);
    if (size > rows.row_bytes + rows.row_bytes / 64 + 1024 ||
        rows.row_bytes / kHighestDeflateRatio > size)
      throw InputError(impl_->place(name) + " has a chunk of impossible size for row " +
                       std::to_string(row));
    rows.chunks.push_back({impl_->inside(name, offset, size), size});
  }
  return rows;
}

std::vector<uint8_t> read_row(const PositionedFile& file, const Hdf5Rows& rows, int64_t index) {
  std::vector<uint8_t> row = take_pixel_memory(static_cast<size_t>(rows.row_bytes));
  if (rows.chunks.empty()) {
    file.read(rows.offset + index * rows.row_bytes, rows.row_bytes, row.data());
    return row;
  }
  const Hdf5Rows::Chunk& chunk = rows.chunks.at(static_cast<size_t>(index));
  std::vector<uint8_t> deflated(static_cast<size_t>(chunk.bytes));
  file.read(chunk.offset, chunk.bytes, deflated.data());
  inflate_bytes(deflated, row);
  return row;
}

std::vector<std::string> Hdf5Reader::read_texts(const Hdf5Array& array) const {
  std::string bytes(static_cast<size_t>(array.bytes), '\0');
  impl_->numbers.read(array.offset, array.bytes, bytes.data());
  return split_texts(bytes, static_cast<size_t>(array.text_length));
}

const PositionedFile& Hdf5Reader::file() const {
  return impl_->numbers;
}

PositionedFile Hdf5Reader::take_file() {
  return std::move(impl_->numbers);
}

}  // namespace limewash::data
