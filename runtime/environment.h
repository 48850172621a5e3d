#pragma once
// Settings that come from outside the configuration.

#include <string>

namespace limewash {

/// The environment variable's value; "" when it is not set.
std::string environment_variable(const char* name);

}  // namespace limewash
