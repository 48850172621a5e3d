#include "data/photo_pairs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/photo_content.h"
#include "data/photo_glob.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class PhotoPairs : public testing::Test {
 protected:
  PhotoPairs() {
    options.images = (folder / "photos").string();
    options.masks = (folder / "masks").string();
    fs::create_directories(options.masks);
  }
  void add(const std::string& path, const std::string& bytes = "x") {
    fs::create_directories((folder / path).parent_path());
    write_bytes(folder / path, bytes);
  }
  std::vector<std::string> ids() const {
    std::vector<std::string> result;
    for (const PhotoPair& pair : find_photo_pairs(options)) result.push_back(pair.id);
    return result;
  }
  PhotoPair only() const {
    const auto pairs = find_photo_pairs(options);
    EXPECT_EQ(pairs.size(), 1u);
    return pairs.front();
  }
  std::string error() const {
    return input_error([&] { find_photo_pairs(options); });
  }

  TemporaryFolder folder;
  PrepareOptions options;
};

TEST_F(PhotoPairs, AFolderIsSearchedInTheOrderOfIds) {
  for (const char* name : {"b.jpg", "a/z.PNG", "a.webp", "a/b/c.tiff", ".hidden.jpg", "notes.txt"})
    add(std::string("photos/") + name);
  add("photos/.cache/x.jpg");
  EXPECT_THAT(ids(), ElementsAre("a.webp", "a/b/c.tiff", "a/z.PNG", "b.jpg"));
}

TEST_F(PhotoPairs, AFolderNamedAsAPhotoIsReportedAndSearched) {
  add("photos/trip.jpg/1.jpg");
  EXPECT_THAT(ids(), ElementsAre("trip.jpg", "trip.jpg/1.jpg"));
  try {
    load_photo(find_photo_pairs(options).front());
    FAIL();
  } catch (const Rejected& rejected) {
    EXPECT_THAT(rejected.detail, AllOf(HasSubstr("trip.jpg"), HasSubstr("is a folder")));
  }
}

TEST_F(PhotoPairs, PhotosThatCannotBeReadAreFoundAndTold) {
  add("photos/phone.heic",
      std::string("\0\0\0\x18"
                  "ftypheic",
                  12));
  add("photos/old.bmp", "BM........");
  std::vector<std::string> details;
  for (const PhotoPair& pair : find_photo_pairs(options)) {
    try {
      load_photo(pair);
    } catch (const Rejected& rejected) {
      EXPECT_EQ(rejected.reason, "unreadable photo");
      details.push_back(rejected.detail);
    }
  }
  EXPECT_THAT(details, ElementsAre(HasSubstr("is a BMP"), HasSubstr("is a HEIC")));
}

TEST_F(PhotoPairs, FolderOfMasksInsideOfThePhotosHoldsNoPhotos) {
  add("photos/a.jpg");
  add("photos/walls/a.png");
  options.masks = (folder / "photos/walls").string();
  EXPECT_THAT(ids(), ElementsAre("a.jpg"));
}

TEST_F(PhotoPairs, AMaskIsFoundUnderThePhotosName) {
  add("photos/a/b.jpg");
  EXPECT_THAT(only().masks, IsEmpty());
  add("masks/a/b/2.png");
  add("masks/a/b/1.png");
  add("masks/a/b/.3.png");
  add("masks/a/b/readme.txt");
  EXPECT_THAT(only().masks, ElementsAre(folder / "masks/a/b/1.png", folder / "masks/a/b/2.png"));
  add("masks/a/b.tif");
  EXPECT_THAT(only().masks, ElementsAre(folder / "masks/a/b.tif"));
  add("masks/a/b.jpg");
  EXPECT_THAT(only().masks, ElementsAre(folder / "masks/a/b.jpg"));
  add("masks/a/b.png");
  EXPECT_THAT(only().masks, ElementsAre(folder / "masks/a/b.png"));
}

TEST_F(PhotoPairs, MasksOfPhotosInAFolderAreNotThoseOfAPhotoOfThatName) {
  add("photos/a.jpg");
  add("photos/a/b.jpg");
  add("masks/a/b.png");
  const auto pairs = find_photo_pairs(options);
  ASSERT_EQ(pairs.size(), 2u);
  EXPECT_THAT(pairs[0].masks, IsEmpty());
  EXPECT_THAT(pairs[1].masks, ElementsAre(folder / "masks/a/b.png"));
}

TEST_F(PhotoPairs, SecondMasksAreNamedAlike) {
  add("photos/a.jpg");
  add("masks/a.png");
  add("other/a.png");
  options.second_masks = (folder / "other").string();
  EXPECT_THAT(only().second_masks, ElementsAre(folder / "other/a.png"));
  options.second_masks = (folder / "nowhere").string();
  EXPECT_THAT(error(), HasSubstr("prepare.second_masks"));
}

