#include "data/grey_png.h"

#include <array>
#include <png.h>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/image_io.h"
#include "data/mask_decoding.h"
#include "runtime/random.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::data {
namespace {

using testing::HasSubstr;

struct PngSettings {
  int filters = PNG_ALL_FILTERS;
  int depth = 8;
  int color_type = PNG_COLOR_TYPE_GRAY;
  int interlace = PNG_INTERLACE_NONE;
  bool gamma = false;
};

/// A picture of one byte a pixel as libpng writes it.
std::string write_grey(const Mask& picture, const PngSettings& settings) {
  std::string bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png,
      &bytes,
      [](png_structp writer, png_bytep data, size_t size) {
        static_cast<std::string*>(png_get_io_ptr(writer))
            ->append(reinterpret_cast<const char*>(data), size);
      },
      nullptr);
  png_set_compression_buffer_size(png, 200);  // many IDAT chunks
  png_set_filter(png, 0, settings.filters);
  png_set_IHDR(png,
               info,
               static_cast<png_uint_32>(picture.width),
               static_cast<png_uint_32>(picture.height),
               settings.depth,
               settings.color_type,
               settings.interlace,
               PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  if (settings.gamma) png_set_gAMA(png, info, 1.0);
  png_text text{};
  text.key = const_cast<char*>("Software");
  text.text = const_cast<char*>("a test");
  text.compression = PNG_TEXT_COMPRESSION_NONE;
  png_set_text(png, info, &text, 1);
  std::vector<png_bytep> rows;
  for (int64_t y = 0; y < picture.height; ++y)
    rows.push_back(const_cast<png_bytep>(picture.pixels.data() + y * picture.width));
  png_set_rows(png, info, rows.data());
  png_write_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

/// Flat areas with ragged borders, some ramps, and noise at the bottom: what makes the writer take
/// every filter.
Mask varied_picture(int64_t height, int64_t width) {
  RandomStream stream(4, Purpose::kCrop, 0, static_cast<uint64_t>(width));
  Mask picture{height, width, std::vector<uint8_t>(static_cast<size_t>(height * width))};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      auto& value = picture.pixels[static_cast<size_t>(y * width + x)];
      if (y < height / 4)
        value = x > width / 3 + static_cast<int64_t>(stream.below(3)) ? 255 : 0;
      else if (y < height / 2)
        value = static_cast<uint8_t>(x * 3 + y);
      else if (y < 3 * height / 4)
        value = static_cast<uint8_t>((x * x + y * y) / 16);
      else
        value = static_cast<uint8_t>(stream.below(256));
    }
  return picture;
}

TEST(GreyPng, ReadsEveryFilter) {
  const auto sizes = {std::pair{64, 97}, {40, 8}, {33, 9}, {20, 1}, {1, 300}};
  for (const int filters : {PNG_FILTER_NONE,
                            PNG_FILTER_SUB,
                            PNG_FILTER_UP,
                            PNG_FILTER_AVG,
                            PNG_FILTER_PAETH,
                            PNG_ALL_FILTERS})
    for (const auto& [height, width] : sizes) {
      const Mask picture = varied_picture(height, width);
      const auto decoded = decode_grey_png(write_grey(picture, {.filters = filters}));
      ASSERT_TRUE(decoded.has_value()) << filters << ": " << height << "x" << width;
      EXPECT_EQ(decoded->height, height);
      EXPECT_EQ(decoded->width, width);
      EXPECT_EQ(decoded->values, picture.pixels) << filters << ": " << height << "x" << width;
    }
}

TEST(GreyPng, LeavesOtherKindsToTheGeneralDecoder) {
  const Mask picture = striped_mask(16, 16, 3, 9);
  EXPECT_FALSE(decode_grey_png(write_grey(picture, {.interlace = PNG_INTERLACE_ADAM7})));
  EXPECT_FALSE(decode_grey_png(write_grey(picture, {.gamma = true})));
  EXPECT_FALSE(decode_grey_png(write_grey(picture, {.depth = 4})));
  EXPECT_FALSE(decode_grey_png(encode_png(plain_photo(16, 16, 1))));
  EXPECT_FALSE(decode_grey_png(""));
  EXPECT_FALSE(decode_grey_png("\x89PNG"));
}

TEST(GreyPng, EveryFlippedBitAndEveryCutIsSeen) {
  const std::string sound = write_grey(varied_picture(24, 24), {});
  ASSERT_TRUE(decode_grey_png(sound).has_value());
  for (size_t i = 0; i < sound.size(); ++i) {
    std::string damaged = sound;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
    EXPECT_FALSE(decode_grey_png(damaged).has_value()) << "byte " << i;
    EXPECT_FALSE(decode_grey_png(sound.substr(0, i)).has_value()) << "cut at " << i;
  }
}

TEST(GreyPng, ADamagedMaskIsNamedByTheGeneralDecoder) {
  std::string bytes = write_grey(varied_picture(24, 24), {});
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  EXPECT_THAT(input_error([&] { decode_mask(bytes, "wall.png", MaskRule{}); }),
              HasSubstr("wall.png"));
}

TEST(GreyPng, MasksFollowTheirRule) {
  Mask picture{1, 5, {0, 1, 101, 102, 255}};
  const std::string bytes = write_grey(picture, {});
  using Values = std::vector<uint8_t>;
  EXPECT_EQ(decode_mask(bytes, "", MaskRule{}).pixels, (Values{0, 0, 0, 0, 255}));
  EXPECT_EQ(decode_mask(bytes, "", MaskRule{0.4, {}}).pixels, (Values{0, 0, 0, 0, 255}))
      << "102 is 0.4 of white, not above it";
  EXPECT_EQ(decode_mask(bytes, "", MaskRule{0.399, {}}).pixels, (Values{0, 0, 0, 255, 255}));
  EXPECT_EQ(decode_mask(bytes, "", MaskRule{0, {}}).pixels, (Values{0, 255, 255, 255, 255}));
  EXPECT_EQ(decode_mask(bytes, "", MaskRule{0.5, {1, 102}}).pixels, (Values{0, 255, 0, 255, 0}));
  const std::string binary = write_grey({1, 3, {0, 1, 1}}, {});
  EXPECT_EQ(decode_mask(binary, "", MaskRule{}).pixels, (Values{0, 255, 255}));
}

}  // namespace
}  // namespace limewash::data
