// WebP and TIFF of every layout that others write are tested in inputs_test.py; here is what
// hostile files of these formats do, and what the files are that no decoder takes.

#include <tiff.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/foreign_format.h"
#include "data/image_io.h"
#include "data/jpeg_damage.h"
#include "data/mask_decoding.h"
#include "runtime/random.h"
#include "tests/data/dataset_fixture.h"
#include "tests/data/picture_files.h"

namespace limewash::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using namespace std::literals;

std::vector<std::string> pictures() {
  const Image image = plain_photo(32, 32, 3);
  return {webp_of(image, false),
          webp_of(image, true),
          tiff_of(image, COMPRESSION_NONE, false),
          tiff_of(image, COMPRESSION_LZW, false),
          tiff_of(image, COMPRESSION_ADOBE_DEFLATE, true)};
}

std::string error_of(const std::string& bytes) {
  try {
    decode_image(bytes, "some/photo");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(ImageFormats, LosslessPicturesComeBackAsTheyWere) {
  const Image image = plain_photo(32, 48, 5);
  EXPECT_EQ(decode_image(webp_of(image, true), "w").pixels, image.pixels);
  EXPECT_EQ(decode_image(tiff_of(image, COMPRESSION_LZW, false), "t").pixels, image.pixels);
}

TEST(ImageFormats, ATruncatedFileIsAnErrorWhereverItEnds) {
  for (const std::string& whole : pictures()) {
    EXPECT_EQ(error_of(whole), "");
    for (size_t length = 1; length < whole.size(); length += 1 + whole.size() / 97)
      EXPECT_THAT(error_of(whole.substr(0, length)), HasSubstr("some/photo"))
          << length << " of " << whole.size() << " bytes";
  }
}

TEST(ImageFormats, DamagedBytesNeverCrashNorSpeak) {
  RandomStream stream(1, Purpose::kEvaluation, 0, 0);
  const MaskRule classes{0.5, {1, 80}};
  int refused = 0;
  testing::internal::CaptureStderr();
  for (const std::string& whole : pictures()) {
    for (int i = 0; i < 1500; ++i) {
      std::string bytes = whole;
      const uint64_t changes = 1 + stream.below(4);
      for (uint64_t k = 0; k < changes; ++k) {
        // Headers and directories stand at the ends.
        const size_t reach = std::min<size_t>(bytes.size(), 200);
        const size_t at = stream.below(2) == 0   ? stream.below(bytes.size())
                          : stream.below(2) == 0 ? stream.below(reach)
                                                 : bytes.size() - 1 - stream.below(reach);
        bytes[at] = static_cast<char>(stream.below(3) == 0 ? 255 : stream.below(256));
      }
      try {
        const Image image = decode_image(bytes, "noise");
        ASSERT_EQ(static_cast<int64_t>(image.pixels.size()), image.height * image.width * 3);
      } catch (const InputError& error) {
        EXPECT_THAT(error.what(), HasSubstr("noise"));
        ++refused;
      }
      try {
        const Mask mask = decode_mask(bytes, "noise", classes);
        ASSERT_EQ(static_cast<int64_t>(mask.pixels.size()), mask.height * mask.width);
      } catch (const InputError&) {
      }
    }
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_GT(refused, 500);
}

TEST(ImageFormats, AHugeHeaderIsRefusedBeforeMemoryIsAskedFor) {
  std::string tiff = tiff_of(plain_photo(32, 32, 1), COMPRESSION_LZW, false);
  // The directory is the last thing that libtiff writes; its entries of width and height are LONG
  // or SHORT, and their values stand where their tags begin + 8.
  for (const char tag : {'\0', '\1'}) {
    size_t at = tiff.size();
    do {
      at = tiff.rfind(std::string{tag, '\1'}, at - 1);
      ASSERT_NE(at, std::string::npos);
    } while (tiff.substr(at + 4, 4) != "\1\0\0\0"s);
    tiff.replace(at + 2, 2, "\4\0"s);
    tiff.replace(at + 8, 4, "\0\0\1\0"s);
  }
  EXPECT_THAT(error_of(tiff), HasSubstr("65536 x 65536 pixels are more than"));
}

TEST(ImageFormats, ForeignFilesAreNamed) {
  const std::pair<std::string, const char*> cases[] = {
      {"GIF89a......", "is a GIF"},
      {"BM..........", "is a BMP"},
      {"\0\0\0\x1c"s + "ftypavif....", "is an AVIF"},
      {"\0\0\0\x18"s + "ftypheic....", "is a HEIC"},
      {"\0\0\0\x18"s + "ftypmp42....", "is a video"},
      {"%PDF-1.7....", "is a PDF document"},
      {"<?xml version='1.0'?><svg xmlns=''/>", "is an SVG drawing"},
      {"  <!DOCTYPE html><html>", "is a web page"},
      {"{\"error\": \"not found\"}", "is a text"},
      {std::string(500, '\0'), "holds nothing but zeros"},
      {"\x01\x02\x03\x04\x05", "neither JPEG, PNG, WebP nor TIFF"},
  };
  for (const auto& [bytes, words] : cases)
    EXPECT_THAT(error_of(bytes), AllOf(HasSubstr("some/photo"), HasSubstr(words)));
  EXPECT_THAT(error_of(""), HasSubstr("the file is empty"));
}

TEST(JpegDamage, FindsALostSectorInThePictureDataOnly) {
  const std::string data(700, 'x'), hole(512, '\0');
  EXPECT_FALSE(has_lost_sector(data));
  for (size_t at = 0; at < 700; at += 37) {
    EXPECT_TRUE(has_lost_sector(data.substr(0, at) + hole + data)) << at;
    EXPECT_FALSE(has_lost_sector(data.substr(0, at) + hole.substr(1) + data)) << at;
  }
  EXPECT_FALSE(has_lost_sector(data + "\xff\xd9" + hole)) << "behind the picture";
  EXPECT_TRUE(has_lost_sector(data + "\xff\xd3" + "\xff\0"s + hole)) << "behind a restart";
  EXPECT_FALSE(has_lost_sector(""));
}

}  // namespace
}  // namespace limewash::data
