#include "data/mask.h"

#include <algorithm>
#include <cstring>

#include "data/pixel_memory.h"

namespace limewash::data {
namespace {

void intersect(const uint8_t* __restrict first,
               const uint8_t* __restrict second,
               int64_t count,
               uint8_t* __restrict out) {
  for (int64_t i = 0; i < count; ++i) out[i] = first[i] & second[i];
}

void intersect(uint8_t* __restrict into, const uint8_t* __restrict with, int64_t count) {
  for (int64_t i = 0; i < count; ++i) into[i] &= with[i];
}

/// The largest power of two that is at most `number`.
int64_t power_of_two_within(int64_t number) {
  int64_t power = 1;
  while (2 * power <= number) power *= 2;
  return power;
}

/// out[i] = all of row[i .. i + window), for `count` values. The windows double from step to step
/// (van Herk's idea with fewer passes for small windows); the last step overlaps. `row` holds
/// count + window - 1 values and is overwritten.
void intersect_windows(uint8_t* row, uint8_t* other, int64_t window, int64_t count, uint8_t* out) {
  const int64_t power = power_of_two_within(window);
  int64_t valid = count + window - 1;
  for (int64_t step = 1; step < power; step *= 2) {
    valid -= step;
    intersect(row, row + step, valid, other);
    std::swap(row, other);
  }
  intersect(row, row + window - power, count, out);
}

/// The same down the columns of `rows` x `width`, in place; the result is in the first
/// rows - window + 1 rows.
void intersect_column_windows(uint8_t* pixels, int64_t rows, int64_t width, int64_t window) {
  const int64_t power = power_of_two_within(window);
  int64_t valid = rows;
  for (int64_t step = 1; step < power; step *= 2) {
    valid -= step;
    for (int64_t y = 0; y < valid; ++y)
      intersect(pixels + y * width, pixels + (y + step) * width, width);
  }
  if (window == power) return;
  for (int64_t y = 0; y + window <= rows; ++y)
    intersect(pixels + y * width, pixels + (y + window - power) * width, width);
}

Mask cut_out(const Mask& mask, const Rectangle& part) {
  Mask piece{
      part.height, part.width, take_pixel_memory(static_cast<size_t>(part.height * part.width))};
  for (int64_t y = 0; y < part.height; ++y)
    std::copy_n(mask.pixels.data() + (part.top + y) * mask.width + part.left,
                part.width,
                piece.pixels.data() + y * part.width);
  return piece;
}

}  // namespace

Mask erode(const Mask& mask, int64_t kernel, int64_t iterations) {
  return erode(mask, kernel, iterations, {0, 0, mask.height, mask.width});
}

Mask erode(const Mask& mask, int64_t kernel, int64_t iterations, const Rectangle& part) {
  // Erosions by squares add up to one erosion by a larger square. More than the whole mask is no
  // more than all of it.
  const int64_t reach = kernel / 2 * iterations;
  if (reach == 0 || part.height == 0 || part.width == 0) return cut_out(mask, part);
  const int64_t reach_x = std::min(reach, mask.width), reach_y = std::min(reach, mask.height);
  const int64_t rows = part.height + 2 * reach_y, columns = part.width + 2 * reach_x;

  // Along the rows: the part with its surroundings, walls beyond the border.
  PixelMemory along(static_cast<size_t>(rows * part.width));
  std::vector<uint8_t> row(static_cast<size_t>(columns)), other(static_cast<size_t>(columns));
  const int64_t first = std::max<int64_t>(0, part.left - reach_x);
  const int64_t last = std::min(mask.width, part.left + part.width + reach_x);
  for (int64_t y = 0; y < rows; ++y) {
    const int64_t source = part.top - reach_y + y;
    uint8_t* out = along.bytes.data() + y * part.width;
    if (source < 0 || source >= mask.height) {
      std::fill_n(out, part.width, uint8_t{255});
      continue;
    }
    std::fill(row.begin(), row.end(), uint8_t{255});
    std::copy_n(mask.pixels.data() + source * mask.width + first,
                last - first,
                row.data() + (first - (part.left - reach_x)));
    intersect_windows(row.data(), other.data(), 2 * reach_x + 1, part.width, out);
  }
  intersect_column_windows(along.bytes.data(), rows, part.width, 2 * reach_y + 1);
  Mask core{part.height, part.width, std::move(along.bytes)};
  core.pixels.resize(static_cast<size_t>(part.height * part.width));
  return core;
}

int64_t count_wall(const uint8_t* values, int64_t count) {
  constexpr int64_t kBlock = 1 << 16;
  int64_t wall = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(count, begin + kBlock);
    uint32_t in_block = 0;  // narrow, so that the loop is vectorised
    for (int64_t i = begin; i < end; ++i) in_block += values[i] & 1u;
    wall += in_block;
  }
  return wall;
}

int64_t count_wall(const Mask& mask) {
  return count_wall(mask.pixels.data(), static_cast<int64_t>(mask.pixels.size()));
}

double wall_share(const Mask& mask) {
  if (mask.pixels.empty()) return 0;
  return static_cast<double>(count_wall(mask)) / static_cast<double>(mask.pixels.size());
}

}  // namespace limewash::data
