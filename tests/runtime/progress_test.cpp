#include "runtime/progress.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace limewash {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Under a test runner stderr is no terminal, so these are the plain lines.
TEST(ProgressLines, EndWithCountsRateAndNote) {
  testing::internal::CaptureStderr();
  {
    Progress progress("rendering", 4, "rooms", true);
    for (int i = 0; i < 4; ++i) progress.advance(1, "room " + std::to_string(i));
    progress.finish();
    progress.finish();
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_THAT(text,
              AllOf(HasSubstr("rendering: 4/4 rooms"), HasSubstr("rooms/s"), HasSubstr("room 3")));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST(ProgressLines, CountWhatWasDoneBeforeButNotInTheRate) {
  testing::internal::CaptureStderr();
  Progress(std::string("training"), 10, "steps", true, 6).finish();
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("training: 6/10 steps, took 0:00"));
}

TEST(ProgressLines, AreSilentOnOtherRanks) {
  testing::internal::CaptureStderr();
  {
    Progress progress("training", 10, "steps", false);
    progress.advance(10);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace limewash
