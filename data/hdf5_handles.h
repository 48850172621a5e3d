#pragma once
// RAII over HDF5's C handles; only the two hdf5_*.cpp files include it.

#include <filesystem>
#include <mutex>
#include <string>

#include <hdf5.h>

#include "runtime/error.h"

namespace limewash::data {

/// One HDF5 identifier, closed by the function that belongs to its kind.
class Hdf5Handle {
 public:
  Hdf5Handle(hid_t id, herr_t (*closer)(hid_t)) : id_(id), closer_(closer) {}
  ~Hdf5Handle() {
    if (id_ >= 0) closer_(id_);
  }
  Hdf5Handle(Hdf5Handle&& other) noexcept : id_(other.id_), closer_(other.closer_) {
    other.id_ = -1;
  }
  Hdf5Handle& operator=(Hdf5Handle&&) = delete;
  operator hid_t() const {  // NOLINT: stands for the identifier in every call of the C interface
    return id_;
  }
  /// Close now and say whether that worked: closing is when the last bytes are written.
  bool close() {
    const hid_t id = id_;
    id_ = -1;
    return id < 0 || closer_(id) >= 0;
  }

 private:
  hid_t id_;
  herr_t (*closer_)(hid_t);
};

/// Held around every use of the library, which may be built without thread safety; keeps it from
/// printing its error stack, of which our messages carry the cause.
class Hdf5Session {
 public:
  Hdf5Session();

 private:
  std::lock_guard<std::recursive_mutex> lock_;
};

/// The innermost cause of the library's last failure, in its words.
std::string hdf5_cause();

/// `path: what (cause)` as an InputError.
[[noreturn]] void hdf5_failed(const std::filesystem::path& path, const std::string& what);

/// Throw unless `id` is a valid identifier.
inline hid_t checked(hid_t id, const std::filesystem::path& path, const std::string& what) {
  if (id < 0) hdf5_failed(path, what);
  return id;
}

}  // namespace limewash::data
