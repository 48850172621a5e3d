#include "data/caption.h"

#include <cstdint>

#include "runtime/error.h"

namespace limewash::data {
namespace {

bool is_space(unsigned char letter) {
  return letter == ' ' || (letter >= '\t' && letter <= '\r');
}

}  // namespace

bool is_utf8(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size();) {
    const auto first = static_cast<unsigned char>(bytes[i++]);
    if (first < 0x80) continue;
    if (first < 0xc2 || first > 0xf4) return false;
    const int following = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    for (int k = 0; k < following; ++k, ++i) {
      if (i == bytes.size()) return false;
      const auto next = static_cast<unsigned char>(bytes[i]);
      // The second byte also rules out overlong forms, surrogates, and what lies above U+10FFFF.
      const unsigned char low = k > 0 ? 0x80 : first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
      const unsigned char high = k > 0 ? 0xbf : first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
      if (next < low || next > high) return false;
    }
  }
  return true;
}

std::string caption_of(std::string_view text, const std::string& name) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  if (!is_utf8(text)) throw InputError(name + ": the caption is no valid UTF-8");
  std::string caption;
  bool space = false;
  for (const char letter : text) {
    const auto value = static_cast<unsigned char>(letter);
    if (is_space(value)) {
      space = !caption.empty();
      continue;
    }
    if (value < 0x20 || value == 0x7f)
      throw InputError(name + ": the caption holds the control character " + std::to_string(value));
    if (space) caption += ' ';
    space = false;
    caption += letter;
    if (caption.size() > kMaxCaptionBytes)
      throw InputError(name + ": the caption is longer than " + std::to_string(kMaxCaptionBytes) +
                       " bytes");
  }
  return caption;
}

}  // namespace limewash::data
