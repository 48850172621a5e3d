#include "data/image_io.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <jpeglib.h>
#include <png.h>
#include <string>
#include <unistd.h>
#include <vector>
#include <zlib.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/error.h"
#include "runtime/random.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ImageIo : public testing::Test {
 protected:
  ImageIo() : folder_(fs::path(testing::TempDir()) / ("image_io-" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~ImageIo() override {
    fs::remove_all(folder_);
  }
  fs::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }
  fs::path folder_;
};

/// Red grows to the right, green downwards; the corners differ.
Image gradient(int64_t height, int64_t width) {
  Image image{height, width, {}};
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      image.pixels.push_back(static_cast<uint8_t>(255 * x / std::max<int64_t>(width - 1, 1)));
      image.pixels.push_back(static_cast<uint8_t>(255 * y / std::max<int64_t>(height - 1, 1)));
      image.pixels.push_back(60);
    }
  }
  return image;
}

template <class Value>
std::string png_of(png_uint_32 format,
                   int64_t height,
                   int64_t width,
                   const std::vector<Value>& pixels) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(width);
  png.height = static_cast<png_uint_32>(height);
  png.format = format;
  // The library takes 16-bit values as linear light; the test wants them stored as they are.
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::string bytes(size, '\0');
  EXPECT_TRUE(png_image_write_to_memory(&png, bytes.data(), &size, 0, pixels.data(), 0, nullptr));
  bytes.resize(size);
  return bytes;
}

std::string jpeg_of(const std::vector<uint8_t>& pixels,
                    int64_t height,
                    int64_t width,
                    J_COLOR_SPACE space) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &memory, &size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = space == JCS_CMYK ? 4 : space == JCS_GRAYSCALE ? 1 : 3;
  info.in_color_space = space;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 98, TRUE);
  jpeg_start_compress(&info, TRUE);
  const auto stride = static_cast<size_t>(width) * static_cast<size_t>(info.input_components);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(&pixels[info.next_scanline * stride]);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  std::string bytes(reinterpret_cast<char*>(memory), size);
  jpeg_destroy_compress(&info);
  std::free(memory);
  return bytes;
}

std::string with_orientation(const std::string& jpeg, char orientation) {
  using namespace std::literals;
  std::string exif =
      "Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"s + orientation + "\0\0\0\0\0\0"s;
  const auto length = static_cast<char>(exif.size() + 2);
  return jpeg.substr(0, 2) + "\xff\xe1\0"s + length + exif + jpeg.substr(2);
}

void expect_near(const Image& image, const Image& expected, int tolerance) {
  ASSERT_EQ(image.height, expected.height);
  ASSERT_EQ(image.width, expected.width);
  ASSERT_EQ(image.pixels.size(), expected.pixels.size());
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    ASSERT_NEAR(image.pixels[i], expected.pixels[i], tolerance) << "byte " << i;
  }
}

