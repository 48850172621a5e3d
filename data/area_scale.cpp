#include "data/area_scale.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <vector>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace limewash::data {
namespace {

/// Where the output pixels of one direction begin, in source pixels: `whole[i]` full ones before
/// the border, which cuts the next one after `part[i]` of its `out` parts. Overlaps of source and
/// output pixels are whole numbers of such parts, so that all arithmetic is exact.
struct Borders {
  std::vector<int64_t> whole;
  std::vector<uint32_t> part;
  int64_t in, out;

  Borders(int64_t source, int64_t target) : in(source), out(target) {
    whole.reserve(static_cast<size_t>(target) + 1);
    part.reserve(static_cast<size_t>(target) + 1);
    for (int64_t i = 0; i <= target; ++i) {
      whole.push_back(i * source / target);
      part.push_back(static_cast<uint32_t>(i * source % target));
    }
  }
};

/// The source rows under one output row, and how many parts of each.
struct Band {
  std::vector<const uint8_t*> rows;
  std::vector<int64_t> weights;

  void set(const PixelView& view, const Borders& borders, int64_t y) {
    rows.clear();
    weights.clear();
    const auto at = static_cast<size_t>(y);
    const int64_t top = y * borders.in, bottom = top + borders.in;
    for (int64_t row = borders.whole[at]; row * borders.out < bottom; ++row) {
      rows.push_back(view.origin + row * view.stride);
      weights.push_back(std::min(bottom, (row + 1) * borders.out) -
                        std::max(top, row * borders.out));
    }
  }
};

void sum_rows_from(const Band& band, int64_t begin, int64_t count, uint32_t* sums) {
  std::fill(sums + begin, sums + count, 0u);
  for (size_t j = 0; j < band.rows.size(); ++j) {
    const auto weight = static_cast<uint32_t>(band.weights[j]);
    const uint8_t* row = band.rows[j];
    for (int64_t i = begin; i < count; ++i) sums[i] += weight * row[i];
  }
}

#if defined(__SSE2__)
/// The rows are taken in pairs: one instruction multiplies two and adds the products.
void sum_rows(const Band& band, int64_t count, uint32_t* sums) {
  struct Pair {
    const uint8_t *first, *second;
    __m128i weights;
  };
  thread_local std::vector<Pair> pairs;
  pairs.clear();
  for (size_t j = 0; j < band.rows.size(); j += 2) {
    const size_t partner = std::min(j + 1, band.rows.size() - 1);
    const int64_t second_weight = partner > j ? band.weights[partner] : 0;
    pairs.push_back({band.rows[j],
                     band.rows[partner],
                     _mm_set1_epi32(static_cast<int>(second_weight << 16 | band.weights[j]))});
  }
  const __m128i zero = _mm_setzero_si128();
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    __m128i sum0 = zero, sum1 = zero, sum2 = zero, sum3 = zero;
    for (const Pair& pair : pairs) {
      const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pair.first + i)),
                    second = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pair.second + i));
      const __m128i low = _mm_unpacklo_epi8(first, second), high = _mm_unpackhi_epi8(first, second);
      const auto product = [&](const __m128i& values) {
        return _mm_madd_epi16(values, pair.weights);
      };
      sum0 = _mm_add_epi32(sum0, product(_mm_unpacklo_epi8(low, zero)));
      sum1 = _mm_add_epi32(sum1, product(_mm_unpackhi_epi8(low, zero)));
      sum2 = _mm_add_epi32(sum2, product(_mm_unpacklo_epi8(high, zero)));
      sum3 = _mm_add_epi32(sum3, product(_mm_unpackhi_epi8(high, zero)));
    }
    auto* to = reinterpret_cast<__m128i*>(sums + i);
    _mm_storeu_si128(to, sum0);
    _mm_storeu_si128(to + 1, sum1);
    _mm_storeu_si128(to + 2, sum2);
    _mm_storeu_si128(to + 3, sum3);
  }
  sum_rows_from(band, i, count, sums);
}
#else
void sum_rows(const Band& band, int64_t count, uint32_t* sums) {
  sum_rows_from(band, 0, count, sums);
}
#endif

/// Four numbers that the compiler keeps in one register: red, green, blue, and one unused.
typedef uint32_t Lanes __attribute__((vector_size(16)));

Lanes load_lanes(const uint32_t* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}

