#include "runtime/environment.h"

#include <cstdlib>

namespace limewash {

std::string environment_variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace limewash
