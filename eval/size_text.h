#pragma once

#include <string>

namespace limewash::eval {

/// "WIDTHxHEIGHT" of a picture or mask, as messages name it.
template <typename Picture>
std::string size_text(const Picture& picture) {
  return std::to_string(picture.width) + "x" + std::to_string(picture.height);
}

}  // namespace limewash::eval
