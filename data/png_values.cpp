#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstring>
#include <limits>
#include <png.h>

#include "data/image_codec.h"
#include "data/image_io.h"
#include "data/stored_values.h"
#include "runtime/error.h"

namespace limewash::data {
namespace {

constexpr size_t kColorTypeAt = 25;  // signature, length, type, width, height, depth
constexpr png_alloc_size_t kMaxChunkBytes = png_alloc_size_t{64} << 20;

/// libpng reports errors by a call that must not return. All memory belongs to the caller, so
/// nothing is skipped.
class PngValueReader {
 public:
  explicit PngValueReader(std::string_view bytes) : bytes_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
  }
  ~PngValueReader() {
    png_destroy_read_struct(&png_, &info_, nullptr);
  }
  PngValueReader(const PngValueReader&) = delete;
  PngValueReader& operator=(const PngValueReader&) = delete;

  bool read_header() {
    if (info_ == nullptr) return false;
    if (setjmp(leave_) != 0) return false;
    png_set_read_fn(png_, this, on_read);
    png_set_user_limits(png_, kMaxImagePixels, kMaxImagePixels);
    png_set_chunk_malloc_max(png_, kMaxChunkBytes);
    png_read_info(png_, info_);
    depth = png_get_bit_depth(png_, info_);
    color_type = png_get_color_type(png_, info_);
    width = png_get_image_width(png_, info_);
    height = png_get_image_height(png_, info_);
    png_set_packing(png_);
    if (depth == 16) png_set_swap(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    channels = png_get_channels(png_, info_);
    return true;
  }

  bool read_rows(std::vector<png_bytep>& rows) {
    if (setjmp(leave_) != 0) return false;
    png_read_image(png_, rows.data());
    png_read_end(png_, info_);
    return true;
  }

  /// For each palette index or the one transparent grey: nothing where there is none.
  bool is_transparent(uint16_t value) const {
    return value < transparent_.size() && transparent_[value] != 0;
  }
  bool read_transparency() {
    if (setjmp(leave_) != 0) return false;
    png_bytep alpha = nullptr;
    png_color_16p grey = nullptr;
    int count = 0;
    if (png_get_tRNS(png_, info_, &alpha, &count, &grey) == 0) return true;
    if (color_type == PNG_COLOR_TYPE_PALETTE) {
      for (int i = 0; i < count && i < 256; ++i)
        transparent_[static_cast<size_t>(i)] = alpha[i] < 128;
    } else if (grey != nullptr) {
      transparent_[grey->gray] = 1;
    }
    return true;
  }
  void reserve_transparency() {
    transparent_.assign(size_t{1} << 16, 0);
  }

  int orientation() {
    if (setjmp(leave_) != 0) return 1;
    png_uint_32 size = 0;
    png_bytep exif = nullptr;
    if (png_get_eXIf_1(png_, info_, &size, &exif) == 0) return 1;
    return exif_orientation({reinterpret_cast<const char*>(exif), size});
  }
  std::string problem() const {
    return std::string("the PNG is ") + (truncated_ ? "truncated: " : "corrupt: ") +
           message_.data();
  }

  int depth = 0, color_type = 0, channels = 0;
  int64_t width = 0, height = 0;

 private:
  static PngValueReader& self(png_structp png) {
    return *static_cast<PngValueReader*>(png_get_error_ptr(png));
  }
  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    std::strncpy(self(png).message_.data(), message, self(png).message_.size() - 1);
    std::longjmp(self(png).leave_, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}
  static void on_read(png_structp png, png_bytep to, size_t count) {
    auto& reader = *static_cast<PngValueReader*>(png_get_io_ptr(png));
    if (count > reader.bytes_.size()) {
      reader.truncated_ = true;
      png_error(png, "the file ends before its picture does");
    }
    std::memcpy(to, reader.bytes_.data(), count);
    reader.bytes_.remove_prefix(count);
  }

  std::string_view bytes_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf leave_{};
  std::array<char, 200> message_{};
  bool truncated_ = false;
  std::vector<uint8_t> transparent_;
};

/// `Stored` is uint8_t or uint16_t; with alpha, grey and alpha alternate.
template <class Stored>
void take_values(const std::vector<uint8_t>& bytes,
                 const PngValueReader& reader,
                 StoredValues& result) {
  const auto* stored = reinterpret_cast<const Stored*>(bytes.data());
  constexpr uint64_t kOpaque = std::numeric_limits<Stored>::max();
  for (size_t i = 0; i < result.values.size(); ++i) {
    if (reader.channels == 2) {
      const uint64_t grey = stored[2 * i], alpha = stored[2 * i + 1];
      result.values[i] = static_cast<uint16_t>((grey * alpha + kOpaque / 2) / kOpaque);
    } else {
      result.values[i] = reader.is_transparent(stored[i]) ? uint16_t{0} : uint16_t{stored[i]};
    }
  }
}

}  // namespace

bool png_has_single_values(std::string_view bytes) {
  if (bytes.size() <= kColorTypeAt) return false;
  const int color_type = static_cast<uint8_t>(bytes[kColorTypeAt]);
  return color_type == PNG_COLOR_TYPE_GRAY || color_type == PNG_COLOR_TYPE_GRAY_ALPHA ||
         color_type == PNG_COLOR_TYPE_PALETTE;
}

StoredValues png_values(std::string_view bytes, const std::string& name) {
  PngValueReader reader(bytes);
  const auto fail = [&] { return InputError(name + ": " + reader.problem()); };
  if (!reader.read_header()) throw fail();
  check_image_size(reader.width, reader.height, name);
  if (reader.channels > 2) throw InputError(name + ": the PNG has more than one value a pixel");
  StoredValues result;
  result.height = reader.height;
  result.width = reader.width;
  result.palette = reader.color_type == PNG_COLOR_TYPE_PALETTE;
  result.white = static_cast<uint16_t>((1u << reader.depth) - 1);
  const size_t sample = reader.depth == 16 ? 2 : 1;
  const size_t stride = static_cast<size_t>(reader.width * reader.channels) * sample;
  std::vector<uint8_t> stored(stride * static_cast<size_t>(reader.height));
  std::vector<png_bytep> rows;
  for (int64_t y = 0; y < reader.height; ++y)
    rows.push_back(stored.data() + static_cast<size_t>(y) * stride);
  reader.reserve_transparency();
  if (!reader.read_rows(rows) || !reader.read_transparency()) throw fail();
  result.orientation = reader.orientation();
  result.values.resize(static_cast<size_t>(reader.width * reader.height));
  if (sample == 2) {
    take_values<uint16_t>(stored, reader, result);
  } else {
    take_values<uint8_t>(stored, reader, result);
  }
  return result;
}

}  // namespace limewash::data
