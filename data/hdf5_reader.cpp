#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "data/hdf5_file.h"
#include "data/hdf5_handles.h"

namespace limewash::data {
namespace {

constexpr size_t kMaxAttributeBytes = 1 << 16;
constexpr int kMaxDimensions = 8;

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
  const std::string place = impl_->path.string() + ": dataset /" + name;
  H5L_info_t link{};
  // A link into another file would make offsets of that file pass for offsets of this one.
  if (H5Lget_info(impl_->file, name.c_str(), &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD)
    throw InputError(place + " is missing");
  const Hdf5Handle dataset(H5Dopen2(impl_->file, name.c_str(), H5P_DEFAULT), H5Dclose);
  if (dataset < 0) hdf5_failed(impl_->path, "cannot open dataset /" + name);
  const Hdf5Handle stored(H5Dget_type(dataset), H5Tclose);
  const Hdf5Handle space(H5Dget_space(dataset), H5Sclose);
  const Hdf5Handle settings(H5Dget_create_plist(dataset), H5Pclose);
  if (!fits(stored, type)) throw InputError(place + " is not of type " + name_of(type));
  if (H5Pget_layout(settings) != H5D_CONTIGUOUS || H5Pget_external_count(settings) != 0)
    throw InputError(place + " is not stored contiguously in this file");

  const int dimensions = H5Sget_simple_extent_ndims(space);
  if (dimensions < 1 || dimensions > kMaxDimensions)
    throw InputError(place + " has no usable shape");
  std::vector<hsize_t> extents(static_cast<size_t>(dimensions));
  H5Sget_simple_extent_dims(space, extents.data(), nullptr);
  Hdf5Array array{type, {extents.begin(), extents.end()}, 0, 0, 0};
  bool agrees = array.shape.size() == shape.size();
  for (size_t i = 0; agrees && i < shape.size(); ++i)
    agrees = array.shape[i] >= 0 && (shape[i] < 0 || array.shape[i] == shape[i]);
  if (!agrees)
    throw InputError(place + " has shape " + shape_text(array.shape) + ", expected " +
                     shape_text(shape));

  array.text_length = type == Hdf5Type::kText ? static_cast<int64_t>(H5Tget_size(stored)) : 0;
  array.bytes = type == Hdf5Type::kText ? array.text_length : hdf5_type_size(type);
  bool overflow = false;
  for (const int64_t extent : array.shape)
    overflow = __builtin_mul_overflow(array.bytes, extent, &array.bytes) || overflow;
  const haddr_t offset = H5Dget_offset(dataset);
  const auto file_size = static_cast<uint64_t>(impl_->numbers.size());
  if (overflow || offset == HADDR_UNDEF || offset > file_size ||
      static_cast<uint64_t>(array.bytes) > file_size - offset)
    throw InputError(place + " reaches beyond the end of the file: truncated or damaged");
  array.offset = static_cast<int64_t>(offset);
  return array;
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