/// The area sums of one output row from the sums of its source columns; arithmetic modulo 2^32.
/// `times_parts` multiplies by the parts of a source pixel. Reads and writes one number beyond the
/// last pixel.
template <class TimesParts>
void sum_columns(const uint32_t* columns,
                 const Borders& borders,
                 const TimesParts& times_parts,
                 uint32_t* sums) {
  Lanes before = {0, 0, 0, 0};  // what of the cut column lies left of the border
  int64_t column = 0;
  for (int64_t x = 0; x < borders.out; ++x) {
    const auto next = static_cast<size_t>(x + 1);
    Lanes full = {0, 0, 0, 0};
    for (; column < borders.whole[next]; ++column) full += load_lanes(columns + 3 * column);
    // The right border lies between two columns or cuts this one; there is none after the last.
    Lanes cut = {0, 0, 0, 0};
    if (borders.part[next] != 0) cut = load_lanes(columns + 3 * column) * borders.part[next];
    const Lanes sum = times_parts(full) + cut - before;
    before = cut;
    std::memcpy(sums + 3 * x, &sum, sizeof(sum));
  }
}

void sum_columns(const uint32_t* columns, const Borders& borders, uint32_t* sums) {
  const auto parts = static_cast<uint32_t>(borders.out);
  if (std::has_single_bit(parts)) {
    // A shift costs far less where four products take two instructions and some sorting.
    const int shift = std::countr_zero(parts);
    sum_columns(
        columns, borders, [&](const Lanes& lanes) { return lanes << shift; }, sums);
  } else {
    sum_columns(
        columns, borders, [&](const Lanes& lanes) { return lanes * parts; }, sums);
  }
}

/// The quotient before rounding down. The numerator is halved, so that it fits a signed number.
float estimated_quotient(uint32_t numerator, float twice_reciprocal) {
  return static_cast<float>(static_cast<int32_t>(numerator >> 1)) * twice_reciprocal;
}

#if defined(__SSE2__)
/// Sixteen quotients at once; false where one lies so near to a whole number that rounding to float
/// could decide it.
bool divide_block(const uint32_t* sums, uint32_t half, float twice_reciprocal, uint8_t* out) {
  const __m128 factor = _mm_set1_ps(twice_reciprocal);
  // More than rounding can do to a quotient of at most 256.
  const __m128 doubt = _mm_set1_ps(1e-3f);
  const __m128i halves = _mm_set1_epi32(static_cast<int>(half));
  __m128i differences = _mm_setzero_si128();
  __m128i quotients[4];
  for (int k = 0; k < 4; ++k) {
    const __m128i sum = _mm_loadu_si128(reinterpret_cast<const __m128i*>(sums + 4 * k));
    const __m128i halved = _mm_srli_epi32(_mm_add_epi32(sum, halves), 1);
    const __m128 quotient = _mm_mul_ps(_mm_cvtepi32_ps(halved), factor);
    const __m128i low = _mm_cvttps_epi32(_mm_sub_ps(quotient, doubt));
    quotients[k] = _mm_cvttps_epi32(_mm_add_ps(quotient, doubt));
    differences = _mm_or_si128(differences, _mm_xor_si128(low, quotients[k]));
  }
  const __m128i bytes = _mm_packus_epi16(_mm_packs_epi32(quotients[0], quotients[1]),
                                         _mm_packs_epi32(quotients[2], quotients[3]));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
  return _mm_movemask_epi8(_mm_cmpeq_epi32(differences, _mm_setzero_si128())) == 0xffff;
}
#else
bool divide_block(const uint32_t*, uint32_t, float, uint8_t*) {
  return false;
}
#endif

/// sum / whole, halves rounded up. 256 * whole must be below 2^32.
void divide(const uint32_t* sums, int64_t count, uint32_t whole, uint8_t* out) {
  constexpr int64_t kBlock = 16;
  const float twice_reciprocal = 2.0f / static_cast<float>(whole);
  const uint32_t half = whole / 2;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(count, begin + kBlock);
    if (end - begin == kBlock && divide_block(sums + begin, half, twice_reciprocal, out + begin))
      continue;
    for (int64_t i = begin; i < end; ++i) {
      const uint32_t numerator = sums[i] + half;
      // Off by one at most.
      auto quotient = static_cast<uint32_t>(estimated_quotient(numerator, twice_reciprocal));
      if (quotient * whole > numerator) --quotient;
      if (numerator - quotient * whole >= whole) ++quotient;
      out[i] = static_cast<uint8_t>(quotient);
    }
  }
}