std::string error_of(const std::string& bytes) {
  try {
    decode_image(bytes, "some/photo");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST_F(ImageIo, PngSurvivesWritingAndReading) {
  const Image image = gradient(13, 17);
  write_png(folder_ / "a.png", image);
  EXPECT_EQ(read_image(folder_ / "a.png").pixels, image.pixels);
  Mask mask{2, 3, {0, 255, 0, 255, 255, 0}};
  write_png(folder_ / "m.png", mask);
  EXPECT_EQ(read_mask(folder_ / "m.png").pixels, mask.pixels);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2) << "temporary files are gone";
}

TEST_F(ImageIo, GreyBecomesRgb) {
  const Image image = decode_image(png_of<uint8_t>(PNG_FORMAT_GRAY, 1, 3, {0, 100, 255}), "grey");
  EXPECT_EQ(image.pixels, (std::vector<uint8_t>{0, 0, 0, 100, 100, 100, 255, 255, 255}));
  const Image jpeg =
      decode_image(jpeg_of(std::vector<uint8_t>(64, 100), 8, 8, JCS_GRAYSCALE), "grey");
  EXPECT_NEAR(jpeg.pixels[5], 100, 1);
}

TEST_F(ImageIo, TransparencyIsLaidOverWhite) {
  const Image image = decode_image(
      png_of<uint8_t>(PNG_FORMAT_RGBA, 1, 2, {10, 20, 30, 0, 10, 20, 30, 255}), "alpha");
  EXPECT_EQ(image.pixels, (std::vector<uint8_t>{255, 255, 255, 10, 20, 30}));
}

TEST_F(ImageIo, TransparencyOfAMaskIsNoWall) {
  const Mask mask = decode_mask(
      png_of<uint8_t>(PNG_FORMAT_RGBA, 1, 2, {255, 255, 255, 0, 255, 255, 255, 255}), "alpha");
  EXPECT_EQ(mask.pixels, (std::vector<uint8_t>{0, 255}));
}

TEST_F(ImageIo, SixteenBitsKeepTheirBrightness) {
  // Written by hand: the PNG holds 16-bit values without a gamma chunk, as scanners and renderers
  // write it.
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  std::string bytes;
  png_set_write_fn(
      png,
      &bytes,
      [](png_structp p, png_bytep data, size_t size) {
        static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<char*>(data), size);
      },
      nullptr);
  png_set_IHDR(png,
               info,
               3,
               1,
               16,
               PNG_COLOR_TYPE_GRAY,
               PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_BASE,
               PNG_FILTER_TYPE_BASE);
  png_write_info(png, info);
  const uint8_t row[] = {0, 0, 0x80, 0x80, 0xff, 0xff};
  png_write_row(png, row);
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);

  const Image image = decode_image(bytes, "sixteen");
  EXPECT_EQ(image.pixels[0], 0);
  EXPECT_NEAR(image.pixels[3], 128, 1);
  EXPECT_EQ(image.pixels[6], 255);
  EXPECT_EQ(decode_mask(bytes, "sixteen").pixels, (std::vector<uint8_t>{0, 255, 255}));
}

TEST_F(ImageIo, PaletteColorsAreLookedUp) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = 3;
  png.height = 1;
  png.format = PNG_FORMAT_RGB_COLORMAP;
  png.colormap_entries = 3;
  const uint8_t palette[] = {200, 10, 20, 30, 210, 40, 50, 60, 220}, indices[] = {2, 0, 1};
  std::string bytes(4096, '\0');
  png_alloc_size_t size = bytes.size();
  ASSERT_TRUE(png_image_write_to_memory(&png, bytes.data(), &size, 0, indices, 0, palette));
  bytes.resize(size);
  EXPECT_EQ(decode_image(bytes, "palette").pixels,
            (std::vector<uint8_t>{50, 60, 220, 200, 10, 20, 30, 210, 40}));
}

TEST_F(ImageIo, InksBecomeLight) {
  // Cyan and black at full, without Adobe's inversion: 255 is full ink.
  std::vector<uint8_t> inks;
  for (int i = 0; i < 64; ++i) inks.insert(inks.end(), {255, 0, 0, 0});
  std::string bytes = jpeg_of(inks, 8, 8, JCS_CMYK);
  // libjpeg writes an Adobe marker, which says that inks are inverted: 255 is no ink.
  const Image image = decode_image(bytes, "inks");
  EXPECT_EQ(image.pixels[0], 0) << "no black left but full black ink";
  std::vector<uint8_t> paper;
  for (int i = 0; i < 64; ++i) paper.insert(paper.end(), {20, 255, 255, 255});
  const Image red_missing = decode_image(jpeg_of(paper, 8, 8, JCS_CMYK), "inks");
  EXPECT_NEAR(red_missing.pixels[0], 20, 3);
  EXPECT_NEAR(red_missing.pixels[1], 255, 3);
}

