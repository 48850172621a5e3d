#include "eval/edge_error.h"

#include <algorithm>
#include <array>

#include <gmock/gmock.h>

namespace limewash::eval {
namespace {

/// 12 x 12 with a wall of 6 x 6 from (3, 3).
data::Mask small_wall() {
  data::Mask mask{12, 12, std::vector<uint8_t>(144, 0)};
  for (int64_t y = 3; y < 9; ++y)
    for (int64_t x = 3; x < 9; ++x) mask.pixels[y * 12 + x] = 255;
  return mask;
}

data::Image flat(std::array<uint8_t, 3> color) {
  data::Image image{12, 12, {}};
  for (int i = 0; i < 144; ++i) image.pixels.insert(image.pixels.end(), color.begin(), color.end());
  return image;
}

TEST(EdgeBand, LiesOnBothSidesOfTheEdge) {
  const Pixels band = edge_band(small_wall(), 1);
  // 8 x 8 around the wall without it, and the wall without its inner 4 x 4.
  EXPECT_EQ(band.size(), 64u - 36u + 36u - 16u);
  EXPECT_TRUE(std::is_sorted(band.begin(), band.end()));
  EXPECT_THAT(band, ::testing::Contains(3 * 12 + 3));
  EXPECT_THAT(band, ::testing::Contains(2 * 12 + 2));
  EXPECT_THAT(band, ::testing::Not(::testing::Contains(4 * 12 + 4)));
}

TEST(EdgeError, SeesTheBandAndNothingElse) {
  const data::Image exact = flat({120, 60, 200});
  data::Image painted = exact;
  const LabImage target = to_lab(exact);
  EXPECT_EQ(edge_error(target, target, small_wall()), 0.0);
  painted.pixels[0] = 0;  // a corner of the photo is 3 away: in the band of the wall's corner
  const double corner = *edge_error(to_lab(painted), target, small_wall());
  const LabImage lab = to_lab(painted);
  EXPECT_NEAR(corner,
              data::delta_e_2000(lab.pixels[0], target.pixels[0]) /
                  static_cast<double>(edge_band(small_wall()).size()),
              1e-9);
  data::Mask far = small_wall();
  far.pixels.assign(144, 0);
  far.pixels[143] = 255;
  EXPECT_EQ(edge_error(to_lab(painted), target, far), 0.0);
}

TEST(EdgeError, IsMissingWithoutAnEdge) {
  const LabImage image = to_lab(flat({1, 2, 3}));
  EXPECT_EQ(edge_error(image, image, {12, 12, std::vector<uint8_t>(144, 0)}), std::nullopt);
  EXPECT_EQ(edge_error(image, image, {12, 12, std::vector<uint8_t>(144, 255)}), std::nullopt);
}

}  // namespace
}  // namespace limewash::eval