TEST(Glob, MatchesAsItsCharactersSay) {
  const struct {
    const char *pattern, *path;
    bool matches;
  } cases[] = {
      {"p/*.jpg", "a.jpg", true},
      {"p/*.jpg", "a/b.jpg", false},
      {"p/*.jpg", ".a.jpg", false},
      {"p/*.jpg", "a.JPG", false},
      {"p/**/*.jpg", "a.jpg", true},
      {"p/**/*.jpg", "a/b/c.jpg", true},
      {"p/**/*.jpg", "a/.b/c.jpg", false},
      {"p/**/**/*.jpg", "a/c.jpg", true},
      {"p/**", "a/b/c.jpg", true},
      {"p/**/x/*.jpg", "a/x/b/x/c.jpg", true},
      {"p/**/x/*.jpg", "a/y/c.jpg", false},
      {"p/a?c/*", "abc/d.png", true},
      {"p/a?c/*", "abbc/d.png", false},
      {"p/?.png", "\xc3\xa4.png", true},
      {"p/[ab]-[0-9].png", "b-7.png", true},
      {"p/[ab]-[0-9].png", "c-7.png", false},
      {"p/[!ab].png", "c.png", true},
      {"p/[!ab].png", "a.png", false},
      {"p/[]x].png", "].png", true},
      {"p/*a*b*c.jpg", "xxaxxbxxbxxc.jpg", true},
      {"p/*a*b*c.jpg", "xxaxxbxxbxx.jpg", false},
  };
  for (const auto& [pattern, path, matches] : cases)
    EXPECT_EQ(Glob(pattern).matches(path), matches) << pattern << " " << path;
  EXPECT_FALSE(Glob("p/*a*a*a*a*a*a*a*a*a*a*a*b").matches(std::string(200, 'a')));
  EXPECT_EQ(Glob("/p/q/*/x?.png").folder(), "/p/q");
  EXPECT_EQ(Glob("*.png").folder(), ".");
  EXPECT_EQ(Glob("p/*/x.png").depth(), 1);
  EXPECT_EQ(Glob("p/**/x.png").depth(), -1);
  EXPECT_THROW(Glob("p/[ab.png"), ConfigError);
}

TEST_F(PhotoPairs, AGlobGivesIdsBelowItsFixedFolder) {
  for (const char* name : {"a/1.jpg", "a/2.png", "b/3.jpg", "b/c/4.jpg", "5.jpg", "a/6.txt"})
    add(std::string("photos/") + name);
  add("masks/a/1.png");
  options.images = (folder / "photos/*/*").string();
  EXPECT_THAT(ids(), ElementsAre("a/1.jpg", "a/2.png", "b/3.jpg"));
  EXPECT_THAT(find_photo_pairs(options)[0].masks, ElementsAre(folder / "masks/a/1.png"));
  EXPECT_EQ(photos_folder(options.images), folder / "photos");
  options.images = (folder / "photos/**/*.jpg").string();
  EXPECT_THAT(ids(), ElementsAre("5.jpg", "a/1.jpg", "b/3.jpg", "b/c/4.jpg"));
  options.images = (folder / "photos/**/*.gif").string();
  EXPECT_THAT(error(), HasSubstr("no photo (jpg, png, webp, tif) matches"));
  options.images = (folder / "nowhere/*.jpg").string();
  EXPECT_THAT(error(), HasSubstr("nowhere"));
}

TEST_F(PhotoPairs, AListKeepsItsOrderAndCountsFromItsFolder) {
  add("lists/list.csv",
      "image,mask,second_mask,caption\n"
      "z/../b.jpg,m/1.png;m/2.png,s.png,a wall\n"
      "../photos/a.jpg,,,\n"
      "c.jpg,,,\n");
  add("masks/c.png");
  options.images = (folder / "lists/list.csv").string();
  const auto pairs = find_photo_pairs(options);
  ASSERT_EQ(pairs.size(), 3u);
  EXPECT_EQ(pairs[0].id, "b.jpg");
  EXPECT_EQ(pairs[0].photo, folder / "lists/b.jpg");
  EXPECT_THAT(pairs[0].masks, ElementsAre(folder / "lists/m/1.png", folder / "lists/m/2.png"));
  EXPECT_THAT(pairs[0].second_masks, ElementsAre(folder / "lists/s.png"));
  EXPECT_EQ(pairs[0].caption, "a wall");
  EXPECT_EQ(pairs[1].id, "../photos/a.jpg");
  EXPECT_EQ(pairs[1].photo, folder / "photos/a.jpg");
  EXPECT_THAT(pairs[1].masks, IsEmpty()) << "an id that leaves its folder has none by name";
  EXPECT_THAT(pairs[2].masks, ElementsAre(folder / "masks/c.png"));
}

