#include "data/hdf5_info.h"

#include <hdf5.h>

namespace limewash::data {

namespace {

std::string version_text(unsigned major, unsigned minor, unsigned release) {
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(release);
}

}  // namespace

Hdf5Info read_hdf5_info() {
  unsigned major = 0, minor = 0, release = 0;
  hbool_t threadsafe = false;
  H5get_libversion(&major, &minor, &release);
  H5is_library_threadsafe(&threadsafe);
  return {.version = version_text(major, minor, release),
          .built_against = version_text(H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE),
          .threadsafe = threadsafe,
          .gzip = H5Zfilter_avail(H5Z_FILTER_DEFLATE) > 0};
}

}  // namespace limewash::data
