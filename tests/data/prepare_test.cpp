#include "data/prepare.h"

#include <chrono>
#include <signal.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "data/crop_scale.h"
#include "data/mask.h"
#include "data/room.h"
#include "data/wall_color.h"
#include "runtime/config.h"
#include "runtime/error.h"
#include "runtime/stop_signal.h"
#include "tests/data/dataset_fixture.h"
#include "tests/data/prepare_fixture.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TEST_F(PrepareTest, MakesTheSampleThatTheStepsSay) {
  const Image photo = plain_photo(100, 140, 3);
  const Mask mask = striped_mask(100, 140, 30, 90);
  save(folder / "images/sub/a.png", photo);
  save(folder / "masks/sub/a.png", mask);
  const PrepareReport report = prepare(options);
  EXPECT_EQ(report.photos, 1);
  EXPECT_EQ(report.kept, 1);
  EXPECT_TRUE(report.rejected.empty());
  const Dataset dataset(options.out);
  const Sample sample = dataset.read(0);
  EXPECT_EQ(dataset.info(0).id, "sub/a.png");
  EXPECT_FALSE(dataset.info(0).room.has_value());
  EXPECT_EQ(sample.image.pixels, crop_and_scale(photo, 32).pixels);
  // The square begins at column 20; walls of 30-90 there are 10-70, the core four pixels less:
  // 14-66.
  EXPECT_EQ(sample.mask.pixels, striped_mask(32, 32, 3, 22).pixels);
  EXPECT_EQ(sample.core.pixels, striped_mask(32, 32, 4, 21).pixels);
  EXPECT_EQ(dataset.info(0).color, *median_color(sample.image, sample.core));
}

TEST_F(PrepareTest, RejectsByNameAndGoesOn) {
  for (int i = 0; i < 6; ++i) add(numbered("good", i), i);
  add("empty.png", 1);
  save(mask_path("empty.png"), striped_mask(48, 64, 0, 0));
  add("little.png", 1);
  save(mask_path("little.png"), striped_mask(48, 64, 8, 9));
  add("outside.png", 1);
  save(mask_path("outside.png"), striped_mask(48, 64, 0, 8));
  add("full.png", 1);
  save(mask_path("full.png"), striped_mask(48, 64, 0, 64));
  add("unmasked.png", 1);
  fs::remove(mask_path("unmasked.png"));
  add("shape.png", 1);
  save(mask_path("shape.png"), striped_mask(64, 48, 0, 30));
  add("thin.png", 1);
  Mask thin{48, 64, std::vector<uint8_t>(48 * 64)};
  for (size_t y = 0; y < 48; ++y)
    for (size_t x = 0; x < 64; ++x) thin.pixels[y * 64 + x] = x % 8 < 4 ? 255 : 0;
  save(mask_path("thin.png"), thin);
  add("badmask.png", 1);
  write_bytes(mask_path("badmask.png"), "no picture");
  write_bytes(folder / "images/random.jpg", std::string(4000, 'q'));
  save(mask_path("random.jpg"), striped_mask(48, 64, 0, 30));
  write_bytes(folder / "images/nothing.jpg", "");
  save(mask_path("nothing.jpg"), striped_mask(48, 64, 0, 30));
  write_bytes(folder / "images/notes.txt", "not a photo");
  write_bytes(folder / "images/.hidden.png", "not for us");

  const PrepareReport report = prepare(options);
  EXPECT_EQ(report.photos, 16);
  EXPECT_EQ(report.kept, 6);
  EXPECT_THAT(report.rejected,
              ElementsAre(Pair("empty mask", 1),
                          Pair("mask of another shape", 1),
                          Pair("missing mask", 1),
                          Pair("no core", 1),
                          Pair("too little wall", 2),
                          Pair("too much wall", 1),
                          Pair("unreadable mask", 1),
                          Pair("unreadable photo", 2)));
  EXPECT_EQ(detail_of(report, "empty.png"), "empty mask: the mask is empty");
  EXPECT_THAT(detail_of(report, "little.png"),
              AllOf(HasSubstr("wall share 3.1 % < 10 %"), HasSubstr("1.6 % of the photo")));
  EXPECT_THAT(detail_of(report, "outside.png"),
              AllOf(HasSubstr("0.0 % < 10 %"), HasSubstr("12.5 % of the photo")));
  EXPECT_THAT(detail_of(report, "full.png"), HasSubstr("wall share 100.0 % > 95 %"));
  EXPECT_THAT(detail_of(report, "shape.png"), HasSubstr("the mask is 48x64, the photo 64x48"));
  EXPECT_THAT(detail_of(report, "random.jpg"), HasSubstr("random.jpg"));
  EXPECT_THAT(detail_of(report, "badmask.png"), HasSubstr("badmask.png"));

  const auto json = nlohmann::json::parse(read_bytes(folder / "out/report.json"));
  EXPECT_EQ(json.at("kept"), 6);
  EXPECT_EQ(json.at("rejected").at("too little wall"), 2);
  EXPECT_EQ(json.at("rejections").size(), 10u);
  const Dataset dataset(options.out);
  ASSERT_EQ(dataset.size(), 6);
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(dataset.info(i).id, numbered("good", i));
}

