#include "runtime/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "runtime/error.h"

namespace limewash {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string logged(const std::string& level, int rank, int world_size) {
  testing::internal::CaptureStderr();
  configure_logging(level, rank, world_size);
  spdlog::debug("loaded {}", 1);
  spdlog::info("step {}", 2);
  spdlog::warn("slow {}", 3);
  const std::string text = testing::internal::GetCapturedStderr();
  configure_logging("info");
  return text;
}

TEST(Log, ShowsTheLevelsFromTheChosenOneOn) {
  EXPECT_THAT(logged("debug", 0, 1),
              AllOf(HasSubstr("loaded 1"), HasSubstr("step 2"), HasSubstr("slow 3")));
  EXPECT_THAT(logged("info", 0, 1),
              AllOf(Not(HasSubstr("loaded")), HasSubstr("step 2"), Not(HasSubstr("rank"))));
  EXPECT_EQ(logged("error", 0, 1), "");
}

TEST(Log, NamesTheRankAndKeepsOtherRanksToWarnings) {
  EXPECT_THAT(logged("info", 0, 2), HasSubstr("[rank 0/2] step 2"));
  EXPECT_THAT(logged("debug", 1, 2), AllOf(Not(HasSubstr("step")), HasSubstr("[rank 1/2] slow 3")));
}

TEST(Log, RefusesAnUnknownLevel) {
  EXPECT_THROW(configure_logging("loud"), ConfigError);
}

}  // namespace
}  // namespace limewash
