// libjpeg's headers want <cstddef> and <cstdio> before them.
#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <jerror.h>
#include <jpeglib.h>

#include "data/image_codec.h"
#include "runtime/error.h"

namespace limewash::data {
namespace {

constexpr int kMaxScans = 200;  // a bound on the time a hostile file can take
constexpr long kMaxDecoderBytes = long{1} << 30;

/// libjpeg reports errors by a call that must not return.
struct ErrorHandler {
  jpeg_error_mgr base;
  std::jmp_buf leave;
  std::array<char, JMSG_LENGTH_MAX> message{};
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* handler = reinterpret_cast<ErrorHandler*>(info->err);
  info->err->format_message(info, handler->message.data());
  std::longjmp(handler->leave, 1);
}

void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_NOT_SEQUENTIAL:
      // libjpeg would go on with grey.
      on_error(info);
    default:
      break;
  }
}

void on_progress(j_common_ptr info) {
  const auto* decompress = reinterpret_cast<j_decompress_ptr>(info);
  if (decompress->input_scan_number <= kMaxScans) return;
  info->err->msg_code = JERR_BAD_PROGRESSION;
  on_error(info);
}

/// Everything that libjpeg may leave by longjmp; the caller owns all memory, so nothing is skipped.
class JpegReader {
 public:
  explicit JpegReader(std::string_view bytes) {
    info_.err = jpeg_std_error(&handler_.base);
    handler_.base.error_exit = on_error;
    handler_.base.emit_message = on_message;
    handler_.base.output_message = [](j_common_ptr) {};
    jpeg_create_decompress(&info_);
    info_.mem->max_memory_to_use = kMaxDecoderBytes;
    progress_.progress_monitor = on_progress;
    info_.progress = &progress_;
    bytes_ = bytes;
  }
  ~JpegReader() {
    jpeg_destroy_decompress(&info_);
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  bool read_header() {
    if (setjmp(handler_.leave) != 0) return false;
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(bytes_.data()), bytes_.size());
    jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&info_, TRUE);
    const bool inks = info_.jpeg_color_space == JCS_CMYK || info_.jpeg_color_space == JCS_YCCK;
    info_.out_color_space = inks ? JCS_CMYK : JCS_RGB;
    return true;
  }

  /// Rows of channels() bytes a pixel.
  bool read_pixels(uint8_t* pixels) {
    if (setjmp(handler_.leave) != 0) return false;
    jpeg_start_decompress(&info_);
    const size_t stride = size_t{info_.output_width} * static_cast<size_t>(channels());
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = pixels + info_.output_scanline * stride;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  int channels() const {
    return info_.out_color_space == JCS_CMYK ? 4 : 3;
  }
  int64_t width() const {
    return info_.image_width;
  }
  int64_t height() const {
    return info_.image_height;
  }
  /// Adobe's programs store the complement of each ink.
  bool inks_are_inverted() const {
    return info_.saw_Adobe_marker;
  }
  const char* message() const {
    return handler_.message.data();
  }

  int orientation() const {
    using namespace std::literals;
    for (const auto* marker = info_.marker_list; marker; marker = marker->next) {
      const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
      if (data.starts_with("Exif\0\0"sv)) return exif_orientation(data.substr(6));
    }
    return 1;
  }

 private:
  jpeg_decompress_struct info_{};
  ErrorHandler handler_{};
  jpeg_progress_mgr progress_{};
  std::string_view bytes_;
};

void inks_to_rgb(const std::vector<uint8_t>& inks, bool inverted, std::vector<uint8_t>& rgb) {
  for (size_t i = 0; i < inks.size() / 4; ++i) {
    const auto light = [&](size_t channel) {
      const int value = inks[4 * i + channel];
      return inverted ? value : 255 - value;
    };
    for (size_t c = 0; c < 3; ++c) {
      rgb[3 * i + c] = static_cast<uint8_t>((light(c) * light(3) + 127) / 255);
    }
  }
}

}  // namespace

DecodedImage decode_jpeg(std::string_view bytes, const std::string& name) {
  JpegReader reader(bytes);
  const auto fail = [&] { return InputError(name + ": the JPEG is corrupt: " + reader.message()); };
  if (!reader.read_header()) throw fail();
  check_image_size(reader.width(), reader.height(), name);
  DecodedImage decoded;
  decoded.orientation = reader.orientation();
  decoded.image.width = reader.width();
  decoded.image.height = reader.height();
  const auto pixels = static_cast<size_t>(reader.width() * reader.height());
  decoded.image.pixels.resize(3 * pixels);
  if (reader.channels() == 3) {
    if (!reader.read_pixels(decoded.image.pixels.data())) throw fail();
    return decoded;
  }
  std::vector<uint8_t> inks(4 * pixels);
  if (!reader.read_pixels(inks.data())) throw fail();
  inks_to_rgb(inks, reader.inks_are_inverted(), decoded.image.pixels);
  return decoded;
}

}  // namespace limewash::data