TEST_F(PrepareTest, NothingKeptIsAnError) {
  add("empty.png", 1);
  save(mask_path("empty.png"), striped_mask(48, 64, 0, 0));
  EXPECT_THAT(input_error([&] { prepare(options); }),
              AllOf(HasSubstr("none of 1 photos"), HasSubstr("empty mask: 1")));
  EXPECT_TRUE(fs::exists(folder / "out/report.json"));
}

TEST_F(PrepareTest, ScalesAMaskOfAnotherResolution) {
  add("a.png", 1, 96, 128);
  save(mask_path("a.png"), striped_mask(48, 64, 0, 32));
  add("b.png", 1, 96, 128);
  prepare(options);
  const Dataset dataset(options.out);
  ASSERT_EQ(dataset.size(), 2);
  EXPECT_EQ(dataset.read(0).mask.pixels, dataset.read(1).mask.pixels);
}

/// Beside the wall, which `add` puts to the left, everything is blue.
Image wall_beside_blue(int number) {
  Image photo = plain_photo(48, 64, number);
  for (size_t i = 0; i < photo.pixels.size(); i += 3)
    if (i / 3 % 64 >= 32) photo.pixels[i] = 20, photo.pixels[i + 1] = 30, photo.pixels[i + 2] = 220;
  return photo;
}

TEST_F(PrepareTest, DropsMasksBelowTheQualityThresholdOrALimitOfAPart) {
  for (int i = 0; i < 3; ++i) {
    add(numbered("good", i), i);
    save(folder / ("images/" + numbered("good", i)), wall_beside_blue(i));
  }
  add("mixed.png", 1);
  Image mixed = wall_beside_blue(1);
  for (size_t i = 0; i < mixed.pixels.size(); i += 3)
    if (i / 3 % 64 < 16) mixed.pixels[i] = 240, mixed.pixels[i + 2] = 10;
  save(folder / "images/mixed.png", mixed);
  options.quality_threshold = 0.8;
  const PrepareReport report = prepare(options);
  EXPECT_EQ(report.kept, 3);
  EXPECT_THAT(detail_of(report, "mixed.png"),
              AllOf(HasSubstr("low quality: quality 0."), HasSubstr("color_homogeneity")));

  options.out = (folder / "limited").string();
  options.quality_threshold = 0;
  options.quality_limits = {{"foreign_objects", 0.9}};
  const PrepareReport limited = prepare(options);
  EXPECT_EQ(limited.kept, 3);
  EXPECT_THAT(detail_of(limited, "mixed.png"),
              AllOf(HasSubstr("low quality: foreign_objects 0."), HasSubstr("< 0.9")));

  options.out = (folder / "all").string();
  options.quality_limits = {};
  options.quality_parts = {"leakage"};
  EXPECT_EQ(prepare(options).kept, 4);
}

