#include <webp/decode.h>

#include "data/image_codec.h"
#include "runtime/error.h"

namespace limewash::data {
namespace {

using namespace std::literals;

constexpr size_t kFileHeader = 12;  // RIFF, size, WEBP
constexpr size_t kChunkHeader = 8;

uint32_t little_endian(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= uint32_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  return value;
}

/// libwebp reads no further than the pixels; this walk also sees what is missing after them.
/// Returns the orientation of an EXIF chunk.
int check_chunks(std::string_view bytes, const std::string& name) {
  const auto truncated = [&](size_t at) {
    return InputError(name + ": the WebP is truncated in its chunk at byte " + std::to_string(at));
  };
  if (bytes.size() < kFileHeader + kChunkHeader) throw truncated(0);
  const uint64_t end = uint64_t{little_endian(bytes, 4)} + kChunkHeader;
  if (end < kFileHeader + kChunkHeader)
    throw InputError(name + ": the WebP is corrupt: it says that it has no content");
  int orientation = 1;
  uint64_t at = kFileHeader;
  while (at + kChunkHeader <= end) {
    if (at + kChunkHeader > bytes.size()) throw truncated(at);
    const uint64_t size = little_endian(bytes, at + 4);
    if (size > end - at - kChunkHeader && end <= bytes.size())
      throw InputError(name + ": the WebP is corrupt: its chunk at byte " + std::to_string(at) +
                       " is larger than the file");
    if (size > bytes.size() - at - kChunkHeader) throw truncated(at);
    if (bytes.substr(at, 4) == "EXIF") {
      std::string_view exif = bytes.substr(at + kChunkHeader, size);
      if (exif.starts_with("Exif\0\0"sv)) exif.remove_prefix(6);
      orientation = exif_orientation(exif);
    }
    at += kChunkHeader + size + (size & 1);
  }
  if (end > bytes.size()) throw truncated(bytes.size());
  return orientation;
}

const char* describe(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY:
      return "there is not enough memory for it";
    case VP8_STATUS_BITSTREAM_ERROR:
      return "its data make no picture";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "it uses a feature that libwebp does not know";
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return "its data end too early";
    default:
      return "its data cannot be decoded";
  }
}

WebPBitstreamFeatures features_of(std::string_view bytes, const std::string& name) {
  WebPBitstreamFeatures features;
  const auto status =
      WebPGetFeatures(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), &features);
  if (status != VP8_STATUS_OK)
    throw InputError(name + ": the WebP is corrupt: " + describe(status));
  if (features.has_animation)
    throw InputError(name + ": is an animated WebP; a single picture is expected");
  return features;
}

}  // namespace

bool webp_is_lossless(std::string_view bytes, const std::string& name) {
  constexpr int kLossless = 2;
  return features_of(bytes, name).format == kLossless;
}

DecodedImage decode_webp(std::string_view bytes, const std::string& name, uint8_t background) {
  DecodedImage decoded;
  decoded.orientation = check_chunks(bytes, name);
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) throw InputError("libwebp is of another version");
  config.input = features_of(bytes, name);
  check_image_size(config.input.width, config.input.height, name);
  decoded.image.width = config.input.width;
  decoded.image.height = config.input.height;
  const auto pixels = static_cast<size_t>(decoded.image.width * decoded.image.height);
  const size_t channels = config.input.has_alpha ? 4 : 3;
  std::vector<uint8_t> values(channels * pixels);
  config.output.colorspace = config.input.has_alpha ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = values.data();
  config.output.u.RGBA.stride = static_cast<int>(channels) * config.input.width;
  config.output.u.RGBA.size = values.size();
  const auto status =
      WebPDecode(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK)
    throw InputError(name + ": the WebP is corrupt: " + describe(status));
  decoded.image.pixels = channels == 4 ? flatten_alpha(values, background) : std::move(values);
  return decoded;
}

}  // namespace limewash::data
