#include "data/bucket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/prepare_options.h"
#include "runtime/error.h"

namespace limewash::data {
namespace {

using testing::HasSubstr;

std::string config_error(const std::vector<std::string>& buckets) {
  PrepareOptions options;
  options.buckets = buckets;
  try {
    options.validate();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no ConfigError was thrown";
}

TEST(Bucket, SizesAreWidthTimesHeight) {
  EXPECT_EQ(parse_bucket("768x512"), (SampleSize{512, 768}));
  EXPECT_EQ(sample_sizes({}, 256), (std::vector<SampleSize>{{256, 256}}));
  EXPECT_EQ(sample_sizes({"512x512", "640x448"}, 256),
            (std::vector<SampleSize>{{512, 512}, {448, 640}}));
}

TEST(Bucket, WhatIsNoSizeIsRefusedByName) {
  for (const char* text : {"",
                           "x",
                           "512",
                           "512x",
                           "x512",
                           "512x510",
                           "8x512",
                           "512x4104",
                           "-512x512",
                           "512x512x512",
                           "512 x 512",
                           "512X512",
                           "0x512",
                           "99999999999999999999x512"})
    EXPECT_THAT(config_error({"512x512", text}),
                HasSubstr("prepare.buckets: \"" + std::string(text) + "\" is no WIDTHxHEIGHT"));
  EXPECT_THAT(config_error({"512x640", "640x512", "512x640"}),
              HasSubstr("prepare.buckets: \"512x640\" is listed twice"));
  EXPECT_EQ(config_error({"512x640", "640x512"}), "no ConfigError was thrown");
}

TEST(Bucket, TheNearestAspectRatioIsTaken) {
  const std::vector<SampleSize> sizes{{512, 512}, {512, 768}, {768, 512}};
  EXPECT_EQ(nearest_size(sizes, 1000, 1100), sizes[0]);
  EXPECT_EQ(nearest_size(sizes, 1000, 1500), sizes[1]);
  EXPECT_EQ(nearest_size(sizes, 1000, 9000), sizes[1]);
  EXPECT_EQ(nearest_size(sizes, 1500, 1000), sizes[2]);
  // The border between 1 and 3 / 2 is at the root of 3 / 2: 1.2247.
  EXPECT_EQ(nearest_size(sizes, 10000, 12247), sizes[0]);
  EXPECT_EQ(nearest_size(sizes, 10000, 12248), sizes[1]);
}

TEST(Bucket, OfEquallyNearOnesTheFirstIsTaken) {
  const std::vector<SampleSize> wide_first{{512, 768}, {768, 512}},
      tall_first{{768, 512}, {512, 768}};
  EXPECT_EQ(nearest_size(wide_first, 1000, 1000), wide_first[0]);
  EXPECT_EQ(nearest_size(tall_first, 1000, 1000), tall_first[0]);
}

}  // namespace
}  // namespace limewash::data
