#include "runtime/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <string>

#include <xxhash.h>

namespace limewash {

namespace {

uint32_t low_word(uint64_t value) {
  return static_cast<uint32_t>(value);
}

uint32_t high_word(uint64_t value) {
  return static_cast<uint32_t>(value >> 32);
}

uint64_t join(uint32_t low, uint32_t high) {
  return (uint64_t{high} << 32) | low;
}

// Seed, purpose and epoch are 160 bits and the key holds 64, so they are hashed into one by Philox
// itself.
std::array<uint32_t, 2> derive_key(uint64_t seed, Purpose purpose, uint64_t epoch) {
  const auto block =
      philox4x32({low_word(epoch), high_word(epoch), static_cast<uint32_t>(purpose), 0},
                 {low_word(seed), high_word(seed)});
  return {block[0], block[1]};
}

}  // namespace

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0];
    const uint64_t product1 = kMultiplier1 * counter[2];
    counter = {high_word(product1) ^ counter[1] ^ key[0],
               low_word(product1),
               high_word(product0) ^ counter[3] ^ key[1],
               low_word(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

uint64_t stable_id(std::string_view name) {
  return XXH3_64bits(name.data(), name.size());
}

// The id is the upper half of the counter, the number of the block the lower half.
RandomStream::RandomStream(uint64_t seed, Purpose purpose, uint64_t epoch, uint64_t id)
    : key_(derive_key(seed, purpose, epoch)), counter_{0, 0, low_word(id), high_word(id)} {}

uint32_t RandomStream::next_u32() {
  if (used_ == 4) {
    block_ = philox4x32(counter_, key_);
    if (++counter_[0] == 0) ++counter_[1];
    used_ = 0;
  }
  return block_[static_cast<size_t>(used_++)];
}

uint64_t RandomStream::next_u64() {
  const uint32_t low = next_u32();
  return join(low, next_u32());
}

float RandomStream::uniform() {
  return static_cast<float>(next_u32() >> 8) * 0x1p-24f;
}

float RandomStream::uniform(float low, float high) {
  const float value = low + (high - low) * uniform();
  // The product may round up to the open end.
  return value < high ? value : std::nextafter(high, low);
}

uint64_t RandomStream::below(uint64_t bound) {
  if (bound == 0) throw std::invalid_argument("RandomStream::below: the bound is 0");
  // Values under the threshold would make the low remainders more frequent.
  const uint64_t threshold = (0 - bound) % bound;
  for (;;) {
    const uint64_t value = next_u64();
    if (value >= threshold) return value % bound;
  }
}

float RandomStream::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  // (0, 1], so that the logarithm is finite.
  const double first = static_cast<double>((next_u64() >> 11) + 1) * 0x1p-53;
  const double second = static_cast<double>(next_u64() >> 11) * 0x1p-53;
  const double radius = std::sqrt(-2.0 * std::log(first));
  const double angle = 2.0 * std::numbers::pi * second;
  spare_ = static_cast<float>(radius * std::sin(angle));
  has_spare_ = true;
  return static_cast<float>(radius * std::cos(angle));
}

void RandomStream::fill_normal(std::span<float> values) {
  for (float& value : values) value = normal();
}

uint64_t permuted_index(uint64_t seed, uint64_t epoch, uint64_t size, uint64_t index) {
  if (index >= size) {
    throw std::out_of_range("permuted_index: index " + std::to_string(index) + " of " +
                            std::to_string(size));
  }
  // Small networks mix slowly, so the count of rounds is well above the four that theory asks for.
  constexpr uint32_t kRounds = 10;
  const auto key = derive_key(seed, Purpose::kOrder, epoch);
  const int half_bits = std::max(1, (static_cast<int>(std::bit_width(size - 1)) + 1) / 2);
  const uint64_t half_mask = (uint64_t{1} << half_bits) - 1;
  uint64_t value = index;
  do {
    uint64_t left = value >> half_bits, right = value & half_mask;
    for (uint32_t round = 0; round < kRounds; ++round) {
      const auto mixed = philox4x32({low_word(right), high_word(right), round, 1}, key);
      const uint64_t next = left ^ (mixed[0] & half_mask);
      left = right;
      right = next;
    }
    value = (left << half_bits) | right;
  } while (value >= size);
  return value;
}

}  // namespace limewash
