#include "data/synthesize.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "data/image_io.h"
#include "data/room.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/stop_signal.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Synthesize : public testing::Test {
 protected:
  Synthesize()
      : folder_(fs::path(testing::TempDir()) / ("synthesize-" + std::to_string(::getpid()))) {
    options_.out = (folder_ / "rooms").string();
    options_.count = 6;
    options_.size = 48;
    options_.repaints = 2;
    fs::create_directories(folder_);
  }
  ~Synthesize() override {
    request_stop(false);
    fs::remove_all(folder_);
  }

  std::map<std::string, std::string> files(const fs::path& folder) const {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) {
        found[fs::relative(entry.path(), folder).string()] = read_file(entry.path());
      }
    }
    return found;
  }

  fs::path folder_;
  SynthesizeOptions options_;
};

TEST_F(Synthesize, WritesPhotosMasksRepaintsAndTheirList) {
  const SynthesizeReport report = synthesize(options_);
  EXPECT_EQ(report.rooms, 6);
  EXPECT_EQ(report.repaints, 12);
  EXPECT_FALSE(report.stopped);
  const fs::path out = options_.out;
  EXPECT_EQ(files(out).size(), 1u + 6 + 6 + 12);
  const auto list = nlohmann::json::parse(read_file(out / "rooms.json"));
  EXPECT_EQ(list.at("format"), 1);
  EXPECT_EQ(list.at("seed"), 42);
  EXPECT_EQ(list.at("size"), 48);
  ASSERT_EQ(list.at("rooms").size(), 6u);
  for (const auto& entry : list.at("rooms")) {
    const Room room(42, entry.at("id"), 48);
    EXPECT_EQ(entry.at("paint").get<Rgb>(), room.own_paint());
    EXPECT_EQ(read_image(out / entry.at("image").get<std::string>()).pixels,
              room.render(room.own_paint()).pixels);
    EXPECT_EQ(read_mask(out / entry.at("mask").get<std::string>()).pixels, room.mask().pixels);
    ASSERT_EQ(entry.at("repaints").size(), 2u);
    for (const auto& other : entry.at("repaints")) {
      EXPECT_NE(other.at("paint").get<Rgb>(), room.own_paint());
      EXPECT_EQ(read_image(out / other.at("image").get<std::string>()).pixels,
                room.render(other.at("paint").get<Rgb>()).pixels);
    }
  }
}

TEST_F(Synthesize, TheNumberOfThreadsDoesNotMatter) {
  options_.threads = 1;
  synthesize(options_);
  SynthesizeOptions other = options_;
  other.out = (folder_ / "other").string();
  other.threads = 5;
  synthesize(other);
  EXPECT_EQ(files(options_.out), files(other.out));
}

TEST_F(Synthesize, AForeignFolderIsRefusedAndKept) {
  fs::create_directories(options_.out);
  std::ofstream(fs::path(options_.out) / "letter.txt") << "mine";
  try {
    synthesize(options_);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr(options_.out));
  }
  EXPECT_EQ(files(options_.out).size(), 1u);
}

TEST_F(Synthesize, OtherRoomsAreReplacedOnlyWhenAsked) {
  synthesize(options_);
  const auto before = files(options_.out);
  synthesize(options_);
  EXPECT_EQ(files(options_.out), before) << "equal rooms may be written again";
  options_.count = 3;
  try {
    synthesize(options_);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("overwrite"));
  }
  EXPECT_EQ(files(options_.out), before);
  options_.overwrite = true;
  options_.repaints = 0;
  synthesize(options_);
  EXPECT_EQ(files(options_.out).size(), 1u + 3 + 3) << "nothing of the old rooms is left";
}

TEST_F(Synthesize, AStopEndsItEarlyAndItCanBeRunAgain) {
  options_.count = 40;
  request_stop();
  const SynthesizeReport stopped = synthesize(options_);
  EXPECT_TRUE(stopped.stopped);
  EXPECT_LT(stopped.rooms, 40);
  request_stop(false);
  EXPECT_EQ(synthesize(options_).rooms, 40);
}

TEST_F(Synthesize, AnUnwritableFolderIsNamed) {
  std::ofstream(folder_ / "file") << "x";
  options_.out = (folder_ / "file" / "rooms").string();
  EXPECT_THROW(synthesize(options_), InputError);
}

TEST_F(Synthesize, OptionsAreChecked) {
  const auto read = [](const std::string& text) {
    SynthesizeOptions options;
    config::Document::parse(text, "test.yaml", {}).read_into(options);
    return options;
  };
  const SynthesizeOptions options = read("{out: rooms, count: 7, size: 64, seed: 5, repaints: 1}");
  EXPECT_EQ(options.count, 7);
  EXPECT_EQ(options.size, 64);
  EXPECT_THROW(read("{count: 7}"), ConfigError);
  EXPECT_THROW(read("{out: rooms, size: 1}"), ConfigError);
  EXPECT_THROW(read("{out: rooms, cuont: 1}"), ConfigError);
}

}  // namespace
}  // namespace limewash::data