TEST_F(PrepareTest, OneWorkerOrManyGiveEqualBytes) {
  for (int i = 0; i < 11; ++i) add(numbered("p", i), i, 48 + i, 64);
  save(mask_path("p5.png"), striped_mask(53, 64, 0, 0));
  options.workers = 1;
  prepare(options);
  PrepareOptions other = options;
  other.workers = 5;
  other.out = (folder / "other").string();
  prepare(other);
  const auto files = dataset_bytes(options.out);
  EXPECT_EQ(files.size(), 6u);  // three shards, the index, the report, the rejected
  EXPECT_EQ(files, dataset_bytes(other.out));
}

TEST_F(PrepareTest, AKilledJobGoesOnWithEqualBytes) {
  for (int i = 0; i < 24; ++i) add(numbered("p", i), i, 500, 600);
  save(mask_path("p3.png"), striped_mask(500, 600, 0, 0));
  PrepareOptions straight = options;
  straight.out = (folder / "straight").string();
  prepare(straight);

  options.workers = 1;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    try {
      prepare(options);
    } catch (...) {
    }
    _exit(0);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!fs::exists(folder / "out/shard-00001.h5") && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the job was over before it could be killed";
  EXPECT_THAT(input_error([&] { Dataset(options.out); }), HasSubstr("has not finished"));
  write_bytes(folder / "out/shard-00003.h5.tmp", "what a kill leaves");

  options.workers = 2;
  const PrepareReport report = prepare(options);
  EXPECT_EQ(report.kept, 23);
  EXPECT_EQ(report.rejections.size(), 1u);
  auto resumed = dataset_bytes(options.out);
  std::erase_if(resumed, [](const auto& file) { return file.first.ends_with(".tmp"); });
  EXPECT_EQ(resumed, dataset_bytes(straight.out));
}

TEST_F(PrepareTest, AStopRequestEndsItAtAShardAndItGoesOn) {
  for (int i = 0; i < 6; ++i) add(numbered("p", i), i);
  request_stop();
  const PrepareReport stopped = prepare(options);
  request_stop(false);
  EXPECT_TRUE(stopped.stopped);
  EXPECT_EQ(stopped.kept, 0);
  const PrepareReport finished = prepare(options);
  EXPECT_FALSE(finished.stopped);
  EXPECT_EQ(finished.kept, 6);
}

TEST_F(PrepareTest, DoingItAgainChangesNothing) {
  for (int i = 0; i < 6; ++i) add(numbered("p", i), i);
  prepare(options);
  const auto before = dataset_bytes(options.out);
  const PrepareReport again = prepare(options);
  EXPECT_EQ(again.kept, 6);
  EXPECT_EQ(dataset_bytes(options.out), before);
}

TEST_F(PrepareTest, RefusesAFolderOfOtherOptionsOrPhotosNamingTheDifference) {
  for (int i = 0; i < 6; ++i) add(numbered("p", i), i);
  prepare(options);
  PrepareOptions other = options;
  other.erosion.iterations = 1;
  EXPECT_THAT(input_error([&] { prepare(other); }),
              HasSubstr("prepare.erosion.iterations: 2 there, 1 now"));
  add("q.png", 8);
  EXPECT_THAT(input_error([&] { prepare(options); }),
              AllOf(HasSubstr("other photos"), HasSubstr("6 photos there, 7 now")));
  fs::create_directories(folder / "foreign");
  write_bytes(folder / "foreign/thesis.txt", "years of work");
  options.out = (folder / "foreign").string();
  EXPECT_THAT(input_error([&] { prepare(options); }), HasSubstr("thesis.txt"));
}

