#include <algorithm>
#include <array>
#include <utility>

#include "data/image_codec.h"
#include "data/stored_values.h"
#include "data/tiff_file.h"

namespace limewash::data {
namespace {

constexpr int64_t kMaxBlockValues = int64_t{1} << 28;

enum class Alpha { kNone, kMultiplied, kSeparate };

/// What the sample after the colours means; a sample of no stated meaning is not looked at.
Alpha alpha_of(const TiffFile& file) {
  uint16_t count = 0, *kinds = nullptr;
  TIFFGetFieldDefaulted(file.handle(), TIFFTAG_EXTRASAMPLES, &count, &kinds);
  if (count == 0 || kinds == nullptr) return Alpha::kNone;
  if (kinds[0] == EXTRASAMPLE_ASSOCALPHA) return Alpha::kMultiplied;
  return kinds[0] == EXTRASAMPLE_UNASSALPHA ? Alpha::kSeparate : Alpha::kNone;
}

bool is_grey(uint16_t photometric) {
  return photometric == PHOTOMETRIC_MINISBLACK || photometric == PHOTOMETRIC_MINISWHITE;
}

void check_samples(const TiffFile& file) {
  const uint16_t kind = file.field(TIFFTAG_SAMPLEFORMAT), bits = file.field(TIFFTAG_BITSPERSAMPLE);
  if ((kind == SAMPLEFORMAT_UINT || kind == SAMPLEFORMAT_VOID) && bits <= 16) return;
  file.refuse("its samples are of " + std::to_string(bits) + " bits" +
              (kind == SAMPLEFORMAT_IEEEFP ? " floating point" : "") +
              "; whole numbers of 8 or 16 bits without a sign are read");
}

/// What libtiff's general reader gives: rows as stored, light already multiplied by alpha but in
/// grey pictures.
std::vector<uint32_t> read_rgba(const TiffFile& file) {
  std::array<char, 1024> reason{};
  TIFFRGBAImage reader;
  if (!TIFFRGBAImageOK(file.handle(), reason.data()) ||
      !TIFFRGBAImageBegin(&reader, file.handle(), /*stop on error*/ 1, reason.data())) {
    file.refuse(reason.data());
  }
  struct End {
    TIFFRGBAImage& reader;
    ~End() {
      TIFFRGBAImageEnd(&reader);
    }
  } end{reader};
  reader.req_orientation = reader.orientation;
  std::vector<uint32_t> raster(static_cast<size_t>(file.width() * file.height()));
  const auto width = static_cast<uint32_t>(file.width());
  file.check(TIFFRGBAImageGet(&reader, raster.data(), width, reader.height) != 0);
  return raster;
}

/// Values of `bits` bits, highest first; 16-bit ones in the machine's order.
void unpack(const uint8_t* from, int bits, int64_t count, uint16_t* to) {
  if (bits == 16) {
    for (int64_t i = 0; i < count; ++i)
      to[i] = static_cast<uint16_t>(from[2 * i] | from[2 * i + 1] << 8);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = i * bits;
    to[i] = static_cast<uint16_t>(from[at / 8] >> (8 - bits - at % 8) & ((1 << bits) - 1));
  }
}

void read_tiles(const TiffFile& file, int bits, StoredValues& result) {
  uint32_t tile_width = 0, tile_height = 0;
  TIFFGetField(file.handle(), TIFFTAG_TILEWIDTH, &tile_width);
  TIFFGetField(file.handle(), TIFFTAG_TILELENGTH, &tile_height);
  if (tile_width == 0 || tile_height == 0 || tile_height > kMaxBlockValues / tile_width)
    file.fail("its tiles are of " + std::to_string(tile_width) + " x " +
              std::to_string(tile_height) + " pixels");
  std::vector<uint8_t> tile(static_cast<size_t>(TIFFTileSize(file.handle())));
  const auto stride = static_cast<size_t>(TIFFTileRowSize(file.handle()));
  for (int64_t top = 0; top < result.height; top += tile_height) {
    for (int64_t left = 0; left < result.width; left += tile_width) {
      const auto x = static_cast<uint32_t>(left), y = static_cast<uint32_t>(top);
      file.check(TIFFReadTile(file.handle(), tile.data(), x, y, 0, 0) >= 0);
      const int64_t rows = std::min<int64_t>(tile_height, result.height - top);
      const int64_t columns = std::min<int64_t>(tile_width, result.width - left);
      for (int64_t row = 0; row < rows; ++row)
        unpack(&tile[static_cast<size_t>(row) * stride],
               bits,
               columns,
               &result.values[static_cast<size_t>((top + row) * result.width + left)]);
    }
  }
}

void read_strips(const TiffFile& file, int bits, StoredValues& result) {
  std::vector<uint8_t> row(static_cast<size_t>(TIFFScanlineSize(file.handle())));
  for (int64_t y = 0; y < result.height; ++y) {
    file.check(TIFFReadScanline(file.handle(), row.data(), static_cast<uint32_t>(y), 0) >= 0);
    unpack(row.data(), bits, result.width, &result.values[static_cast<size_t>(y * result.width)]);
  }
}

/// libtiff's general reader cuts 16-bit grey off instead of rounding it.
DecodedImage decode_deep_grey(std::string_view bytes, const std::string& name) {
  const StoredValues stored = tiff_values(bytes, name);
  DecodedImage decoded{{stored.height, stored.width, {}}, stored.orientation};
  decoded.image.pixels.reserve(3 * stored.values.size());
  for (const uint16_t value : stored.values) {
    const unsigned light = stored.white_is_zero ? stored.white - value : value;
    decoded.image.pixels.insert(
        decoded.image.pixels.end(), 3, static_cast<uint8_t>((light + 128) / 257));
  }
  return decoded;
}

}  // namespace

DecodedImage decode_tiff(std::string_view bytes, const std::string& name, uint8_t background) {
  const TiffFile file(bytes, name);
  check_samples(file);
  if (is_grey(file.field(TIFFTAG_PHOTOMETRIC)) && file.field(TIFFTAG_BITSPERSAMPLE) == 16 &&
      file.field(TIFFTAG_SAMPLESPERPIXEL) == 1)
    return decode_deep_grey(bytes, name);
  const Alpha alpha = alpha_of(file);
  const bool multiply = alpha == Alpha::kSeparate && is_grey(file.field(TIFFTAG_PHOTOMETRIC));
  const std::vector<uint32_t> raster = read_rgba(file);
  DecodedImage decoded;
  decoded.orientation = file.orientation();
  decoded.image.width = file.width();
  decoded.image.height = file.height();
  decoded.image.pixels.resize(3 * raster.size());
  for (size_t i = 0; i < raster.size(); ++i) {
    const uint32_t rgba[] = {
        TIFFGetR(raster[i]), TIFFGetG(raster[i]), TIFFGetB(raster[i]), TIFFGetA(raster[i])};
    const uint32_t opacity = alpha == Alpha::kNone ? 255 : rgba[3];
    const uint32_t behind = background * (255 - opacity);
    for (size_t c = 0; c < 3; ++c) {
      const uint32_t light = rgba[c] * (multiply ? opacity : 255) + behind;
      decoded.image.pixels[3 * i + c] = static_cast<uint8_t>(std::min((light + 127) / 255, 255u));
    }
  }
  return decoded;
}

bool tiff_has_single_values(std::string_view bytes, const std::string& name) {
  const TiffFile file(bytes, name);
  const uint16_t photometric = file.field(TIFFTAG_PHOTOMETRIC);
  return file.field(TIFFTAG_SAMPLESPERPIXEL) == 1 &&
         (is_grey(photometric) || photometric == PHOTOMETRIC_PALETTE);
}

StoredValues tiff_values(std::string_view bytes, const std::string& name) {
  const TiffFile file(bytes, name);
  check_samples(file);
  const int bits = file.field(TIFFTAG_BITSPERSAMPLE);
  if (bits != 1 && bits != 2 && bits != 4 && bits != 8 && bits != 16)
    file.refuse("its samples are of " + std::to_string(bits) + " bits");
  StoredValues result;
  result.height = file.height();
  result.width = file.width();
  result.orientation = file.orientation();
  result.white = static_cast<uint16_t>((1u << bits) - 1);
  result.palette = file.field(TIFFTAG_PHOTOMETRIC) == PHOTOMETRIC_PALETTE;
  result.white_is_zero = file.field(TIFFTAG_PHOTOMETRIC) == PHOTOMETRIC_MINISWHITE;
  result.values.resize(static_cast<size_t>(result.height * result.width));
  if (TIFFIsTiled(file.handle()) != 0) {
    read_tiles(file, bits, result);
  } else {
    read_strips(file, bits, result);
  }
  file.check(true);
  return result;
}

bool tiff_is_lossy(std::string_view bytes, const std::string& name) {
  const uint16_t compression = TiffFile(bytes, name).field(TIFFTAG_COMPRESSION);
  return compression == COMPRESSION_JPEG || compression == COMPRESSION_OJPEG ||
         compression == COMPRESSION_WEBP;
}

}  // namespace limewash::data
