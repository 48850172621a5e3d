#include "data/foreign_format.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

namespace limewash::data {
namespace {

using namespace std::literals;

constexpr size_t kLooked = 1024;

struct Signature {
  std::string_view bytes;
  std::string_view what;
  size_t at = 0;
};

constexpr std::array kPictures{
    Signature{"GIF8"sv, "a GIF"sv},
    Signature{"BM"sv, "a BMP"sv},
    Signature{"ftypavif"sv, "an AVIF"sv, 4},
    Signature{"ftypavis"sv, "an AVIF"sv, 4},
    Signature{"ftyphei"sv, "a HEIC"sv, 4},
    Signature{"ftyphev"sv, "a HEIC"sv, 4},
    Signature{"ftypmif1"sv, "a HEIC"sv, 4},
    Signature{"ftypmsf1"sv, "a HEIC"sv, 4},
    Signature{"\0\0\0\x0cJXL "sv, "a JPEG XL"sv},
    Signature{"\xff\x0a"sv, "a JPEG XL"sv},
    Signature{"\0\0\0\x0cjP  "sv, "a JPEG 2000"sv},
    Signature{"\xff\x4f\xff\x51"sv, "a JPEG 2000"sv},
    Signature{"8BPS"sv, "a Photoshop document"sv},
    Signature{"\x76\x2f\x31\x01"sv, "an OpenEXR"sv},
    Signature{"qoif"sv, "a QOI"sv},
};

constexpr std::array kOthers{
    Signature{"%PDF"sv, "a PDF document"sv},
    Signature{"PK\x03\x04"sv, "a zip archive"sv},
    Signature{"\x1f\x8b"sv, "a gzip archive"sv},
    Signature{"\x89HDF"sv, "an HDF5 file"sv},
    Signature{"ftyp"sv, "a video"sv, 4},
    Signature{"version https://git-lfs"sv, "a pointer of Git LFS whose file was not fetched"sv},
};

std::string lower_start(std::string_view bytes) {
  std::string text(bytes.substr(0, kLooked));
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char letter) {
    return static_cast<char>(std::tolower(letter));
  });
  return text;
}

bool is_text(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char letter) {
    const auto value = static_cast<unsigned char>(letter);
    return value >= 0x20 ? value != 0x7f : value == '\t' || value == '\n' || value == '\r';
  });
}

}  // namespace

std::string describe_foreign(std::string_view bytes) {
  const auto has = [&](const Signature& known) {
    return bytes.size() > known.at && bytes.substr(known.at).starts_with(known.bytes);
  };
  const bool empty =
      std::all_of(bytes.begin(), bytes.end(), [](char value) { return value == '\0'; });
  if (empty) return "holds nothing but zeros: its content was lost when it was written or copied";
  for (const Signature& known : kPictures)
    if (has(known))
      return "is " + std::string(known.what) +
             ", which limewash does not read: convert it to PNG or JPEG";
  for (const Signature& known : kOthers)
    if (has(known)) return "is " + std::string(known.what) + ", not a picture";
  const std::string start = lower_start(bytes);
  if (start.find("<svg") != std::string::npos) return "is an SVG drawing, which has no pixels";
  if (start.find("<html") != std::string::npos || start.find("<!doctype") != std::string::npos)
    return "is a web page, not a picture";
  if (is_text(bytes.substr(0, kLooked))) return "is a text, not a picture";
  return "is neither JPEG, PNG, WebP nor TIFF; its first bytes are those of no known format";
}

}  // namespace limewash::data