TEST_F(ImageIo, PhotosAreTurnedUpright) {
  // 16 wide, 8 high as stored; each orientation names where the stored top left corner belongs.
  const Image stored = gradient(8, 16);
  const std::string jpeg = jpeg_of(stored.pixels, 8, 16, JCS_RGB);
  const auto at = [&](int64_t row, int64_t column) {
    return std::array{stored.pixels[static_cast<size_t>(3 * (row * 16 + column))],
                      stored.pixels[static_cast<size_t>(3 * (row * 16 + column) + 1)]};
  };
  struct Expected {
    char orientation;
    bool swapped;
    std::array<uint8_t, 2> top_left, top_right;
  };
  // EXIF 2.3, tag 0x0112: which stored row and column are the upright top and left.
  const Expected table[] = {
      {1, false, at(0, 0), at(0, 15)},
      {2, false, at(0, 15), at(0, 0)},
      {3, false, at(7, 15), at(7, 0)},
      {4, false, at(7, 0), at(7, 15)},
      {5, true, at(0, 0), at(7, 0)},
      {6, true, at(7, 0), at(0, 0)},
      {7, true, at(7, 15), at(0, 15)},
      {8, true, at(0, 15), at(7, 15)},
  };
  for (const Expected& expected : table) {
    const Image image = decode_image(with_orientation(jpeg, expected.orientation), "turned");
    EXPECT_EQ(image.width, expected.swapped ? 8 : 16);
    EXPECT_EQ(image.height, expected.swapped ? 16 : 8);
    const auto last = static_cast<size_t>(3 * (image.width - 1));
    for (size_t c = 0; c < 2; ++c) {
      const int orientation = expected.orientation;
      EXPECT_NEAR(image.pixels[c], expected.top_left[c], 30) << "orientation " << orientation;
      EXPECT_NEAR(image.pixels[last + c], expected.top_right[c], 30)
          << "orientation " << orientation;
    }
  }
}

TEST_F(ImageIo, JpegDecodesToWhatWasEncoded) {
  const Image image = gradient(24, 40);
  expect_near(decode_image(jpeg_of(image.pixels, 24, 40, JCS_RGB), "photo"), image, 24);
}

TEST_F(ImageIo, ATruncatedFileIsAnErrorWhereverItEnds) {
  const Image image = gradient(64, 64);
  for (const std::string& whole : {encode_png(image), jpeg_of(image.pixels, 64, 64, JCS_RGB)}) {
    for (size_t length = 1; length < whole.size(); length += 1 + whole.size() / 97) {
      EXPECT_THAT(error_of(whole.substr(0, length)), HasSubstr("some/photo"))
          << length << " of " << whole.size() << " bytes";
    }
    EXPECT_NE(error_of(whole.substr(0, whole.size() - 1)), "");
    EXPECT_EQ(error_of(whole), "");
  }
}

TEST_F(ImageIo, FlippedBitsOfAPngAreAnError) {
  const std::string whole = encode_png(gradient(32, 32));
  for (size_t at = 8; at < whole.size(); at += 11) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    // Only what is not critical (the colour space) may differ without notice.
    if (error_of(damaged).empty()) {
      EXPECT_EQ(decode_image(damaged, "photo").pixels.size(), 32u * 32 * 3);
    }
  }
  std::string damaged = whole;
  damaged[whole.size() / 2] = static_cast<char>(damaged[whole.size() / 2] ^ 0x10);
  EXPECT_THAT(error_of(damaged), HasSubstr("corrupt"));
}

TEST_F(ImageIo, RandomBytesNeverCrash) {
  RandomStream stream(1, Purpose::kEvaluation, 0, 0);
  const std::string png = encode_png(gradient(24, 24));
  const std::string jpeg = jpeg_of(gradient(24, 24).pixels, 24, 24, JCS_RGB);
  for (int i = 0; i < 4000; ++i) {
    // Pure noise behind a signature, and whole files with a few bytes replaced.
    std::string bytes = i % 4 == 0   ? std::string("\x89PNG\r\n\x1a\n", 8)
                        : i % 4 == 1 ? "\xff\xd8\xff"
                                     : "";
    if (i % 4 < 2) {
      const uint64_t length = stream.below(300);
      for (uint64_t b = 0; b < length; ++b) bytes += static_cast<char>(stream.below(256));
    } else {
      bytes = i % 4 == 2 ? png : jpeg;
      for (int b = 0; b < 3; ++b)
        bytes[stream.below(bytes.size())] = static_cast<char>(stream.below(256));
    }
    testing::internal::CaptureStderr();
    try {
      const Image image = decode_image(bytes, "noise");
      EXPECT_EQ(static_cast<int64_t>(image.pixels.size()), image.height * image.width * 3);
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("noise"));
    }
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "decoders are to be silent";
  }
}

