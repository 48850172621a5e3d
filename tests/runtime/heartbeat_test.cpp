#include "runtime/heartbeat.h"

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "runtime/progress.h"

namespace limewash {
namespace {

namespace fs = std::filesystem;

class HeartbeatTest : public testing::Test {
 protected:
  void TearDown() override {
    set_heartbeat_file("");
    fs::remove(file_);
  }
  fs::path file_ = fs::temp_directory_path() / ("limewash-heartbeat-" + std::to_string(::getpid()));
};

TEST_F(HeartbeatTest, ALoopWithProgressTouchesTheFileAtMostOnceASecond) {
  heartbeat();
  EXPECT_FALSE(fs::exists(file_));
  set_heartbeat_file(file_);
  Progress progress("work", 10, "steps", false);
  progress.advance();
  ASSERT_TRUE(fs::exists(file_));
  const auto first = fs::last_write_time(file_);
  progress.advance();
  EXPECT_EQ(fs::last_write_time(file_), first);
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  EXPECT_EQ(fs::last_write_time(file_), first);
  progress.advance();
  EXPECT_GT(fs::last_write_time(file_), first);
}

TEST_F(HeartbeatTest, AFolderThatIsGoneIsNoError) {
  set_heartbeat_file(file_ / "gone");
  heartbeat();
  EXPECT_FALSE(fs::exists(file_));
}

}  // namespace
}  // namespace limewash
