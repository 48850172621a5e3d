#include "data/room.h"

#include <algorithm>
#include <cmath>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace limewash::data {
namespace {

constexpr uint64_t kSeed = 7;

Rgb median_color(const Image& image, const Mask& mask) {
  Rgb color{};
  for (size_t c = 0; c < 3; ++c) {
    std::vector<uint8_t> values;
    for (size_t i = 0; i < mask.pixels.size(); ++i) {
      if (mask.pixels[i]) values.push_back(image.pixels[3 * i + c]);
    }
    std::nth_element(values.begin(),
                     values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                     values.end());
    color[c] = static_cast<float>(values[values.size() / 2]) / 255;
  }
  return color;
}

double wall_share(const Mask& mask) {
  const auto wall = std::count(mask.pixels.begin(), mask.pixels.end(), uint8_t{255});
  return static_cast<double>(wall) / static_cast<double>(mask.pixels.size());
}

TEST(Room, RepaintingChangesTheWallAndNothingElse) {
  for (uint64_t id = 0; id < 12; ++id) {
    const Room room(kSeed, id, 96);
    const Image light = room.render({0.85f, 0.8f, 0.75f}), dark = room.render({0.2f, 0.25f, 0.4f});
    size_t untouched = 0, wall_changed = 0, wall = 0;
    for (size_t i = 0; i < room.coverage().size(); ++i) {
      const bool same =
          std::equal(&light.pixels[3 * i], &light.pixels[3 * i] + 3, &dark.pixels[3 * i]);
      if (room.coverage()[i] == 0) {
        ASSERT_TRUE(same) << "room " << id << " pixel " << i;
        ++untouched;
      } else if (room.mask().pixels[i]) {
        ++wall;
        wall_changed += !same;
      }
    }
    EXPECT_GT(untouched, 0u);
    EXPECT_EQ(wall_changed, wall) << "room " << id;
  }
}

TEST(Room, RepaintingIsAffineInLinearLight) {
  // The unclipped part of the wall: paint times light, so the two ratios agree up to noise and
  // rounding.
  const Room room(kSeed, 3, 128);
  const Rgb first{0.55f, 0.5f, 0.45f}, second{0.4f, 0.6f, 0.5f};
  const Image one = room.render(first), two = room.render(second);
  int compared = 0;
  for (size_t i = 0; i < room.coverage().size(); ++i) {
    if (room.coverage()[i] < 1) continue;
    for (size_t c = 0; c < 3; ++c) {
      const float a = static_cast<float>(one.pixels[3 * i + c]) / 255;
      const float b = static_cast<float>(two.pixels[3 * i + c]) / 255;
      const float light = srgb_to_linear(a) / srgb_to_linear(first[c]);
      const float expected = linear_to_srgb(light * srgb_to_linear(second[c]));
      EXPECT_NEAR(b, expected, 0.02);
      ++compared;
    }
  }
  EXPECT_GT(compared, 1000);
}

TEST(Room, TheMaskIsWhereTheWallCoversMoreThanHalf) {
  const Room room(kSeed, 5, 128);
  int partly = 0;
  for (size_t i = 0; i < room.coverage().size(); ++i) {
    ASSERT_GE(room.coverage()[i], 0);
    ASSERT_LE(room.coverage()[i], 1);
    EXPECT_EQ(room.mask().pixels[i] == 255, room.coverage()[i] > 0.5f);
    partly += room.coverage()[i] > 0 && room.coverage()[i] < 1;
  }
  EXPECT_GT(partly, 20) << "edges are to be anti-aliased";
}

TEST(Room, TheSameRoomComesOutOfAnyThread) {
  constexpr uint64_t kRooms = 8;
  std::vector<Image> alone(kRooms), together(kRooms);
  std::vector<Mask> masks(kRooms);
  for (uint64_t id = 0; id < kRooms; ++id) {
    const Room room(kSeed, id, 64);
    alone[id] = room.render(room.own_paint());
    masks[id] = room.mask();
  }
  std::vector<std::thread> threads;
  for (uint64_t id = 0; id < kRooms; ++id) {
    threads.emplace_back([&, id] {
      const Room room(kSeed, id, 64);
      together[id] = room.render(room.own_paint());
      masks[id] = room.mask();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint64_t id = 0; id < kRooms; ++id) {
    EXPECT_EQ(alone[id].pixels, together[id].pixels);
    EXPECT_EQ(masks[id].pixels, Room(kSeed, id, 64).mask().pixels);
  }
}

TEST(Room, SeedAndIdMakeAnotherRoom) {
  const Rgb paint{0.5f, 0.5f, 0.5f};
  const Image room = Room(kSeed, 1, 64).render(paint);
  EXPECT_NE(room.pixels, Room(kSeed, 2, 64).render(paint).pixels);
  EXPECT_NE(room.pixels, Room(kSeed + 1, 1, 64).render(paint).pixels);
}

TEST(Room, TheMedianOfAPaintedWallIsThePaint) {
  for (uint64_t id = 0; id < 40; ++id) {
    const Room room(kSeed, id, 128);
    const Rgb paint = room.own_paint();
    const Rgb median = median_color(room.render(paint), room.mask());
    EXPECT_LT(delta_e_2000(rgb_to_lab(median), rgb_to_lab(paint)), 1.0) << "room " << id;
  }
}

TEST(Room, ShowsSomeWallAndSomethingElse) {
  for (uint64_t id = 0; id < 200; ++id) {
    const double share = wall_share(Room(kSeed, id, 64).mask());
    EXPECT_GE(share, 0.12) << "room " << id;
    EXPECT_LE(share, 0.85) << "room " << id;
  }
}

TEST(Room, ASmallerPictureShowsTheSameRoom) {
  for (uint64_t id = 0; id < 6; ++id) {
    const Mask large = Room(kSeed, id, 256).mask(), small = Room(kSeed, id, 128).mask();
    int different = 0;
    for (int64_t y = 0; y < 128; ++y) {
      for (int64_t x = 0; x < 128; ++x) {
        const auto at = static_cast<size_t>(2 * y * 256 + 2 * x);
        const int votes = (large.pixels[at] != 0) + (large.pixels[at + 1] != 0) +
                          (large.pixels[at + 256] != 0) + (large.pixels[at + 257] != 0);
        const bool wall = small.pixels[static_cast<size_t>(y * 128 + x)] != 0;
        different += (wall && votes == 0) || (!wall && votes == 4);
      }
    }
    EXPECT_LT(different, 128 * 128 / 200) << "room " << id;
  }
}

TEST(Room, LightVariesOverTheWall) {
  // A flat wall would teach a network nothing about light.
  for (uint64_t id = 0; id < 12; ++id) {
    const Room room(kSeed, id, 96);
    const Image image = room.render({0.6f, 0.6f, 0.6f});
    std::vector<uint8_t> values;
    for (size_t i = 0; i < room.coverage().size(); ++i) {
      if (room.coverage()[i] == 1) values.push_back(image.pixels[3 * i + 1]);
    }
    std::sort(values.begin(), values.end());
    const int spread = values[values.size() * 95 / 100] - values[values.size() * 5 / 100];
    EXPECT_GE(spread, 6) << "room " << id;
  }
}

TEST(Room, PaintsAreBroadAndPlausible) {
  double lightest = 0, darkest = 100, most_chroma = 0;
  for (uint64_t id = 0; id < 500; ++id) {
    const Lab lab = rgb_to_lab(draw_paint(RandomStream(kSeed, Purpose::kPaint, 0, id)));
    const double chroma = std::hypot(lab[1], lab[2]);
    EXPECT_GE(lab[0], 34);
    EXPECT_LE(lab[0], 93);
    EXPECT_LE(chroma, 66);
    lightest = std::max<double>(lightest, lab[0]);
    darkest = std::min<double>(darkest, lab[0]);
    most_chroma = std::max(most_chroma, chroma);
  }
  EXPECT_GT(lightest, 88);
  EXPECT_LT(darkest, 40);
  EXPECT_GT(most_chroma, 50);
}

TEST(Room, RefusesASizeOfNothing) {
  EXPECT_THROW(Room(kSeed, 0, 0), std::invalid_argument);
}

}  // namespace
}  // namespace limewash::data
