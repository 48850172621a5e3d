#include "data/photo_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/caption.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::data {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class PhotoList : public testing::Test {
 protected:
  std::vector<ListedPhoto> read(const std::string& name,
                                const std::string& text,
                                const RequiredColumns& required = {}) {
    write_bytes(folder / name, text);
    return read_photo_list(folder / name, required);
  }
  std::string error_of(const std::string& name,
                       const std::string& text,
                       const RequiredColumns& required = {}) {
    return input_error([&] { read(name, text, required); });
  }
  TemporaryFolder folder;
};

TEST_F(PhotoList, ReadsCsvWithQuotesCommasAndLineEnds) {
  const auto photos = read("list.csv",
                           "\xef\xbb\xbfmask,image,caption\r\n"
                           "m/a.png,a.jpg,plain\r\n"
                           "\r\n"
                           "\"m/b;1.png\",\"b, \"\"c\"\".jpg\",\"two\nlines\"\r\n"
                           "m/d1.png ; m/d2.png,d.jpg,");
  ASSERT_EQ(photos.size(), 3u);
  EXPECT_EQ(photos[0].image, "a.jpg");
  EXPECT_THAT(photos[0].masks, ElementsAre("m/a.png"));
  EXPECT_EQ(photos[0].line, 2);
  EXPECT_EQ(photos[1].image, "b, \"c\".jpg");
  EXPECT_EQ(photos[1].caption, "two lines");
  EXPECT_EQ(photos[1].line, 4);
  EXPECT_THAT(photos[2].masks, ElementsAre("m/d1.png", "m/d2.png"));
  EXPECT_THAT(photos[2].second_masks, IsEmpty());
  EXPECT_EQ(photos[2].caption, "");
  EXPECT_EQ(photos[2].line, 6) << "a quoted line end counts";
}

TEST_F(PhotoList, ReadsJsonLines) {
  const auto photos = read("list.jsonl",
                           "{\"image\": \"a.jpg\", \"mask\": \"m/a;b.png\"}\n\n"
                           "{\"image\": \"b.jpg\", \"mask\": [\"1.png\", \"2.png\"], "
                           "\"second_mask\": \"s.png\", \"caption\": \" gr\\u00fcn \"}\n"
                           "{\"image\": \"c.jpg\", \"mask\": null, \"caption\": null}");
  ASSERT_EQ(photos.size(), 3u);
  EXPECT_THAT(photos[0].masks, ElementsAre("m/a;b.png"));
  EXPECT_THAT(photos[1].masks, ElementsAre("1.png", "2.png"));
  EXPECT_THAT(photos[1].second_masks, ElementsAre("s.png"));
  EXPECT_EQ(photos[1].caption, "gr\xc3\xbcn");
  EXPECT_EQ(photos[1].line, 3);
  EXPECT_THAT(photos[2].masks, IsEmpty());
}

TEST_F(PhotoList, NamesFileAndLineOfWhatIsBroken) {
  const struct {
    const char *name, *text, *line, *what;
  } cases[] = {
      {"a.csv", "", "a.csv", "the list is empty"},
      {"a.csv", "photo,mask\nx,y\n", "a.csv:1", "no column 'image'; its first line names 'photo'"},
      {"a.csv", "image;mask\nx;y\n", "a.csv:1", "no column 'image'"},
      {"a.csv", "image,image\nx,y\n", "a.csv:1", "'image' is there twice"},
      {"a.csv", "image\nx\ny,z\n", "a.csv:3", "has 2 columns, expected the 1"},
      {"a.csv", "image\nx\n\"y\n", "a.csv:3", "opened and never closed"},
      {"a.csv", "image\n\"x\"y\n", "a.csv:2", "text follows a closing quote"},
      {"a.csv", "image\nx\"y\n", "a.csv:2", "a quote stands within a cell"},
      {"a.csv", "image,mask\n,y\n", "a.csv:2", "image is empty"},
      {"a.csv", "image\nfolder/\n", "a.csv:2", "names a folder"},
      {"a.csv", "image\n\xfc.jpg\n", "a.csv:2", "no valid UTF-8"},
      {"a.csv", "image,caption\nx,\x01\n", "a.csv:2", "control character"},
      {"a.jsonl", "{\"image\": \"x\"}\n{", "a.jsonl:2", "is no JSON"},
      {"a.jsonl", "[1]", "a.jsonl:1", "of the type array, expected an object"},
      {"a.jsonl", "{\"mask\": \"x\"}", "a.jsonl:1", "no key 'image'"},
      {"a.jsonl", "{\"image\": 7}", "a.jsonl:1", "image is of the type number, expected a text"},
      {"a.jsonl", "{\"image\": \"x\", \"mask\": [1]}", "a.jsonl:1", "mask is of the type number"},
      {"a.jsonl", "{\"image\": \"x\\u0000y\"}", "a.jsonl:1", "holds a zero byte"},
      {"a.jsonl", "{\"image\": \"\xff\"}", "a.jsonl:1", "no valid UTF-8"},
  };
  for (const auto& [name, text, line, what] : cases)
    EXPECT_THAT(error_of(name, text), AllOf(HasSubstr(line), HasSubstr(what))) << text;
}

