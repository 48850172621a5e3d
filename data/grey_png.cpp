#include "data/grey_png.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <libdeflate.h>
#include <memory>
#include <new>
#include <string>

#include "data/image_io.h"
#include "data/pixel_memory.h"

namespace limewash::data {
namespace {

using namespace std::literals;

constexpr size_t kChunkOverhead = 12;  // length, type, checksum
constexpr size_t kHeaderLength = 13;
constexpr int64_t kWord = 8;

uint32_t big_endian(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

uint64_t load_word(const uint8_t* from) {
  uint64_t word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

/// Takes chunks off the front of a file.
class ChunkReader {
 public:
  explicit ChunkReader(std::string_view bytes) : bytes_(bytes) {}

  /// The next chunk; false when it is cut off or does not fit its checksum.
  bool next() {
    if (bytes_.size() < kChunkOverhead) return false;
    const size_t length = big_endian(bytes_, 0);
    if (length > bytes_.size() - kChunkOverhead) return false;
    if (libdeflate_crc32(0, bytes_.data() + 4, length + 4) != big_endian(bytes_, length + 8))
      return false;
    type = bytes_.substr(4, 4);
    data = bytes_.substr(8, length);
    bytes_.remove_prefix(length + kChunkOverhead);
    return true;
  }

  std::string_view type, data;

 private:
  std::string_view bytes_;
};

bool is_comment(std::string_view type) {
  static constexpr std::array kComments{
      "pHYs"sv, "tEXt"sv, "zTXt"sv, "iTXt"sv, "tIME"sv, "sRGB"sv, "bKGD"sv, "sBIT"sv};
  return std::find(kComments.begin(), kComments.end(), type) != kComments.end();
}

/// The size in the header of a picture that this decoder takes.
bool read_header(std::string_view header, GreyPixels& picture) {
  static constexpr auto kGrey8 = "\x08\0\0\0\0"sv;  // depth, colour, compression, filter, interlace
  if (header.size() != kHeaderLength || header.substr(8) != kGrey8) return false;
  picture.width = big_endian(header, 0);
  picture.height = big_endian(header, 4);
  return picture.width > 0 && picture.height > 0 && picture.width <= kMaxImagePixels &&
         picture.height <= kMaxImagePixels / picture.width;
}

struct FreeDecompressor {
  void operator()(libdeflate_decompressor* decompressor) const {
    libdeflate_free_decompressor(decompressor);
  }
};

/// Whether `deflated` is sound and holds exactly as much as `into`.
bool inflate_exactly(std::string_view deflated, std::vector<uint8_t>& into) {
  thread_local const std::unique_ptr<libdeflate_decompressor, FreeDecompressor> decompressor(
      libdeflate_alloc_decompressor());
  if (!decompressor) throw std::bad_alloc();
  return libdeflate_zlib_decompress(decompressor.get(),
                                    deflated.data(),
                                    deflated.size(),
                                    into.data(),
                                    into.size(),
                                    nullptr) == LIBDEFLATE_SUCCESS;
}

/// Differences to the left neighbour. Flat stretches, which masks consist of, go by the word.
void undo_sub(const uint8_t* stored, int64_t width, uint8_t* row) {
  uint8_t left = 0;
  int64_t x = 0;
  for (; x + kWord <= width; x += kWord) {
    if (load_word(stored + x) == 0) {
      std::memset(row + x, left, kWord);
      continue;
    }
    for (int64_t i = x; i < x + kWord; ++i) row[i] = left = static_cast<uint8_t>(left + stored[i]);
  }
  for (; x < width; ++x) row[x] = left = static_cast<uint8_t>(left + stored[x]);
}

void undo_up(const uint8_t* stored, const uint8_t* above, int64_t width, uint8_t* row) {
  for (int64_t x = 0; x < width; ++x) row[x] = static_cast<uint8_t>(stored[x] + above[x]);
}

void undo_average(const uint8_t* stored, const uint8_t* above, int64_t width, uint8_t* row) {
  int left = 0;
  for (int64_t x = 0; x < width; ++x) {
    left = (stored[x] + (left + above[x]) / 2) & 255;
    row[x] = static_cast<uint8_t>(left);
  }
}

uint8_t paeth(int left, int up, int corner) {
  const int to_left = std::abs(up - corner), to_up = std::abs(left - corner),
            to_corner = std::abs(left + up - 2 * corner);
  if (to_left <= to_up && to_left <= to_corner) return static_cast<uint8_t>(left);
  return static_cast<uint8_t>(to_up <= to_corner ? up : corner);
}

void undo_paeth(const uint8_t* stored, const uint8_t* above, int64_t width, uint8_t* row) {
  const auto undo = [&](int64_t x) {
    const int left = x > 0 ? row[x - 1] : 0, corner = x > 0 ? above[x - 1] : 0;
    row[x] = static_cast<uint8_t>(stored[x] + paeth(left, above[x], corner));
  };
  int64_t x = 0;
  for (; x < std::min<int64_t>(1, width); ++x) undo(x);
  for (; x + kWord <= width; x += kWord) {
    // Under a flat stretch the prediction is the left neighbour.
    if (load_word(stored + x) == 0 && load_word(above + x) == load_word(above + x - 1)) {
      std::memset(row + x, row[x - 1], kWord);
      continue;
    }
    for (int64_t i = x; i < x + kWord; ++i) undo(i);
  }
  for (; x < width; ++x) undo(x);
}

/// Rows of one filter byte and the filtered values. False at a filter that does not exist.
bool undo_filters(const std::vector<uint8_t>& stored, GreyPixels& picture) {
  const int64_t width = picture.width;
  const std::vector<uint8_t> nothing(static_cast<size_t>(width), 0);
  const uint8_t* above = nothing.data();
  for (int64_t y = 0; y < picture.height; ++y) {
    const uint8_t* from = stored.data() + y * (width + 1);
    uint8_t* row = picture.values.data() + y * width;
    switch (*from++) {
      case 0:
        std::copy_n(from, width, row);
        break;
      case 1:
        undo_sub(from, width, row);
        break;
      case 2:
        undo_up(from, above, width, row);
        break;
      case 3:
        undo_average(from, above, width, row);
        break;
      case 4:
        undo_paeth(from, above, width, row);
        break;
      default:
        return false;
    }
    above = row;
  }
  return true;
}

}  // namespace

std::optional<GreyPixels> decode_grey_png(std::string_view bytes) {
  static constexpr auto kSignature = "\x89PNG\r\n\x1a\n"sv;
  if (!bytes.starts_with(kSignature)) return std::nullopt;
  ChunkReader chunks(bytes.substr(kSignature.size()));
  GreyPixels picture;
  if (!chunks.next() || chunks.type != "IHDR"sv || !read_header(chunks.data, picture))
    return std::nullopt;
  std::string deflated;
  bool after_pixels = false;
  for (;;) {
    if (!chunks.next()) return std::nullopt;
    if (chunks.type == "IEND"sv) break;
    if (chunks.type == "IDAT"sv) {
      if (after_pixels) return std::nullopt;
      deflated += chunks.data;
      continue;
    }
    if (!is_comment(chunks.type)) return std::nullopt;
    after_pixels = !deflated.empty();
  }
  PixelMemory stored(static_cast<size_t>(picture.height * (picture.width + 1)));
  if (!inflate_exactly(deflated, stored.bytes)) return std::nullopt;
  picture.values = take_pixel_memory(static_cast<size_t>(picture.height * picture.width));
  if (!undo_filters(stored.bytes, picture)) return std::nullopt;
  return picture;
}

}  // namespace limewash::data