/// The PNG with the checksum of every chunk made right.
std::string with_checksums(std::string png) {
  const auto big_endian = [&](size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(png[at + i]);
    return value;
  };
  for (size_t at = 8; at + 12 <= png.size();) {
    const size_t length = big_endian(at);
    if (length > png.size() - at - 12) break;
    const auto* data = reinterpret_cast<const Bytef*>(&png[at + 4]);
    const uLong checksum = crc32(0, data, static_cast<uInt>(length + 4));
    for (size_t i = 0; i < 4; ++i) {
      png[at + 8 + length + i] = static_cast<char>(checksum >> (24 - 8 * i));
    }
    at += length + 12;
  }
  return png;
}

TEST_F(ImageIo, DamageBehindRightChecksumsNeverCrashes) {
  RandomStream stream(2, Purpose::kEvaluation, 0, 0);
  const std::string png = encode_png(gradient(24, 24));
  int refused = 0;
  testing::internal::CaptureStderr();
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = png;
    for (int b = 0; b < 2; ++b) {
      bytes[16 + stream.below(bytes.size() - 16)] = static_cast<char>(stream.below(256));
    }
    refused += !error_of(with_checksums(bytes)).empty();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_GT(refused, 1000);
}

TEST_F(ImageIo, AnEmptyFileAFolderAndAMissingFileAreNamed) {
  EXPECT_THROW(read_image(write("empty.png", "")), InputError);
  EXPECT_THROW(read_image(folder_), InputError);
  EXPECT_THROW(read_mask(folder_ / "none.png"), InputError);
  try {
    read_image(write("text.jpg", "hello"));
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("text.jpg"));
    EXPECT_THAT(error.what(), HasSubstr("is a text, not a picture"));
  }
}

TEST_F(ImageIo, AHugeHeaderIsRefusedBeforeMemoryIsAskedFor) {
  std::string png = encode_png(gradient(1, 1));
  // Width and height stand at bytes 16 and 20; the checksum over type and data follows at 29.
  png.replace(16, 8, std::string("\x00\x01\x00\x00\x00\x01\x00\x00", 8));
  const uLong checksum = crc32(0, reinterpret_cast<const Bytef*>(&png[12]), 17);
  for (size_t i = 0; i < 4; ++i) png[29 + i] = static_cast<char>(checksum >> (24 - 8 * i));
  EXPECT_THAT(error_of(png), HasSubstr("100 megapixels"));
  std::string jpeg = jpeg_of(gradient(8, 8).pixels, 8, 8, JCS_RGB);
  const size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  jpeg.replace(frame + 5, 4, "\xff\x00\xff\x00", 4);
  EXPECT_THAT(error_of(jpeg), HasSubstr("100 megapixels"));
}

TEST_F(ImageIo, MasksAreCutAtHalf) {
  const Mask mask = decode_mask(png_of<uint8_t>(PNG_FORMAT_GRAY, 1, 4, {0, 127, 128, 255}), "mask");
  EXPECT_EQ(mask.pixels, (std::vector<uint8_t>{0, 0, 255, 255}));
  EXPECT_EQ(decode_mask(png_of<uint8_t>(PNG_FORMAT_GRAY, 1, 3, {0, 1, 0}), "labels").pixels,
            (std::vector<uint8_t>{0, 255, 0}));
}

}  // namespace
}  // namespace limewash::data