TEST_F(PhotoList, AsksForTheColumnsThatAreNeeded) {
  EXPECT_THAT(error_of("a.csv", "image\nx\n", {true, false}), HasSubstr("no column 'mask'"));
  EXPECT_THAT(error_of("a.csv", "image\nx\n", {false, true}), HasSubstr("no column 'caption'"));
  EXPECT_THAT(error_of("a.jsonl", "{\"image\": \"x\"}", {true, false}),
              AllOf(HasSubstr("a.jsonl:1"), HasSubstr("no key 'mask'")));
}

TEST_F(PhotoList, BoundsWhatAnEntryMayHold) {
  EXPECT_THAT(error_of("a.csv", "image\n" + std::string(5000, 'x')), HasSubstr("5000 bytes"));
  EXPECT_THAT(error_of("a.csv", "image\n\"" + std::string(3 << 20, 'x') + "\"\n"),
              AllOf(HasSubstr("a.csv:2"), HasSubstr("row has more than")));
  EXPECT_THAT(error_of("a.jsonl", std::string(3 << 20, '[')), HasSubstr("the line has 3145728"));
  EXPECT_THAT(error_of("a.jsonl", std::string(1 << 19, '[')), HasSubstr("is no JSON"));
  std::string masks = "x.png";
  for (int i = 0; i < 300; ++i) masks += ";x.png";
  EXPECT_THAT(error_of("a.csv", "image,mask\nx," + masks), HasSubstr("names 301 files"));
  EXPECT_THAT(error_of("a.csv", "image,caption\nx," + std::string(2001, 'c')),
              AllOf(HasSubstr("a.csv:2"), HasSubstr("longer than 2000 bytes")));
}

TEST(Caption, IsTrimmedAndItsWhiteSpaceIsOneSpace) {
  EXPECT_EQ(caption_of("\xef\xbb\xbf \r\n a\troom\r\nwith  a wall \n", "x"), "a room with a wall");
  EXPECT_EQ(caption_of(" \n", "x"), "");
  EXPECT_EQ(caption_of(std::string(2000, 'c') + "\n", "x").size(), 2000u);
}

TEST(Caption, HasToBeUtf8) {
  for (const char* valid : {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8f\xa0", "\xed\x9f\xbf"})
    EXPECT_TRUE(is_utf8(valid)) << valid;
  for (const char* broken : {"\xe9",
                             "\xc0\xaf",
                             "\xe0\x80\xaf",
                             "\xed\xa0\x80",
                             "\xf4\x90\x80\x80",
                             "\xf5\x80\x80\x80",
                             "\xe2\x82",
                             "a\x80"})
    EXPECT_FALSE(is_utf8(broken)) << testing::PrintToString(broken);
  EXPECT_THAT(input_error([] { caption_of("caf\xe9", "a.txt"); }),
              AllOf(HasSubstr("a.txt"), HasSubstr("no valid UTF-8")));
}

}  // namespace
}  // namespace limewash::data
