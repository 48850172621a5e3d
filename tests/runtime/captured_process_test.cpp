#include "runtime/captured_process.h"

#include <csignal>

#include <gtest/gtest.h>

namespace limewash {
namespace {

CapturedProcess shell(const std::string& script, double seconds = 20) {
  return run_captured({"sh", "-c", script}, {"ADDED=value", "HOME=/nowhere"}, seconds);
}

TEST(CapturedProcess, KeepsBothStreamsApartAndTheStatus) {
  const auto done = shell("echo answer; echo complaint >&2; exit 3");
  EXPECT_EQ(done.output, "answer\n");
  EXPECT_EQ(done.errors, "complaint\n");
  EXPECT_EQ(done.last_line(), "complaint");
  EXPECT_EQ(done.last_output_line(), "answer");
  EXPECT_EQ(done.status, 3);
  EXPECT_FALSE(done.timed_out);
}

TEST(CapturedProcess, AddsToTheEnvironmentAndGivesNoInput) {
  EXPECT_EQ(shell("echo $ADDED $HOME; cat").output, "value /nowhere\n");
}

TEST(CapturedProcess, AMissingProgramIsStatus127) {
  EXPECT_EQ(run_captured({"no-such-program-anywhere"}, {}, 5).status, 127);
}

TEST(CapturedProcess, ASignalIsSaid) {
  EXPECT_EQ(shell("kill -KILL $$").status, 128 + SIGKILL);
}

TEST(CapturedProcess, AtTheEndOfTheTimeItAndItsChildrenEnd) {
  const auto done = shell("sleep 60 & sleep 60", 0.2);
  EXPECT_TRUE(done.timed_out);
  EXPECT_EQ(done.status, 128 + SIGTERM);
  EXPECT_LT(done.seconds, 10);
}

TEST(CapturedProcess, WhatIgnoresTheSignalIsKilled) {
  const auto done = shell("trap '' TERM; while :; do sleep 0.05; done", 0.3);
  EXPECT_TRUE(done.timed_out);
  EXPECT_EQ(done.status, 128 + SIGKILL);
  EXPECT_LT(done.seconds, 10);
}

TEST(CapturedProcess, MuchOutputNeitherBlocksNorPilesUp) {
  const auto done = shell("head -c 5000000 /dev/zero; echo end >&2");
  EXPECT_EQ(done.status, 0);
  EXPECT_EQ(done.errors, "end\n");
  EXPECT_GE(done.output.size(), size_t{1} << 20);
  EXPECT_LT(done.output.size(), size_t{2} << 20);
}

}  // namespace
}  // namespace limewash
