#include "data/photo_file.h"

// libjpeg's headers want <cstddef> and <cstdio> before them.
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <jpeglib.h>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/image_codec.h"
#include "data/image_io.h"
#include "runtime/random.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::data {
namespace {

using testing::HasSubstr;

struct JpegSettings {
  int horizontal = 2, vertical = 2;  ///< how much coarser colour is
  bool progressive = false;
  bool grey = false;
  int orientation = 1;
};

Image noisy_photo(int64_t height, int64_t width) {
  Image photo = plain_photo(height, width, 1);
  RandomStream stream(8, Purpose::kCrop, 0, 1);
  for (uint8_t& value : photo.pixels)
    value = static_cast<uint8_t>(std::min<uint64_t>(255, value / 2 + stream.below(100)));
  return photo;
}

std::string write_jpeg(const Image& photo, const JpegSettings& settings) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = static_cast<JDIMENSION>(photo.width);
  info.image_height = static_cast<JDIMENSION>(photo.height);
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  if (settings.grey) jpeg_set_colorspace(&info, JCS_GRAYSCALE);
  info.comp_info[0].h_samp_factor = settings.horizontal;
  info.comp_info[0].v_samp_factor = settings.vertical;
  if (settings.progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  // A TIFF header, and a directory of one entry: orientation, one short.
  std::string exif("Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x01\0\0\0\0\0\0",
                   32);
  exif[25] = static_cast<char>(settings.orientation);
  jpeg_write_marker(&info,
                    JPEG_APP0 + 1,
                    reinterpret_cast<const JOCTET*>(exif.data()),
                    static_cast<unsigned>(exif.size()));
  while (info.next_scanline < info.image_height) {
    auto* row =
        const_cast<JSAMPROW>(photo.pixels.data() + int64_t{info.next_scanline} * photo.width * 3);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  std::string text(reinterpret_cast<const char*>(bytes), size);
  jpeg_destroy_compress(&info);
  std::free(bytes);
  return text;
}

class PhotoFileTest : public testing::Test {
 protected:
  /// Parts of the file's photo are those of the whole one.
  void expect_parts(const std::string& bytes) {
    const auto path = folder / "photo.jpg";
    write_bytes(path, bytes);
    const Image whole = read_image(path);
    const int64_t h = whole.height, w = whole.width;
    const Rectangle parts[] = {{0, 0, h, w},
                               centered_rectangle(h, w, 8, 8),
                               centered_rectangle(h, w, 8, 24),
                               centered_rectangle(h, w, 24, 8),
                               {h / 3, w / 3, 1, 1},
                               {0, w - 5, h, 5},
                               {h - 7, 0, 7, 3}};
    for (const Rectangle& part : parts) {
      PhotoFile file(path);
      ASSERT_EQ(file.height(), h);
      ASSERT_EQ(file.width(), w);
      file.check();
      const PhotoPart decoded = file.decode(part);
      file.check();
      ASSERT_EQ(decoded.part.height, part.height);
      ASSERT_EQ(decoded.part.width, part.width);
      for (int64_t y = 0; y < part.height; ++y) {
        const auto row_of = [](const Image& image, const Rectangle& in, int64_t row) {
          const auto begin = image.pixels.begin() + ((in.top + row) * image.width + in.left) * 3;
          return std::vector<uint8_t>(begin, begin + in.width * 3);
        };
        ASSERT_EQ(row_of(decoded.image, decoded.part, y), row_of(whole, part, y))
            << part.top << ", " << part.left << ": " << part.height << "x" << part.width;
      }
    }
  }

  TemporaryFolder folder;
};

TEST_F(PhotoFileTest, APartHasThePixelsOfTheWhole) {
  const Image photo = noisy_photo(150, 331);
  for (const auto& [horizontal, vertical] : {std::pair{2, 2}, {1, 1}, {2, 1}, {1, 2}, {4, 1}})
    for (const bool progressive : {false, true}) {
      SCOPED_TRACE(testing::Message() << horizontal << vertical << progressive);
      expect_parts(write_jpeg(photo,
                              {.horizontal = horizontal,
                               .vertical = vertical,
                               .progressive = progressive,
                               .grey = false,
                               .orientation = 1}));
    }
  expect_parts(write_jpeg(photo, {1, 1, false, true, 1}));
}

TEST_F(PhotoFileTest, PartsAreOfTheUprightPicture) {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    SCOPED_TRACE(orientation);
    const std::string bytes = write_jpeg(noisy_photo(90, 163), {2, 2, false, false, orientation});
    ASSERT_EQ(read_jpeg_header(bytes, "").orientation, orientation);
    expect_parts(bytes);
  }
}

TEST_F(PhotoFileTest, OtherFormatsAreDecodedAtOnce) {
  expect_parts(encode_png(noisy_photo(40, 70)));
}

TEST_F(PhotoFileTest, TheCheckFindsWhatDecodingFinds) {
  const auto path = folder / "photo.jpg";
  const auto outcome = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const InputError& error) {
      return error.what();
    }
    return "sound";
  };
  RandomStream stream(9, Purpose::kCrop, 0, 2);
  int damaged = 0;
  for (const bool progressive : {false, true}) {
    const std::string sound = write_jpeg(noisy_photo(120, 200), {2, 2, progressive, false, 1});
    for (int i = 0; i < 150; ++i) {
      std::string bytes = sound;
      const auto at = 400 + stream.below(sound.size() - 400);
      if (i % 3 == 0)
        bytes.resize(at);
      else if (i % 3 == 1)
        bytes[at] = static_cast<char>(stream.below(256));
      else
        bytes.replace(at, 20, std::string(std::min<size_t>(20, sound.size() - at), '\xff'));
      write_bytes(path, bytes);
      const std::string whole = outcome([&] { read_image(path); });
      EXPECT_EQ(outcome([&] { PhotoFile(path).check(); }), whole) << i;
      EXPECT_EQ(outcome([&] { PhotoFile(path).decode({0, 60, 120, 50}); }), whole) << i;
      damaged += whole != "sound" ? 1 : 0;
    }
  }
  EXPECT_GT(damaged, 100);
}

TEST_F(PhotoFileTest, NamesWhatCannotBeRead) {
  EXPECT_THAT(input_error([&] { PhotoFile(folder / "none.jpg"); }), HasSubstr("none.jpg"));
  write_bytes(folder / "text.jpg", "hello, this is no picture");
  EXPECT_THAT(input_error([&] { PhotoFile(folder / "text.jpg"); }), HasSubstr("text.jpg"));
}

}  // namespace
}  // namespace limewash::data