TEST_F(PrepareTest, RefusesDamagedShardsWhenItGoesOn) {
  for (int i = 0; i < 6; ++i) add(numbered("p", i), i);
  prepare(options);
  const std::string bytes = read_bytes(folder / "out/shard-00000.h5");
  write_bytes(folder / "out/shard-00000.h5", bytes.substr(0, bytes.size() / 2));
  EXPECT_THAT(input_error([&] { prepare(options); }),
              AllOf(HasSubstr("shard-00000.h5"), HasSubstr("truncated")));
}

TEST_F(PrepareTest, KnowsProceduralRoomsAgain) {
  nlohmann::json manifest{
      {"format", 1}, {"seed", 5}, {"size", 32}, {"rooms", nlohmann::json::array()}};
  for (int i = 0; i < 2; ++i) {
    const std::string name = numbered("room-", i);
    const Room room(5, static_cast<uint64_t>(i), 32);
    Image photo = room.render(room.own_paint());
    if (i == 1) photo.pixels[7] ^= 1;  // not the room any more
    save(folder / ("images/" + name), photo);
    save(mask_path(name), striped_mask(32, 32, 0, 20));
    manifest["rooms"].push_back(
        {{"image", "images/" + name}, {"mask", "masks/" + name}, {"id", i}});
  }
  write_bytes(folder / "rooms.json", manifest.dump());
  prepare(options);
  const Dataset dataset(options.out);
  ASSERT_EQ(dataset.size(), 2);
  ASSERT_TRUE(dataset.info(0).room.has_value());
  EXPECT_EQ(dataset.info(0).room->seed, 5u);
  EXPECT_EQ(dataset.info(0).room->size, 32);
  EXPECT_FALSE(dataset.info(1).room.has_value());

  write_bytes(folder / "rooms.json", "{\"format\": 1, \"seed\": \"x\"}");
  options.out = (folder / "other").string();
  EXPECT_THAT(input_error([&] { prepare(options); }), HasSubstr("rooms.json"));
}

TEST_F(PrepareTest, FoldersMustBeNamedAndThere) {
  add("a.png", 1);
  PrepareOptions other = options;
  other.images.clear();
  EXPECT_THROW(prepare(other), ConfigError);
  other.images = (folder / "nowhere").string();
  EXPECT_THAT(input_error([&] { prepare(other); }), HasSubstr("nowhere is no folder"));
  other.images = options.masks;
  EXPECT_THAT(input_error([&] { prepare(other); }), HasSubstr("masks need their own"));
  fs::create_directories(folder / "none");
  other.images = (folder / "none").string();
  EXPECT_THAT(input_error([&] { prepare(other); }), HasSubstr("holds no photo"));
}

TEST(PrepareOptions, AreReadAndChecked) {
  const auto parse = [](const std::string& yaml) {
    PrepareOptions options;
    config::Document::parse(yaml, "prepare.yaml", {}).read_into(options);
    return options;
  };
  const PrepareOptions options = parse("size: 256\nerosion: {kernel: 3}\nwall_share: [0.2, 0.6]\n");
  EXPECT_EQ(options.size, 256);
  EXPECT_EQ(options.erosion.kernel, 3);
  EXPECT_EQ(options.erosion.iterations, 2);
  EXPECT_DOUBLE_EQ(options.highest_wall_share(), 0.6);
  EXPECT_DOUBLE_EQ(parse("wall_share: 0.3").highest_wall_share(), 1);
  EXPECT_THROW(parse("size: 100"), ConfigError);
  EXPECT_THROW(parse("erosion: {kernel: 4}"), ConfigError);
  EXPECT_THROW(parse("wall_share: [0.6, 0.2]"), ConfigError);
  EXPECT_THROW(parse("wall_share: [0.1, 0.2, 0.3]"), ConfigError);
  EXPECT_THROW(parse("wall_shares: 0.1"), ConfigError);
}

}  // namespace
}  // namespace limewash::data
