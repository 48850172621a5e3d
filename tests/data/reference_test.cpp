#include "data/reference.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "data/color.h"
#include "data/dataset.h"
#include "data/recolor.h"
#include "data/room.h"

namespace limewash::data {
namespace {

constexpr Rgb kOwn{0.6f, 0.5f, 0.4f};

RandomStream swatch_stream(uint64_t id = 0) {
  return RandomStream(3, Purpose::kSwatch, 0, id);
}

/// Mean and standard deviation of one channel, in [0, 1].
std::array<double, 2> statistics(const Image& image, size_t channel) {
  double sum = 0, squares = 0;
  const double count = static_cast<double>(image.pixels.size()) / 3;
  for (size_t i = channel; i < image.pixels.size(); i += 3) {
    const double value = image.pixels[i] / 255.0;
    sum += value;
    squares += value * value;
  }
  return {sum / count, std::sqrt(std::max(0.0, squares / count - sum / count * (sum / count)))};
}

Image flat(int64_t size, std::array<uint8_t, 3> color) {
  Image image{size, size, {}};
  for (int64_t i = 0; i < size * size; ++i) {
    image.pixels.insert(image.pixels.end(), color.begin(), color.end());
  }
  return image;
}

Mask full_mask(int64_t size) {
  return {size, size, std::vector<uint8_t>(static_cast<size_t>(size * size), 255)};
}

/// A square of wall in the middle.
Mask square_mask(int64_t size, int64_t margin) {
  Mask mask{size, size, std::vector<uint8_t>(static_cast<size_t>(size * size))};
  for (int64_t y = margin; y < size - margin; ++y) {
    for (int64_t x = margin; x < size - margin; ++x) {
      mask.pixels[static_cast<size_t>(y * size + x)] = 255;
    }
  }
  return mask;
}

TEST(Reference, IsAFunctionOfSeedSampleAndNumber) {
  ReferenceOptions options;
  options.strategy = "random";
  const Reference reference = draw_reference(options, 1, 2, 3, kOwn);
  EXPECT_EQ(reference.color, draw_reference(options, 1, 2, 3, kOwn).color);
  EXPECT_NE(reference.color, draw_reference(options, 2, 2, 3, kOwn).color);
  EXPECT_NE(reference.color, draw_reference(options, 1, 3, 3, kOwn).color);
  EXPECT_NE(reference.color, draw_reference(options, 1, 2, 4, kOwn).color);
}

TEST(Reference, MedianAsksForTheWallsOwnColor) {
  ReferenceOptions options;
  options.strategy = "median";
  for (int64_t k = 0; k < 20; ++k) {
    const Reference reference = draw_reference(options, 1, 2, k, kOwn);
    EXPECT_TRUE(reference.own);
    EXPECT_EQ(reference.color, kOwn);
  }
}

TEST(Reference, RandomColorsFillTheirRange) {
  ReferenceOptions options;
  options.strategy = "random";
  float lowest = 1, highest = 0;
  for (uint64_t id = 0; id < 2000; ++id) {
    const Reference reference = draw_reference(options, 1, id, 0, kOwn);
    EXPECT_FALSE(reference.own);
    for (const float channel : reference.color) {
      EXPECT_GE(channel, 30.0f / 255);
      EXPECT_LE(channel, 240.0f / 255);
      lowest = std::min(lowest, channel);
      highest = std::max(highest, channel);
    }
  }
  EXPECT_LT(lowest, 31.0f / 255);
  EXPECT_GT(highest, 239.0f / 255);
}

TEST(Reference, HybridMixesAtItsProbability) {
  ReferenceOptions options;
  options.random_probability = 0.3;
  int random = 0;
  for (uint64_t id = 0; id < 4000; ++id) random += !draw_reference(options, 1, id, 0, kOwn).own;
  // Four standard deviations of a binomial.
  EXPECT_NEAR(random / 4000.0, 0.3, 0.03);
}

TEST(Swatch, ExactIsTheColorItself) {
  const Image swatch = render_swatch({}, kOwn, 16, swatch_stream(), true);
  for (size_t i = 0; i < swatch.pixels.size(); ++i) {
    EXPECT_EQ(swatch.pixels[i], static_cast<uint8_t>(kOwn[i % 3] * 255 + 0.5f));
  }
}

TEST(Swatch, NoiseHasItsSigma) {
  ReferenceOptions options;
  options.gradient = 0;
  const Image swatch = render_swatch(options, kOwn, 128, swatch_stream());
  for (size_t c = 0; c < 3; ++c) {
    const auto [mean, deviation] = statistics(swatch, c);
    EXPECT_NEAR(mean, kOwn[c], 0.002);
    EXPECT_NEAR(deviation, 8.0 / 255, 0.001);
  }
}

TEST(Swatch, LightFallsFromOneSideToTheOther) {
  ReferenceOptions options;
  options.noise = 0;
  options.gradient = 0.1;
  std::set<int> corners;
  for (uint64_t id = 0; id < 8; ++id) {
    const Image swatch = render_swatch(options, {0.6f, 0.6f, 0.6f}, 65, swatch_stream(id));
    const auto [low, high] = std::minmax_element(swatch.pixels.begin(), swatch.pixels.end());
    const float base = srgb_to_linear(0.6f);
    EXPECT_NEAR(srgb_to_linear(*high / 255.0f) / base, 1.1, 0.02);
    EXPECT_NEAR(srgb_to_linear(*low / 255.0f) / base, 0.9, 0.02);
    corners.insert(swatch.pixels.front() + 256 * swatch.pixels[3 * 64]);
  }
  EXPECT_GT(corners.size(), 4u) << "the direction is drawn";
}

TEST(Reference, JitterMovesTheOwnColorThatIsAskedFor) {
  ReferenceOptions options;
  options.strategy = "median";
  options.jitter = 15;
  const Rgb grey{0.5f, 0.5f, 0.5f};
  const Lab from = rgb_to_lab(grey);
  double farthest = 0;
  for (uint64_t id = 0; id < 50; ++id) {
    const Reference reference = draw_reference(options, 1, id, 0, grey);
    EXPECT_FALSE(reference.own) << "the target is repainted to the moved colour";
    EXPECT_EQ(reference.color, draw_reference(options, 1, id, 0, grey).color);
    const Lab lab = rgb_to_lab(reference.color);
    for (size_t axis = 0; axis < 3; ++axis) {
      EXPECT_LE(std::abs(lab[axis] - from[axis]), 15.01);
      farthest = std::max<double>(farthest, std::abs(lab[axis] - from[axis]));
    }
  }
  EXPECT_GT(farthest, 13);
}

TEST(Reference, JitterLeavesRandomColorsAndTheSwatchAlone) {
  ReferenceOptions plain, moved;
  plain.strategy = moved.strategy = "random";
  moved.jitter = 15;
  EXPECT_EQ(draw_reference(plain, 1, 2, 3, kOwn).color, draw_reference(moved, 1, 2, 3, kOwn).color);
  EXPECT_EQ(render_swatch(plain, kOwn, 16, swatch_stream()).pixels,
            render_swatch(moved, kOwn, 16, swatch_stream()).pixels);
}

TEST(Reference, EachStrategyMeasuresTheOwnColorInItsWay) {
  // A wall three fifths of which are dark, with a bright and a brighter part.
  Sample sample;
  sample.image = flat(10, {100, 80, 60});
  sample.mask = sample.core = full_mask(10);
  for (size_t i = 60; i < 100; ++i)
    for (size_t c = 0; c < 3; ++c)
      sample.image.pixels[3 * i + c] = static_cast<uint8_t>(i < 80 ? 180 : 220);
  SampleInfo info;
  info.color = {0.1f, 0.2f, 0.3f};
  const auto own = [&](const char* strategy) {
    ReferenceOptions options;
    options.strategy = strategy;
    return own_color(options, 42, info, sample);
  };
  EXPECT_EQ(own("random"), info.color);
  EXPECT_EQ(own("hybrid"), info.color);
  EXPECT_EQ(own("median"), (Rgb{100 / 255.0f, 80 / 255.0f, 60 / 255.0f}));
  EXPECT_GT(own("mean")[0], 120 / 255.0f);
  EXPECT_NEAR(own("kmeans")[0], 100 / 255.0, 1e-3);
  EXPECT_NEAR(own("kmeans")[2], 60 / 255.0, 1e-3);
}

TEST(Recolor, AFlatWallTakesTheNewColor) {
  const std::array<uint8_t, 3> old_color{150, 120, 90};
  const Rgb from{150 / 255.0f, 120 / 255.0f, 90 / 255.0f};
  for (const Rgb& to : {Rgb{0.2f, 0.5f, 0.7f}, Rgb{0.9f, 0.9f, 0.85f}, Rgb{0.2f, 0.1f, 0.1f}}) {
    const Image photo = flat(16, old_color);
    for (const Image& result : {recolor(photo, full_mask(16), from, to),
                                recolor_lab_shift(photo, full_mask(16), from, to)}) {
      for (size_t c = 0; c < 3; ++c) EXPECT_NEAR(result.pixels[c] / 255.0, to[c], 0.006);
    }
  }
}

TEST(Recolor, TheRestStaysByteForByte) {
  const Image photo = flat(24, {150, 120, 90});
  const Mask mask = square_mask(24, 6);
  const Image result = recolor(photo, mask, {0.59f, 0.47f, 0.35f}, {0.2f, 0.4f, 0.8f});
  for (size_t i = 0; i < mask.pixels.size(); ++i) {
    const bool same =
        std::equal(&photo.pixels[3 * i], &photo.pixels[3 * i] + 3, &result.pixels[3 * i]);
    EXPECT_EQ(same, mask.pixels[i] == 0);
  }
}

TEST(Recolor, OnlyTheWallsShareOfAnEdgePixelChanges) {
  // A dark object to the left of the wall; the column between them is 70 % wall.
  const float object = 0.02f, wall = srgb_to_linear(0.5f), new_wall = srgb_to_linear(0.8f);
  const auto byte = [](float linear) {
    return static_cast<uint8_t>(linear_to_srgb(linear) * 255 + 0.5f);
  };
  Image photo{12, 12, {}};
  Mask mask{12, 12, {}};
  for (int64_t i = 0; i < 144; ++i) {
    const int64_t column = i % 12;
    const float share = column < 5 ? 0.0f : column > 5 ? 1.0f : 0.7f;
    photo.pixels.insert(photo.pixels.end(), 3, byte(object + share * (wall - object)));
    mask.pixels.push_back(share > 0.5f ? 255 : 0);
  }
  const Image result = recolor(photo, mask, {0.5f, 0.5f, 0.5f}, {0.8f, 0.8f, 0.8f});
  for (int64_t row = 0; row < 12; ++row) {
    const auto at = static_cast<size_t>(3 * (row * 12 + 5));
    EXPECT_NEAR(result.pixels[at], byte(object + 0.7f * (new_wall - object)), 3);
    EXPECT_NEAR(result.pixels[at + 3], 204, 1);
  }
}

TEST(Recolor, HighlightsStayWhite) {
  Image photo = flat(9, {90, 60, 60});
  for (size_t c = 0; c < 3; ++c) photo.pixels[3 * 40 + c] = 252;
  const Image result =
      recolor(photo, full_mask(9), {90 / 255.0f, 60 / 255.0f, 60 / 255.0f}, {0.1f, 0.2f, 0.5f});
  for (size_t c = 0; c < 3; ++c) EXPECT_GT(result.pixels[3 * 40 + c], 240);
  EXPECT_LT(result.pixels[0], 30);
}

TEST(Recolor, OverflowKeepsTheHue) {
  // A bright spot on a wall that becomes bright orange: red overflows first.
  Image photo = flat(9, {100, 100, 100});
  for (size_t c = 0; c < 3; ++c) photo.pixels[3 * 40 + c] = 130;
  const Rgb to{0.95f, 0.55f, 0.2f};
  const Image result = recolor(photo, full_mask(9), {100 / 255.0f, 100 / 255.0f, 100 / 255.0f}, to);
  const uint8_t* spot = &result.pixels[3 * 40];
  EXPECT_GE(spot[0], 250);
  const auto hue_error = [&](const Rgb& rgb) {
    const Lab lab = rgb_to_lab(rgb), asked = rgb_to_lab(to);
    return std::abs(std::atan2(lab[2], lab[1]) - std::atan2(asked[2], asked[1]));
  };
  const float light = srgb_to_linear(130 / 255.0f) / srgb_to_linear(100 / 255.0f);
  Rgb clipped;
  for (size_t c = 0; c < 3; ++c) clipped[c] = linear_to_srgb(light * srgb_to_linear(to[c]));
  EXPECT_LT(hue_error({spot[0] / 255.0f, spot[1] / 255.0f, spot[2] / 255.0f}), hue_error(clipped));
}

TEST(Recolor, DarkChannelsDoNotExplode) {
  // A saturated wall with hardly any blue, and noise of two bytes in it.
  Image photo = flat(16, {200, 60, 3});
  for (size_t i = 2; i < photo.pixels.size(); i += 6) photo.pixels[i] = 6;
  const Image result =
      recolor(photo, full_mask(16), {200 / 255.0f, 60 / 255.0f, 4 / 255.0f}, {0.5f, 0.5f, 0.7f});
  for (size_t i = 2; i < result.pixels.size(); i += 3) EXPECT_NEAR(result.pixels[i], 178, 8);
}

/// Mean over rooms and paints of the mean per-pixel difference from the exact repaint.
template <class Method>
double error_on_rooms(const Method& method, uint64_t rooms) {
  double total = 0;
  for (uint64_t id = 0; id < rooms; ++id) {
    const Room room(11, id, 128);
    const Rgb from = room.own_paint(), to = draw_paint(RandomStream(11, Purpose::kPaint, 1, id));
    const Image result = method(room.render(from), room.mask(), from, to), exact = room.render(to);
    double sum = 0, count = 0;
    for (size_t i = 0; i < room.mask().pixels.size(); ++i) {
      if (!room.mask().pixels[i]) continue;
      const auto lab = [&](const Image& image) {
        const uint8_t* p = &image.pixels[3 * i];
        return rgb_to_lab({p[0] / 255.0f, p[1] / 255.0f, p[2] / 255.0f});
      };
      sum += delta_e_2000(lab(result), lab(exact));
      ++count;
    }
    total += sum / count;
  }
  return total / static_cast<double>(rooms);
}

TEST(Recolor, IsTheMethodThatComesCloserToTheExactRepaint) {
  const double chosen = error_on_rooms(recolor, 50);
  const double ratio = error_on_rooms(recolor_linear_ratio, 50);
  const double shift = error_on_rooms(recolor_lab_shift, 50);
  RecordProperty("delta_e_2000_linear_ratio", std::to_string(ratio));
  RecordProperty("delta_e_2000_lab_shift", std::to_string(shift));
  std::printf(
      "mean dE2000 to the exact repaint: linear ratio %.3f, Lab shift %.3f\n", ratio, shift);
  EXPECT_DOUBLE_EQ(chosen, std::min(ratio, shift));
  EXPECT_LT(chosen, 1.5);
}

TEST(Hole, IsTheMaskGrownByItsMargin) {
  ReferenceOptions options;
  options.hole_margin = 2;
  const Mask mask = square_mask(20, 8), hole = hole_mask(options, mask);
  for (int64_t y = 0; y < 20; ++y) {
    for (int64_t x = 0; x < 20; ++x) {
      const auto at = static_cast<size_t>(y * 20 + x);
      const int64_t out_x = std::max<int64_t>({0, 8 - x, x - 11});
      const int64_t out_y = std::max<int64_t>({0, 8 - y, y - 11});
      if (out_x + out_y <= 2) {
        EXPECT_EQ(hole.pixels[at], 255) << y << ' ' << x;
      }
      if (std::max(out_x, out_y) > 2) {
        EXPECT_EQ(hole.pixels[at], 0) << y << ' ' << x;
      }
    }
  }
  options.hole_margin = 0;
  EXPECT_EQ(hole_mask(options, mask).pixels, mask.pixels);
}

TEST(Hole, EmptyIsGreyAndTheRestIsThePhoto) {
  ReferenceOptions options;
  options.hole = "empty";
  const Image photo = flat(20, {200, 50, 10});
  const Mask mask = square_mask(20, 8), hole = hole_mask(options, mask);
  const Image filled = fill_hole(options, photo, mask);
  for (size_t i = 0; i < hole.pixels.size(); ++i) {
    for (size_t c = 0; c < 3; ++c) {
      EXPECT_EQ(filled.pixels[3 * i + c], hole.pixels[i] ? 128 : photo.pixels[3 * i + c]);
    }
  }
}

TEST(Hole, ShadingHidesTheColorAndKeepsTheLight) {
  ReferenceOptions options;
  const Room room(11, 4, 128);
  const Image one = fill_hole(options, room.render({0.7f, 0.6f, 0.5f}), room.mask());
  const Image two = fill_hole(options, room.render({0.3f, 0.45f, 0.5f}), room.mask());
  std::vector<uint8_t> values;
  double difference = 0;
  for (size_t i = 0; i < room.coverage().size(); ++i) {
    if (room.coverage()[i] < 1) continue;
    const uint8_t* a = &one.pixels[3 * i];
    EXPECT_EQ(a[0], a[1]);
    EXPECT_EQ(a[1], a[2]);
    values.push_back(a[0]);
    difference += std::abs(a[0] - two.pixels[3 * i]);
  }
  std::sort(values.begin(), values.end());
  EXPECT_NEAR(values[values.size() / 2], 128, 2);
  EXPECT_GT(values[values.size() * 95 / 100] - values[values.size() * 5 / 100], 8)
      << "light is there";
  EXPECT_LT(difference / static_cast<double>(values.size()), 3)
      << "two paints leave nearly equal holes";
}

TEST(Hole, AnEmptyMaskLeavesThePhoto) {
  const Image photo = flat(12, {1, 2, 3});
  const Mask none{12, 12, std::vector<uint8_t>(144)};
  EXPECT_EQ(fill_hole({}, photo, none).pixels, photo.pixels);
}

TEST(Hole, ABlackWallIsNoDivisionByNothing) {
  const Image filled = fill_hole({}, flat(12, {0, 0, 0}), full_mask(12));
  EXPECT_EQ(filled.pixels, flat(12, {128, 128, 128}).pixels);
}

}  // namespace
}  // namespace limewash::data
