#include <algorithm>
#include <map>

#include "data/deflate.h"
#include "data/hdf5_file.h"
#include "data/hdf5_handles.h"
#include "runtime/files.h"

namespace limewash::data {
namespace {

std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

herr_t remember_description(unsigned, const H5E_error2_t* error, void* into) {
  if (error->desc != nullptr) *static_cast<std::string*>(into) = error->desc;
  return 0;
}

Hdf5Handle stored_type(Hdf5Type type, size_t text_length) {
  switch (type) {
    case Hdf5Type::kUint8:
      return {H5Tcopy(H5T_STD_U8LE), H5Tclose};
    case Hdf5Type::kUint64:
      return {H5Tcopy(H5T_STD_U64LE), H5Tclose};
    case Hdf5Type::kFloat32:
      return {H5Tcopy(H5T_IEEE_F32LE), H5Tclose};
    case Hdf5Type::kFloat64:
      return {H5Tcopy(H5T_IEEE_F64LE), H5Tclose};
    case Hdf5Type::kText:
      break;
  }
  Hdf5Handle text(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(text, text_length);
  H5Tset_cset(text, H5T_CSET_UTF8);
  H5Tset_strpad(text, H5T_STR_NULLPAD);
  return text;
}

std::vector<hsize_t> extents(const std::vector<int64_t>& shape) {
  return {shape.begin(), shape.end()};
}

/// Fixed-length texts side by side, padded with zeros; `length` becomes theirs.
std::string padded(const std::vector<std::string>& values, size_t& length) {
  length = 1;
  for (const std::string& value : values) length = std::max(length, value.size());
  std::string bytes;
  for (const std::string& value : values) bytes.append(value).append(length - value.size(), '\0');
  return bytes;
}

}  // namespace

Hdf5Session::Hdf5Session() : lock_(library_mutex()) {
  // After a failed write (disk full), the library would try to finish the file at the program's end
  // and crash. What we open, we close ourselves.
  [[maybe_unused]] static const herr_t at_exit = H5dont_atexit();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

std::string hdf5_cause() {
  // Downward: from the call of ours to where it went wrong; the last is the cause.
  std::string cause;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, remember_description, &cause);
  return cause.empty() ? "no reason given" : cause;
}

void hdf5_failed(const std::filesystem::path& path, const std::string& what) {
  throw InputError(path.string() + ": " + what + " (HDF5: " + hdf5_cause() + ")");
}

int64_t hdf5_type_size(Hdf5Type type) {
  switch (type) {
    case Hdf5Type::kUint64:
    case Hdf5Type::kFloat64:
      return 8;
    case Hdf5Type::kFloat32:
      return 4;
    case Hdf5Type::kUint8:
    case Hdf5Type::kText:
      break;
  }
  return 1;
}

struct Hdf5Writer::Impl {
  std::filesystem::path path;
  Hdf5Handle file;
  std::map<std::string, Hdf5Handle> datasets;

  void attribute(const std::string& name,
                 const Hdf5Handle& type,
                 const Hdf5Handle& space,
                 const void* value) {
    const Hdf5Handle created(H5Acreate2(file, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT),
                             H5Aclose);
    if (created < 0 || H5Awrite(created, type, value) < 0)
      hdf5_failed(path, "cannot write attribute " + name);
  }

