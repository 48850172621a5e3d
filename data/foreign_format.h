#pragma once
// What a file is that is none of the pictures that limewash reads.

#include <string>
#include <string_view>

namespace limewash::data {

/// In words that end the sentence "FILE: ", such as "is a GIF, which limewash does not read:
/// convert it to PNG or JPEG" or "is a web page, not a picture".
std::string describe_foreign(std::string_view bytes);

}  // namespace limewash::data
