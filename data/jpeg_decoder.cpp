// libjpeg's headers want <cstddef> and <cstdio> before them.
#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <jerror.h>
#include <jpeglib.h>

#include "data/image_codec.h"
#include "data/image_io.h"
#include "data/jpeg_damage.h"
#include "data/pixel_memory.h"
#include "runtime/error.h"

namespace limewash::data {
namespace {

constexpr int kMaxScans = 200;  // a bound on the time a hostile file can take
constexpr int kMaxStrayBytes = 16;
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
    case JWRN_EXTRANEOUS_DATA:
      // Cameras pad with a few bytes. More are left where overwritten data took up fewer bytes.
      if (info->err->msg_parm.i[0] > kMaxStrayBytes) on_error(info);
      break;
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

  /// Begin to decode, of colour pictures only the columns from `left` to `left + columns` and some
  /// around them; output_width() and first_column() say which.
  bool start(int64_t left, int64_t columns) {
    if (setjmp(handler_.leave) != 0) return false;
    jpeg_start_decompress(&info_);
    if (channels() != 3 || (left <= 0 && left + columns >= width())) return true;
    // Upsampling looks at the neighbours of a pixel: the blocks beside the part are needed.
    const int64_t block = int64_t{info_.max_h_samp_factor} * DCTSIZE;
    first_column_ = static_cast<JDIMENSION>(std::max<int64_t>(0, left - block));
    JDIMENSION count =
        static_cast<JDIMENSION>(std::min(width(), left + columns + block)) - first_column_;
    jpeg_crop_scanline(&info_, &first_column_, &count);
    return true;
  }

  /// Rows of channels() bytes a pixel.
  bool read_pixels(uint8_t* pixels) {
    if (setjmp(handler_.leave) != 0) return false;
    const size_t stride = size_t{info_.output_width} * static_cast<size_t>(channels());
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = pixels + info_.output_scanline * stride;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  /// Decode all that is stored, but make one pixel of each block of 8 x 8: damage is found on the
  /// way to the pixels. `row` holds a row of the whole picture.
  bool read_roughly(uint8_t* row) {
    if (setjmp(handler_.leave) != 0) return false;
    info_.scale_num = 1;
    info_.scale_denom = DCTSIZE;
    jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) jpeg_read_scanlines(&info_, &row, 1);
    jpeg_finish_decompress(&info_);
    return true;
  }

  int64_t output_width() const {
    return info_.output_width;
  }
  int64_t first_column() const {
    return first_column_;
  }

  /// Whether a part of the first scan was overwritten with zeros. Seen where zeros stand for 63
  /// equal frequencies in the blocks of some channel, which no picture has; libjpeg decodes them.
  bool lost_sector() const {
    if (info_.progressive_mode || info_.arith_code) return false;
    bool telling = false;
    for (int i = 0; i < info_.comps_in_scan; ++i) {
      constexpr int kEndOfBlock = 0;
      const int number = info_.cur_comp_info[i]->ac_tbl_no;
      if (number < 0 || number >= NUM_HUFF_TBLS) return false;
      const auto* table = info_.ac_huff_tbl_ptrs[number];
      telling |= table != nullptr && table->huffval[0] != kEndOfBlock;
    }
    return telling && has_lost_sector(bytes_.substr(bytes_.size() - info_.src->bytes_in_buffer));
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
  /// What is wrong with the file, for a person.
  std::string problem() const {
    switch (handler_.base.msg_code) {
      case JWRN_JPEG_EOF:
      case JERR_INPUT_EOF:
        return "the JPEG is truncated: the file ends before its picture does";
      case JWRN_HIT_MARKER:
        return "the JPEG is corrupt: a part of its picture data is missing or was overwritten";
      case JWRN_EXTRANEOUS_DATA:
        return "the JPEG is corrupt: " + std::to_string(handler_.base.msg_parm.i[0]) +
               " bytes of picture data are left over";
      case JWRN_HUFF_BAD_CODE:
        return "the JPEG is corrupt: its picture data hold an impossible code";
      case JERR_SOF_UNSUPPORTED:
        return "is of a kind of JPEG that is not read (" + std::string(handler_.message.data()) +
               ")";
      default:
        return "the JPEG is corrupt: " + std::string(handler_.message.data());
    }
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
  JDIMENSION first_column_ = 0;
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

InputError failure(const JpegReader& reader, const std::string& name) {
  return InputError(name + ": " + reader.problem());
}

/// The header, checked.
void open(JpegReader& reader, const std::string& name) {
  if (!reader.read_header()) throw failure(reader, name);
  check_image_size(reader.width(), reader.height(), name);
}

void refuse_lost_sector(const JpegReader& reader, const std::string& name) {
  if (reader.lost_sector())
    throw InputError(name + ": the JPEG is corrupt: a part of its picture data is all zeros");
}

}  // namespace

JpegHeader read_jpeg_header(std::string_view bytes, const std::string& name) {
  JpegReader reader(bytes);
  open(reader, name);
  return {reader.height(), reader.width(), reader.orientation()};
}

DecodedImage decode_jpeg(std::string_view bytes, const std::string& name) {
  int64_t left = 0;
  return decode_jpeg_columns(bytes, name, left, kMaxImagePixels);
}

DecodedImage decode_jpeg_columns(std::string_view bytes,
                                 const std::string& name,
                                 int64_t& left,
                                 int64_t width) {
  JpegReader reader(bytes);
  open(reader, name);
  refuse_lost_sector(reader, name);
  DecodedImage decoded;
  decoded.orientation = reader.orientation();
  if (!reader.start(left, width)) throw failure(reader, name);
  left = reader.first_column();
  decoded.image.width = reader.output_width();
  decoded.image.height = reader.height();
  const auto pixels = static_cast<size_t>(reader.output_width() * reader.height());
  decoded.image.pixels = take_pixel_memory(3 * pixels);
  if (reader.channels() == 3) {
    if (!reader.read_pixels(decoded.image.pixels.data())) throw failure(reader, name);
    return decoded;
  }
  std::vector<uint8_t> inks(4 * pixels);
  if (!reader.read_pixels(inks.data())) throw failure(reader, name);
  inks_to_rgb(inks, reader.inks_are_inverted(), decoded.image.pixels);
  return decoded;
}

void check_jpeg(std::string_view bytes, const std::string& name) {
  JpegReader reader(bytes);
  open(reader, name);
  refuse_lost_sector(reader, name);
  std::vector<uint8_t> row(static_cast<size_t>(reader.width() * reader.channels()));
  if (!reader.read_roughly(row.data())) throw failure(reader, name);
}

}  // namespace limewash::data
