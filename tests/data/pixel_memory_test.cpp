#include "data/pixel_memory.h"

#include <gtest/gtest.h>

namespace limewash::data {
namespace {

TEST(PixelMemory, IsUsedAgainForPicturesOfAboutThatSize) {
  auto memory = take_pixel_memory(1000);
  EXPECT_EQ(memory.size(), 1000u);
  const uint8_t* place = memory.data();
  keep_pixel_memory(std::move(memory));
  auto smaller = take_pixel_memory(900);
  EXPECT_EQ(smaller.data(), place);
  EXPECT_EQ(smaller.size(), 900u);
  keep_pixel_memory(std::move(smaller));
  EXPECT_NE(take_pixel_memory(100).data(), place) << "too large to be held by so little";
  EXPECT_EQ(take_pixel_memory(1000).size(), 1000u);
}

TEST(PixelMemory, AThreadKeepsLittle) {
  for (int i = 0; i < 100; ++i) keep_pixel_memory(std::vector<uint8_t>(size_t{20} << 20));
  // What is kept has capacity; what is new is as large as asked for.
  int kept = 0;
  std::vector<std::vector<uint8_t>> taken;
  for (int i = 0; i < 10; ++i) {
    taken.push_back(take_pixel_memory(size_t{15} << 20));
    if (taken.back().capacity() == size_t{20} << 20) ++kept;
  }
  EXPECT_EQ(kept, 3) << "64 MiB in all";
  keep_pixel_memory(std::vector<uint8_t>(size_t{100} << 20));
  EXPECT_EQ(take_pixel_memory(size_t{90} << 20).capacity(), size_t{90} << 20)
      << "too large to keep";
}

}  // namespace
}  // namespace limewash::data
