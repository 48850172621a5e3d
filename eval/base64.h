#pragma once

#include <string>
#include <string_view>

namespace limewash::eval {

/// RFC 4648, with padding: for data: URIs.
std::string base64(std::string_view bytes);

}  // namespace limewash::eval