TEST_F(PhotoPairs, AListNamesEachPhotoOnce) {
  add("list.jsonl",
      "{\"image\": \"a.jpg\", \"mask\": \"a.png\"}\n\n{\"image\": \"./a.jpg\", \"mask\": "
      "\"b.png\"}");
  options.images = (folder / "list.jsonl").string();
  EXPECT_THAT(error(),
              AllOf(HasSubstr("list.jsonl:3"), HasSubstr("'a.jpg' stands in line 1 already")));
  add("list.jsonl", "\n");
  EXPECT_THAT(error(), HasSubstr("names no photo"));
  add("list.jsonl", "{\"image\": \"a.png\", \"mask\": \"a.png\"}");
  EXPECT_THAT(error(), HasSubstr("is its own mask"));
}

TEST_F(PhotoPairs, MasksMayOnlyBeLeftOutWithAList) {
  add("photos/a.jpg");
  options.masks.clear();
  EXPECT_THROW(find_photo_pairs(options), ConfigError);
  add("list.csv", "image\na.jpg\n");
  options.images = (folder / "list.csv").string();
  EXPECT_THAT(error(), HasSubstr("no column 'mask'"));
  add("list.csv", "image,mask\na.jpg,a.png\nb.jpg,\n");
  const auto pairs = find_photo_pairs(options);
  ASSERT_EQ(pairs.size(), 2u);
  EXPECT_THAT(pairs[1].masks, IsEmpty());
  EXPECT_EQ(photos_folder(options.images), (folder / "list.csv").parent_path());
}

TEST(MaskClasses, AreWholeNumbers) {
  PrepareOptions options;
  options.mask_classes = {1, 300};
  options.validate();
  options.mask_classes = {1.5};
  EXPECT_THROW(options.validate(), ConfigError);
}

TEST_F(PhotoPairs, CaptionsComeFromAFolderOrAList) {
  add("photos/a/1.jpg");
  add("photos/2.jpg");
  add("captions/a/1.txt", "a room\n");
  options.captions = (folder / "captions").string();
  auto pairs = find_photo_pairs(options);
  EXPECT_EQ(load_caption(pairs[0]), "");
  EXPECT_EQ(load_caption(pairs[1]), "a room");
  add("captions/2.txt", "caf\xe9");
  try {
    load_caption(find_photo_pairs(options)[0]);
    FAIL();
  } catch (const Rejected& rejected) {
    EXPECT_EQ(rejected.reason, "unreadable caption");
    EXPECT_THAT(rejected.detail, AllOf(HasSubstr("2.txt"), HasSubstr("no valid UTF-8")));
  }
  add("captions.jsonl",
      "{\"image\": \"2.jpg\", \"caption\": \"two\"}\n{\"image\": \"3.jpg\", \"caption\": \"x\"}\n");
  options.captions = (folder / "captions.jsonl").string();
  pairs = find_photo_pairs(options);
  EXPECT_EQ(load_caption(pairs[0]), "two");
  EXPECT_EQ(load_caption(pairs[1]), "");
  options.captions = (folder / "nowhere").string();
  EXPECT_THAT(error(), HasSubstr("prepare.captions"));
}

TEST_F(PhotoPairs, TheirHashCoversMasksSecondMasksAndCaptions) {
  add("photos/a.jpg");
  add("photos/b.jpg");
  const auto hash = [&] { return hash_of(find_photo_pairs(options)); };
  std::vector<std::string> seen{hash()};
  const auto changed = [&] {
    const bool is_new = std::find(seen.begin(), seen.end(), hash()) == seen.end();
    seen.push_back(hash());
    return is_new;
  };
  EXPECT_FALSE(changed());
  add("masks/a/1.png");
  EXPECT_TRUE(changed());
  add("masks/a/2.png");
  EXPECT_TRUE(changed());
  add("masks/a/2.png", "longer");
  EXPECT_TRUE(changed());
  add("second/a.png");
  options.second_masks = (folder / "second").string();
  EXPECT_TRUE(changed());
  add("captions/a.txt", "a");
  options.captions = (folder / "captions").string();
  EXPECT_TRUE(changed());
  add("captions/a.txt", "a wall");
  EXPECT_TRUE(changed());
  add("captions.jsonl", "{\"image\": \"a.jpg\", \"caption\": \"a wall\"}");
  options.captions = (folder / "captions.jsonl").string();
  EXPECT_TRUE(changed());
  add("captions.jsonl", "{\"image\": \"b.jpg\", \"caption\": \"a wall\"}");
  EXPECT_TRUE(changed());
}

}  // namespace
}  // namespace limewash::data
