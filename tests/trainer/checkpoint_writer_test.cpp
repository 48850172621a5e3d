#include "trainer/checkpoint_writer.h"

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include <gtest/gtest.h>

#include "runtime/error.h"

namespace limewash::trainer {
namespace {

TEST(CheckpointWriter, WritesWhileTheCallerGoesOn) {
  std::promise<void> may_end;
  std::atomic<bool> written = false;
  CheckpointWriter writer;
  writer.start([&, ready = may_end.get_future().share()] {
    ready.wait();
    written = true;
  });
  writer.check();  // never waits: otherwise this test would not end
  EXPECT_FALSE(written);
  may_end.set_value();
  writer.wait();
  EXPECT_TRUE(written);
}

TEST(CheckpointWriter, OneWaitsForTheOneBefore) {
  CheckpointWriter writer;
  std::atomic<int> under_way = 0, most = 0, count = 0;
  for (int i = 0; i < 5; ++i) {
    writer.start([&] {
      most = std::max<int>(most, ++under_way);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      --under_way;
      ++count;
    });
  }
  writer.wait();
  EXPECT_EQ(count, 5);
  EXPECT_EQ(most, 1);
}

TEST(CheckpointWriter, TellsAFailureOnceAtTheNextCall) {
  const auto fail = [] { throw InputError("runs/a/checkpoints: no space left"); };
  CheckpointWriter writer;
  writer.start(fail);
  EXPECT_THROW(writer.start([] {}), InputError);
  writer.start([] {});
  writer.wait();
  writer.start(fail);
  EXPECT_THROW(
      for (int i = 0; i < 10'000; ++i) {
        writer.check();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      },
      InputError);
  writer.check();
}

TEST(CheckpointWriter, WaitsForItsWriteWhenItGoesAway) {
  std::atomic<bool> written = false;
  {
    CheckpointWriter writer;
    writer.start([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      written = true;
    });
  }
  EXPECT_TRUE(written);
}

}  // namespace
}  // namespace limewash::trainer
