#include "runtime/random.h"

#include <array>
#include <cmath>
#include <numeric>
#include <set>
#include <stdexcept>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace limewash {
namespace {

using testing::ElementsAre;

// The known answers that the Random123 distribution gives for philox4x32-10.
TEST(Philox, GivesTheKnownAnswers) {
  EXPECT_THAT(philox4x32({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u));
  EXPECT_THAT(
      philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
      ElementsAre(0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu));
  EXPECT_THAT(
      philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      ElementsAre(0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u));
}

// Computed apart from this code, so that no change of layout can alter results unseen.
TEST(RandomStream, KeepsItsValuesForEver) {
  RandomStream words(42, Purpose::kNoise, (uint64_t{3} << 32) + 7, 0x0123456789abcdef);
  std::vector<uint32_t> drawn;
  for (int i = 0; i < 6; ++i) drawn.push_back(words.next_u32());
  EXPECT_THAT(
      drawn,
      ElementsAre(0xd47d7744u, 0x5e1e3b1fu, 0xd495f357u, 0x555454ccu, 0xef15e644u, 0x1632be9cu));
  RandomStream normals(42, Purpose::kNoise, (uint64_t{3} << 32) + 7, 0x0123456789abcdef);
  EXPECT_FLOAT_EQ(normals.normal(), -0.7072107815304478f);
  EXPECT_FLOAT_EQ(normals.normal(), 1.2251968273413651f);
}

TEST(StableId, IsXxh3) {
  EXPECT_EQ(stable_id(""), 0x2d06800538d394c2u);
  EXPECT_NE(stable_id("a.jpg"), stable_id("b.jpg"));
}

TEST(RandomStream, DiffersInEveryPartOfItsKey) {
  std::set<uint64_t> first;
  const auto draw = [&](uint64_t seed, Purpose purpose, uint64_t epoch, uint64_t id) {
    first.insert(RandomStream(seed, purpose, epoch, id).next_u64());
  };
  draw(1, Purpose::kNoise, 2, 3);
  draw(1, Purpose::kDrop, 2, 3);
  draw(2, Purpose::kNoise, 2, 3);
  draw(uint64_t{1} << 40, Purpose::kNoise, 2, 3);
  draw(1, Purpose::kNoise, 3, 3);
  draw(1, Purpose::kNoise, uint64_t{2} << 40, 3);
  draw(1, Purpose::kNoise, 2, 4);
  draw(1, Purpose::kNoise, 2, uint64_t{3} << 40);
  EXPECT_EQ(first.size(), 8u);
  draw(1, Purpose::kNoise, 2, 3);
  EXPECT_EQ(first.size(), 8u);
}

TEST(RandomStream, GoesOnFromTheSamePointWhenCopied) {
  RandomStream stream(1, Purpose::kNoise, 0, 0);
  stream.next_u32();
  stream.normal();
  RandomStream copy = stream;
  for (int i = 0; i < 9; ++i) EXPECT_EQ(stream.normal(), copy.normal());
}

TEST(RandomStream, FillsWithTheNormalsOfSingleDraws) {
  RandomStream filled(5, Purpose::kNoise, 1, 2), single(5, Purpose::kNoise, 1, 2);
  std::vector<float> values(101);
  filled.fill_normal(values);
  for (const float value : values) EXPECT_EQ(value, single.normal());
}

TEST(RandomStream, DrawsUniformsEvenlyWithinTheirBounds) {
  RandomStream stream(7, Purpose::kTimestep, 0, 0);
  constexpr int kDraws = 100000, kCells = 50;
  std::array<int, kCells> cells{};
  for (int i = 0; i < kDraws; ++i) {
    const float value = stream.uniform();
    ASSERT_GE(value, 0.0f);
    ASSERT_LT(value, 1.0f);
    ++cells[static_cast<size_t>(value * kCells)];
  }
  double chi_square = 0;
  for (const int count : cells)
    chi_square += std::pow(count - kDraws / kCells, 2) / (kDraws / kCells);
  EXPECT_LT(chi_square, 85);  // 49 degrees of freedom: exceeded once in 1000
  EXPECT_GT(chi_square, 23);
  for (int i = 0; i < 10000; ++i) {
    const float value = stream.uniform(1.0f, std::nextafter(1.0f, 2.0f));
    ASSERT_EQ(value, 1.0f);
  }
}

TEST(RandomStream, DrawsNormalsWithTheRightMoments) {
  RandomStream stream(7, Purpose::kNoise, 0, 0);
  constexpr int kDraws = 400000;
  double sum = 0, square = 0, cube = 0, fourth = 0, product = 0, last = 0;
  int beyond = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = stream.normal();
    sum += value;
    square += value * value;
    cube += value * value * value;
    fourth += value * value * value * value;
    product += value * last;
    last = value;
    beyond += std::abs(value) > 1.959964;
  }
  EXPECT_NEAR(sum / kDraws, 0, 0.006);
  EXPECT_NEAR(square / kDraws, 1, 0.009);
  EXPECT_NEAR(cube / kDraws, 0, 0.025);
  EXPECT_NEAR(fourth / kDraws, 3, 0.06);
  EXPECT_NEAR(product / kDraws, 0, 0.006);
  EXPECT_NEAR(static_cast<double>(beyond) / kDraws, 0.05, 0.0014);
}

double correlation(RandomStream a, RandomStream b) {
  constexpr int kDraws = 40000;
  double product = 0;
  for (int i = 0; i < kDraws; ++i) product += static_cast<double>(a.normal()) * b.normal();
  return product / kDraws;
}

TEST(RandomStream, IsIndependentOfItsNeighbours) {
  const RandomStream stream(1, Purpose::kNoise, 0, 0);
  constexpr double kFourSigma = 0.02;
  EXPECT_NEAR(correlation(stream, RandomStream(1, Purpose::kDrop, 0, 0)), 0, kFourSigma);
  EXPECT_NEAR(correlation(stream, RandomStream(1, Purpose::kNoise, 1, 0)), 0, kFourSigma);
  EXPECT_NEAR(correlation(stream, RandomStream(1, Purpose::kNoise, 0, 1)), 0, kFourSigma);
  EXPECT_NEAR(correlation(stream, RandomStream(2, Purpose::kNoise, 0, 0)), 0, kFourSigma);
}

TEST(RandomStream, DrawsBelowABoundWithoutBias) {
  RandomStream stream(3, Purpose::kReference, 0, 0);
  std::array<int, 3> counts{};
  for (int i = 0; i < 30000; ++i) ++counts.at(stream.below(3));
  for (const int count : counts) EXPECT_NEAR(count, 10000, 350);
  EXPECT_EQ(stream.below(1), 0u);
  // A modulus alone would fall into the lower half twice as often.
  const uint64_t bound = uint64_t{3} << 62;
  int low = 0;
  for (int i = 0; i < 10000; ++i) low += stream.below(bound) < bound / 2;
  EXPECT_NEAR(low, 5000, 250);
  EXPECT_THROW(stream.below(0), std::invalid_argument);
}

TEST(PermutedIndex, VisitsEveryPlaceOnce) {
  std::vector<uint64_t> sizes(130);
  std::iota(sizes.begin(), sizes.end(), 1);
  sizes.insert(sizes.end(), {1000, 4095, 4096, 4097, 65537});
  for (const uint64_t size : sizes) {
    std::vector<bool> seen(size);
    for (uint64_t i = 0; i < size; ++i) {
      const uint64_t place = permuted_index(42, 3, size, i);
      ASSERT_LT(place, size);
      ASSERT_FALSE(seen[place]) << size;
      seen[place] = true;
    }
  }
}

TEST(PermutedIndex, CoversHugeSizes) {
  std::set<uint64_t> places;
  const uint64_t size = (uint64_t{1} << 63) + 12345;
  for (uint64_t i = 0; i < 1000; ++i) {
    places.insert(permuted_index(1, 1, size, size - 1 - i));
  }
  EXPECT_EQ(places.size(), 1000u);
  EXPECT_LT(*places.rbegin(), size);
  EXPECT_GT(*places.rbegin(), size / 2);
}

TEST(PermutedIndex, GivesAnotherOrderForEachSeedAndEpoch) {
  int same_epoch = 0, same_seed = 0, fixed = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    const uint64_t place = permuted_index(1, 1, 1000, i);
    same_epoch += place == permuted_index(1, 2, 1000, i);
    same_seed += place == permuted_index(2, 1, 1000, i);
    fixed += place == i;
  }
  EXPECT_LT(same_epoch, 10);
  EXPECT_LT(same_seed, 10);
  EXPECT_LT(fixed, 10);
}

TEST(PermutedIndex, SendsAPlaceEverywhereEquallyOften) {
  constexpr uint64_t kSize = 10, kSeeds = 20000;
  for (const uint64_t index : {uint64_t{0}, kSize - 1}) {
    std::array<double, kSize> counts{};
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      ++counts.at(permuted_index(seed, 0, kSize, index));
    }
    double chi_square = 0;
    for (const double count : counts) chi_square += std::pow(count - 2000, 2) / 2000;
    EXPECT_LT(chi_square, 28);  // 9 degrees of freedom: exceeded once in 1000
  }
}

TEST(PermutedIndex, RefusesAnIndexOutside) {
  EXPECT_THROW(permuted_index(1, 1, 5, 5), std::out_of_range);
  EXPECT_THROW(permuted_index(1, 1, 0, 0), std::out_of_range);
}

}  // namespace
}  // namespace limewash