  void create(const std::string& name, const Hdf5Handle& type, const std::vector<int64_t>& shape) {
    const auto sizes = extents(shape);
    const Hdf5Handle space(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr),
                           H5Sclose);
    const Hdf5Handle settings(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_obj_track_times(settings, false);
    H5Pset_layout(settings, H5D_CONTIGUOUS);
    H5Pset_alloc_time(settings, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(settings, H5D_FILL_TIME_NEVER);
    Hdf5Handle created(
        H5Dcreate2(file, name.c_str(), type, space, H5P_DEFAULT, settings, H5P_DEFAULT), H5Dclose);
    if (created < 0) hdf5_failed(path, "cannot create dataset /" + name);
    datasets.emplace(name, std::move(created));
  }

  void create_deflated(const std::string& name, const std::vector<int64_t>& shape) {
    const auto sizes = extents(shape);
    auto chunk = sizes;
    chunk[0] = 1;
    const Hdf5Handle type = stored_type(Hdf5Type::kUint8, 1);
    const Hdf5Handle space(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr),
                           H5Sclose);
    const Hdf5Handle settings(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_obj_track_times(settings, false);
    H5Pset_chunk(settings, static_cast<int>(chunk.size()), chunk.data());
    H5Pset_deflate(settings, kDeflateLevel);
    H5Pset_fill_time(settings, H5D_FILL_TIME_NEVER);
    Hdf5Handle created(
        H5Dcreate2(file, name.c_str(), type, space, H5P_DEFAULT, settings, H5P_DEFAULT), H5Dclose);
    if (created < 0) hdf5_failed(path, "cannot create dataset /" + name);
    datasets.emplace(name, std::move(created));
  }

  void write_all(const std::string& name, const Hdf5Handle& type, const void* values) {
    if (H5Dwrite(datasets.at(name), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
      hdf5_failed(path, "cannot write dataset /" + name);
  }
};

Hdf5Writer::Hdf5Writer(std::filesystem::path path) {
  const Hdf5Session session;
  const Hdf5Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  H5Pset_obj_track_times(creation, false);
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  // Every piece of structure in this version carries a checksum of its own.
  H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18);
  H5Pset_file_locking(access, false, true);
  // Numbers start at multiples of 64 bytes.
  H5Pset_alignment(access, 4096, 64);
  Hdf5Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose);
  if (file < 0) hdf5_failed(path, "cannot create the file");
  impl_ = std::unique_ptr<Impl>(new Impl{std::move(path), std::move(file), {}});
}

Hdf5Writer::~Hdf5Writer() {
  const Hdf5Session session;
  impl_.reset();
}

void Hdf5Writer::attribute(const std::string& name, int64_t value) {
  const Hdf5Session session;
  const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  impl_->attribute(name, {H5Tcopy(H5T_STD_I64LE), H5Tclose}, space, &value);
}

void Hdf5Writer::attribute(const std::string& name, const std::string& value) {
  const Hdf5Session session;
  const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  size_t length = 0;
  const std::string bytes = padded({value}, length);
  impl_->attribute(name, stored_type(Hdf5Type::kText, length), space, bytes.data());
}

void Hdf5Writer::attribute(const std::string& name, const std::vector<std::string>& values) {
  const Hdf5Session session;
  const hsize_t count = values.size();
  const Hdf5Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
  size_t length = 0;
  const std::string bytes = padded(values, length);
  impl_->attribute(name, stored_type(Hdf5Type::kText, length), space, bytes.data());
}

void Hdf5Writer::dataset(const std::string& name,
                         Hdf5Type type,
                         const std::vector<int64_t>& shape,
                         const void* values) {
  const Hdf5Session session;
  const Hdf5Handle stored = stored_type(type, 1);
  impl_->create(name, stored, shape);
  impl_->write_all(name, stored, values);
}

void Hdf5Writer::declare(const std::string& name,
                         Hdf5Type type,
                         const std::vector<int64_t>& shape) {
  const Hdf5Session session;
  impl_->create(name, stored_type(type, 1), shape);
}

void Hdf5Writer::write_row(const std::string& name, int64_t row, const void* values) {
  const Hdf5Session session;
  const Hdf5Handle& dataset = impl_->datasets.at(name);
  const Hdf5Handle space(H5Dget_space(dataset), H5Sclose);
  const Hdf5Handle type(H5Dget_type(dataset), H5Tclose);
  std::vector<hsize_t> count(static_cast<size_t>(H5Sget_simple_extent_ndims(space)));
  H5Sget_simple_extent_dims(space, count.data(), nullptr);
  std::vector<hsize_t> start(count.size(), 0);
  start[0] = static_cast<hsize_t>(row);
  count[0] = 1;
  H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr);
  const Hdf5Handle memory(H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr),
                          H5Sclose);
  if (H5Dwrite(dataset, type, memory, space, H5P_DEFAULT, values) < 0)
    hdf5_failed(impl_->path, "cannot write row " + std::to_string(row) + " of dataset /" + name);
}

void Hdf5Writer::declare_deflated(const std::string& name, const std::vector<int64_t>& shape) {
  const Hdf5Session session;
  impl_->create_deflated(name, shape);
}

void Hdf5Writer::write_chunk(const std::string& name,
                             int64_t row,
                             std::span<const uint8_t> deflated) {
  const Hdf5Session session;
  const Hdf5Handle& dataset = impl_->datasets.at(name);
  const Hdf5Handle space(H5Dget_space(dataset), H5Sclose);
  std::vector<hsize_t> start(static_cast<size_t>(H5Sget_simple_extent_ndims(space)), 0);
  start[0] = static_cast<hsize_t>(row);
  if (H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, start.data(), deflated.size(), deflated.data()) < 0)
    hdf5_failed(impl_->path, "cannot write row " + std::to_string(row) + " of dataset /" + name);
}

void Hdf5Writer::texts(const std::string& name, const std::vector<std::string>& values) {
  const Hdf5Session session;
  size_t length = 0;
  const std::string bytes = padded(values, length);
  const Hdf5Handle type = stored_type(Hdf5Type::kText, length);
  impl_->create(name, type, {static_cast<int64_t>(values.size())});
  impl_->write_all(name, type, bytes.data());
}

void Hdf5Writer::close(bool sync) {
  finish();
  if (sync) sync_path(impl_->path);
}

void Hdf5Writer::finish() {
  const Hdf5Session session;
  bool closed = true;
  for (auto& [name, dataset] : impl_->datasets) closed = dataset.close() && closed;
  closed = impl_->file.close() && closed;
  if (!closed) hdf5_failed(impl_->path, "cannot finish the file");
}

}  // namespace limewash::data
