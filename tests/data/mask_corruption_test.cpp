#include "data/mask_corruption.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "data/mask.h"
#include "data/room.h"

namespace limewash::data {
namespace {

struct Scene {
  Image photo;
  Mask mask;
};

Scene scene(uint64_t id) {
  const Room room(31, id, 96);
  return {room.render(room.own_paint()), room.mask()};
}

Corruption kind_of(uint32_t number) {
  return static_cast<Corruption>(number);
}

RandomStream stream(uint64_t id) {
  return {5, Purpose::kCorruption, 0, id};
}

Mask columns(int64_t left, int64_t right) {
  Mask mask{4, 10, std::vector<uint8_t>(40)};
  for (int64_t y = 0; y < 4; ++y)
    for (int64_t x = left; x < right; ++x) mask.pixels[static_cast<size_t>(y * 10 + x)] = 255;
  return mask;
}

TEST(MaskIou, IsTheSharedPartOfBoth) {
  EXPECT_DOUBLE_EQ(mask_iou(columns(0, 6), columns(4, 10)), 0.2);
  EXPECT_DOUBLE_EQ(mask_iou(columns(2, 6), columns(2, 6)), 1);
  EXPECT_DOUBLE_EQ(mask_iou(columns(0, 2), columns(5, 7)), 0);
  EXPECT_DOUBLE_EQ(mask_iou(columns(0, 0), columns(0, 0)), 1);
  EXPECT_THROW(mask_iou(columns(0, 1), Mask{1, 1, {0}}), std::invalid_argument);
}

TEST(MaskCorruption, EveryKindReportsItsTrueErrorAndMostComeNearTheOneWanted) {
  std::map<std::string, int> near;
  constexpr int kRooms = 6;
  for (uint64_t id = 0; id < kRooms; ++id) {
    const Scene room = scene(id);
    for (uint32_t i = 1; i < kCorruptions; ++i) {
      const double wanted = 0.85;
      const CorruptedMask made =
          corrupt_mask(room.photo, room.mask, kind_of(i), wanted, stream(id));
      const std::string& name = corruption_name(kind_of(i));
      EXPECT_EQ(made.kind, kind_of(i));
      EXPECT_DOUBLE_EQ(made.iou, mask_iou(made.mask, room.mask)) << name;
      EXPECT_GE(made.iou, 0.2) << name;
      EXPECT_TRUE(std::all_of(made.mask.pixels.begin(), made.mask.pixels.end(), [](uint8_t v) {
        return v == 0 || v == 255;
      })) << name;
      near[name] += std::abs(made.iou - wanted) < 0.05;
    }
  }
  for (const auto& [name, count] : near) EXPECT_GE(count, kRooms / 2) << name;
}

TEST(MaskCorruption, KindsErrInTheDirectionThatTheyAreNamedAfter) {
  const Scene room = scene(3);
  const auto made = [&](Corruption kind) {
    return corrupt_mask(room.photo, room.mask, kind, 0.7, stream(1)).mask;
  };
  const auto only_adds = [&](const Mask& mask) {
    for (size_t i = 0; i < mask.pixels.size(); ++i)
      if (room.mask.pixels[i] != 0 && mask.pixels[i] == 0) return false;
    return count_wall(mask) > count_wall(room.mask);
  };
  const auto only_removes = [&](const Mask& mask) {
    for (size_t i = 0; i < mask.pixels.size(); ++i)
      if (room.mask.pixels[i] == 0 && mask.pixels[i] != 0) return false;
    return count_wall(mask) < count_wall(room.mask);
  };
  for (const Corruption kind :
       {Corruption::kDilation, Corruption::kObjectIncluded, Corruption::kSurfaceIncluded})
    EXPECT_TRUE(only_adds(made(kind))) << corruption_name(kind);
  for (const Corruption kind : {Corruption::kErosion,
                                Corruption::kMissingPieces,
                                Corruption::kMissingRegion,
                                Corruption::kHoles})
    EXPECT_TRUE(only_removes(made(kind))) << corruption_name(kind);
}

TEST(MaskCorruption, DependsOnSeedNumberAndSampleAlone) {
  const Scene room = scene(2);
  const CorruptedMask first = corrupt_mask(room.photo, room.mask, 7, 1, 2);
  const CorruptedMask again = corrupt_mask(room.photo, room.mask, 7, 1, 2);
  EXPECT_EQ(first.kind, again.kind);
  EXPECT_EQ(first.mask.pixels, again.mask.pixels);
  std::set<std::string> different;
  for (uint64_t k = 0; k < 8; ++k) {
    const std::vector<uint8_t> pixels = corrupt_mask(room.photo, room.mask, 7, k, 2).mask.pixels;
    different.emplace(pixels.begin(), pixels.end());
  }
  EXPECT_GE(different.size(), 7u);
}

TEST(MaskCorruption, SpreadsTheErrorEvenlyOverAllKinds) {
  std::map<Corruption, int> kinds;
  std::array<int, 3> thirds{};
  int made = 0;
  for (uint64_t id = 0; id < 10; ++id) {
    const Scene room = scene(id);
    for (uint64_t k = 0; k < 30; ++k) {
      const CorruptedMask wrong = corrupt_mask(room.photo, room.mask, 9, k, id);
      ++kinds[wrong.kind];
      if (wrong.kind == Corruption::kNone) continue;
      ++made;
      ++thirds[wrong.iou < 0.53 ? 0 : wrong.iou < 0.77 ? 1 : 2];
    }
  }
  EXPECT_EQ(kinds.size(), static_cast<size_t>(kCorruptions));
  for (const int third : thirds) EXPECT_NEAR(third, made / 3.0, made / 9.0);
}

TEST(MaskCorruption, TakesMasksWithoutAnyWallOrWithNothingElse) {
  const Scene room = scene(1);
  for (const uint8_t value : {uint8_t{0}, uint8_t{255}}) {
    const Mask flat{96, 96, std::vector<uint8_t>(96 * 96, value)};
    for (uint32_t i = 0; i < kCorruptions; ++i) {
      const CorruptedMask made = corrupt_mask(room.photo, flat, kind_of(i), 0.5, stream(1));
      EXPECT_DOUBLE_EQ(made.iou, mask_iou(made.mask, flat)) << corruption_name(kind_of(i));
    }
  }
}

}  // namespace
}  // namespace limewash::data
