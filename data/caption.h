#pragma once
// What a photo's caption may be.

#include <cstddef>
#include <string>
#include <string_view>

namespace limewash::data {

/// Longest caption in bytes of UTF-8, after trimming.
constexpr size_t kMaxCaptionBytes = 2000;

/// The caption in `text`: a byte order mark and the white space at its ends left out, each run of
/// white space within as one space. Throws InputError beginning with `name` when it is longer than
/// kMaxCaptionBytes, no UTF-8, or holds a control character.
std::string caption_of(std::string_view text, const std::string& name);

/// Whether the bytes are UTF-8 as Unicode defines it: no overlong form, no surrogate.
bool is_utf8(std::string_view bytes);

}  // namespace limewash::data