/// The same for pictures whose sums do not fit 32 bits.
void scale_large_row(const uint32_t* columns,
                     const Borders& borders,
                     uint64_t whole,
                     uint8_t* out) {
  for (int64_t x = 0; x < borders.out; ++x) {
    const int64_t left = x * borders.in, right = left + borders.in;
    uint64_t sums[3] = {0, 0, 0};
    for (int64_t source = borders.whole[static_cast<size_t>(x)]; source * borders.out < right;
         ++source) {
      const auto weight = static_cast<uint64_t>(std::min(right, (source + 1) * borders.out) -
                                                std::max(left, source * borders.out));
      for (int64_t c = 0; c < 3; ++c) sums[c] += weight * columns[3 * source + c];
    }
    for (int64_t c = 0; c < 3; ++c)
      out[3 * x + c] = static_cast<uint8_t>((sums[c] + whole / 2) / whole);
  }
}

/// The share of wall in the area of one output pixel of a mask, in parts of a source pixel.
uint64_t wall_parts(const Band& band, const Borders& columns, int64_t x) {
  const int64_t left = x * columns.in, right = left + columns.in;
  uint64_t sum = 0;
  for (int64_t source = columns.whole[static_cast<size_t>(x)]; source * columns.out < right;
       ++source) {
    const auto weight = static_cast<uint64_t>(std::min(right, (source + 1) * columns.out) -
                                              std::max(left, source * columns.out));
    uint64_t column = 0;
    for (size_t j = 0; j < band.rows.size(); ++j)
      column += static_cast<uint64_t>(band.weights[j]) * (band.rows[j][source] & 1u);
    sum += weight * column;
  }
  return sum;
}

/// Where all rows of the band are wall, and where any is.
void combine_rows(const Band& band,
                  int64_t width,
                  uint8_t* __restrict all,
                  uint8_t* __restrict any) {
  std::copy_n(band.rows[0], width, all);
  std::copy_n(band.rows[0], width, any);
  for (size_t j = 1; j < band.rows.size(); ++j) {
    const uint8_t* __restrict row = band.rows[j];
    for (int64_t i = 0; i < width; ++i) {
      all[i] &= row[i];
      any[i] |= row[i];
    }
  }
}

bool is_uniform(const uint8_t* values, int64_t count, uint8_t value) {
  // Equal to the first, and each equal to its neighbour.
  return values[0] == value && std::memcmp(values, values + 1, static_cast<size_t>(count - 1)) == 0;
}

}  // namespace

void scale_rgb_by_area(const PixelView& in, int64_t out_height, int64_t out_width, uint8_t* out) {
  const Borders rows(in.height, out_height), columns(in.width, out_width);
  const auto whole = static_cast<uint64_t>(in.height) * static_cast<uint64_t>(in.width);
  const bool fits = whole * 256 <= std::numeric_limits<uint32_t>::max();
  std::vector<uint32_t> column_sums(static_cast<size_t>(in.width) * 3 + 1);
  std::vector<uint32_t> sums(static_cast<size_t>(out_width) * 3 + 1);
  Band band;
  for (int64_t y = 0; y < out_height; ++y) {
    band.set(in, rows, y);
    sum_rows(band, in.width * 3, column_sums.data());
    uint8_t* row = out + y * out_width * 3;
    if (fits) {
      sum_columns(column_sums.data(), columns, sums.data());
      divide(sums.data(), out_width * 3, static_cast<uint32_t>(whole), row);
    } else {
      scale_large_row(column_sums.data(), columns, whole, row);
    }
  }
}

void scale_mask_by_area(const PixelView& in, int64_t out_height, int64_t out_width, uint8_t* out) {
  constexpr int64_t kRun = 16;  // output pixels that are looked at together
  const Borders rows(in.height, out_height), columns(in.width, out_width);
  const auto whole = static_cast<uint64_t>(in.height) * static_cast<uint64_t>(in.width);
  std::vector<uint8_t> all(static_cast<size_t>(in.width)), any(static_cast<size_t>(in.width));
  Band band;
  for (int64_t y = 0; y < out_height; ++y) {
    band.set(in, rows, y);
    combine_rows(band, in.width, all.data(), any.data());
    uint8_t* to = out + y * out_width;
    for (int64_t x = 0; x < out_width; x += kRun) {
      const int64_t end = std::min(out_width, x + kRun);
      const int64_t first = columns.whole[static_cast<size_t>(x)];
      const auto at_end = static_cast<size_t>(end);
      const int64_t last = columns.whole[at_end] + (columns.part[at_end] > 0 ? 1 : 0);
      const uint8_t value = all[static_cast<size_t>(first)];
      // Most runs lie in the wall or beside it; those on its border are counted.
      if (is_uniform(all.data() + first, last - first, value) &&
          is_uniform(any.data() + first, last - first, value)) {
        std::fill(to + x, to + end, value);
        continue;
      }
      for (int64_t i = x; i < end; ++i) to[i] = 2 * wall_parts(band, columns, i) > whole ? 255 : 0;
    }
  }
}

}  // namespace limewash::data
