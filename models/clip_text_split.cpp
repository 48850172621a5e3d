#include "models/clip_text_split.h"

#include <algorithm>
#include <stdexcept>
#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/utf8.h>

namespace limewash::models {

namespace {

void check(UErrorCode status, const char* what) {
  if (U_FAILURE(status)) {
    throw std::runtime_error(std::string("ICU: ") + what + ": " + u_errorName(status));
  }
}

/// tokenizers' three steps know three versions of Unicode: the composed form that of 9.0, letters
/// and digits those of 16.0, lower case that of 17.0. Later characters are left out of the first
/// two here; an ICU that is older than 16.0 or 17.0 leaves out more.
class Unicode {
 public:
  static const Unicode& instance() {
    static const Unicode unicode;
    return unicode;
  }

  icu::UnicodeSet letters = characters(u"[[:L:]&[:Age=16.0:]]");
  icu::UnicodeSet digits = characters(u"[[:N:]&[:Age=16.0:]]");
  icu::UnicodeSet composable = characters(u"[:Age=9.0:]");
  icu::FilteredNormalizer2 nfc{nfc_of_icu(), composable};

 private:
  static icu::UnicodeSet characters(const char16_t* pattern) {
    UErrorCode status = U_ZERO_ERROR;
    icu::UnicodeSet set(icu::UnicodeString(pattern), status);
    check(status, "a set of characters");
    set.freeze();
    return set;
  }
  static const icu::Normalizer2& nfc_of_icu() {
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(status);
    check(status, "NFC");
    return *nfc;
  }
};

/// The character at `offset`, which moves past it; negative where there is none.
UChar32 next_character(std::string_view text, size_t& offset) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  UChar32 character = 0;
  U8_NEXT(bytes, offset, text.size(), character);
  return character;
}

void append_character(std::string& text, UChar32 character) {
  uint8_t bytes[U8_MAX_LENGTH];
  size_t length = 0;
  U8_APPEND_UNSAFE(bytes, length, character);
  text.append(reinterpret_cast<const char*>(bytes), length);
}

bool is_ascii(std::string_view text) {
  return std::all_of(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

/// Canonically decomposed, marks in canonical order. ICU does that as well, but its time grows with
/// the square of the number of marks in a row.
std::string decompose(std::string_view text) {
  struct Mark {
    uint8_t combining_class;
    UChar32 character;
  };
  const auto& nfc = Unicode::instance().nfc;
  std::string decomposed;
  decomposed.reserve(text.size() + text.size() / 2);
  std::vector<Mark> marks;
  const auto flush = [&] {
    std::stable_sort(marks.begin(), marks.end(), [](const Mark& a, const Mark& b) {
      return a.combining_class < b.combining_class;
    });
    for (const Mark& mark : marks) append_character(decomposed, mark.character);
    marks.clear();
  };
  const auto add = [&](UChar32 character) {
    if (const uint8_t combining_class = nfc.getCombiningClass(character)) {
      marks.push_back({combining_class, character});
    } else {
      flush();
      append_character(decomposed, character);
    }
  };
  icu::UnicodeString parts;
  for (size_t offset = 0; offset < text.size();) {
    const UChar32 character = next_character(text, offset);
    if (character < 0x80 || !nfc.getDecomposition(character, parts)) {
      add(character);
      continue;
    }
    for (int32_t i = 0; i < parts.length();) {
      const UChar32 part = parts.char32At(i);
      add(part);
      i += U16_LENGTH(part);
    }
  }
  flush();
  return decomposed;
}

std::string compose(const std::string& decomposed) {
  std::string composed;
  composed.reserve(decomposed.size());
  icu::StringByteSink<std::string> sink(&composed);
  UErrorCode status = U_ZERO_ERROR;
  Unicode::instance().nfc.normalizeUTF8(0, decomposed, sink, nullptr, status);
  check(status, "NFC");
  return composed;
}

enum class Kind { kSpace, kLetter, kDigit, kOther };

Kind kind_of(UChar32 character) {
  const Unicode& unicode = Unicode::instance();
  if (u_isUWhiteSpace(character)) return Kind::kSpace;
  if (unicode.letters.contains(character)) return Kind::kLetter;
  if (unicode.digits.contains(character)) return Kind::kDigit;
  return Kind::kOther;
}

}  // namespace

std::optional<size_t> find_broken_utf8(std::string_view text) {
  for (size_t offset = 0; offset < text.size();) {
    const size_t begin = offset;
    if (next_character(text, offset) < 0) return begin;
  }
  return std::nullopt;
}

std::string normalize_clip_text(std::string_view text) {
  const std::string composed = is_ascii(text) ? std::string(text) : compose(decompose(text));
  std::string normalized;
  normalized.reserve(composed.size());
  bool after_space = false;
  for (size_t offset = 0; offset < composed.size();) {
    const UChar32 character = next_character(composed, offset);
    const bool space = u_isUWhiteSpace(character);
    if (space) {
      if (!after_space) normalized += ' ';
    } else if (character == 0x130) {
      normalized += "i\u0307";  // the one character whose lower case is two, in any language
    } else {
      append_character(normalized, u_tolower(character));
    }
    after_space = space;
  }
  return normalized;
}

std::vector<std::string_view> split_clip_text(std::string_view normalized) {
  std::vector<std::string_view> words;
  size_t begin = 0;
  const auto take = [&](size_t length) {
    words.push_back(normalized.substr(begin, length));
    begin += length;
  };
  // A special token that was not taken for one before: its brackets are words of their own, even
  // where more signs follow.
  const auto take_special = [&] {
    for (const std::string_view name : {"startoftext", "endoftext"}) {
      if (!normalized.substr(begin).starts_with("<|" + std::string(name) + "|>")) continue;
      take(2);
      take(name.size());
      take(2);
      return true;
    }
    return false;
  };
  const auto take_contraction = [&] {
    for (const std::string_view word : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
      if (!normalized.substr(begin).starts_with(word)) continue;
      take(word.size());
      return true;
    }
    return false;
  };
  while (begin < normalized.size()) {
    if (normalized[begin] == '<' && take_special()) continue;
    if (normalized[begin] == '\'' && take_contraction()) continue;
    size_t end = begin;
    const Kind kind = kind_of(next_character(normalized, end));
    for (size_t next = end; next < normalized.size() && kind != Kind::kDigit; end = next) {
      if (kind_of(next_character(normalized, next)) != kind) break;
    }
    if (kind == Kind::kSpace) {
      begin = end;
    } else {
      take(end - begin);
    }
  }
  return words;
}

bool has_outer_white_space(std::string_view text) {
  bool first = false, last = false;
  for (size_t offset = 0; offset < text.size();) {
    const bool at_start = offset == 0;
    last = u_isUWhiteSpace(next_character(text, offset));
    if (at_start) first = last;
  }
  return first || last;
}

}  // namespace limewash::models
