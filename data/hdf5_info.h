#pragma once

#include <string>

namespace limewash::data {

struct Hdf5Info {
  std::string version;        ///< of the library that is loaded
  std::string built_against;  ///< of its headers when this program was built
  bool threadsafe = false;  ///< the library guards itself; limewash serialises its calls either way
  bool gzip = false;        ///< shards with gzip chunks can be read and written
};

/// Of the HDF5 library in use.
Hdf5Info read_hdf5_info();

}  // namespace limewash::data
