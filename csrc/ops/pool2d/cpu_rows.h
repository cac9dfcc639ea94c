// Row arithmetic of the cpu pools. Rows of an image are first copied to scratch, split by column
// phase (column modulo stride) and framed by what padding stands for; after that every tap of every
// window is one contiguous run, whatever stride, dilation, padding or layout were, and whole
// vectors are the only case. The copy costs one load and one store an element; without it stride 2
// shuffles each tap anew, and each edge wants loops of its own.
#pragma once

#include <cstdint>

#include "cpu/vec.h"
#include "ops/pool2d/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

constexpr int64_t kSumBlock = 256;  // sums longer than this are sums of block sums

template <class T>
using BitsFor = typename Vec<T>::Bits;

static CK_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static CK_INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static CK_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }  // a >= 0
static CK_INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// Cuts a workspace into 64-byte aligned arrays; over a null base it only counts.
struct Carver {
  char* base;
  int64_t used;
  template <class T>
  T* take(int64_t count) {
    T* const array = base == nullptr ? nullptr : reinterpret_cast<T*>(base + used);
    used += round_up(count * int64_t(sizeof(T)), 64);
    return array;
  }
};

// The taps of one axis that stay inside the image, [lo, hi), for the window that starts at `start`
// (negative in the padding).
struct TapRange {
  int64_t lo, hi;
};
static CK_INLINE TapRange taps_inside(int64_t start, int64_t dilation, int64_t taps, int64_t size) {
  const int64_t lo = start >= 0 ? 0 : ceil_div(-start, dilation);
  const int64_t hi = start >= size ? 0 : least(taps, (size - 1 - start) / dilation + 1);
  return {lo, most(lo, hi)};
}

template <class T>
static void fill(T* to, int64_t count, T value) {
  for (int64_t i = 0; i < count; ++i) to[i] = value;
}

// Moves `count` pixels of `width` elements between arrays of different pixel pitch.
template <class T>
static void copy_pixels(T* __restrict__ to, int64_t to_step, const T* __restrict__ from,
                        int64_t from_step, int64_t count, int64_t width) {
  if (count <= 0) return;
  if (to_step == width && from_step == width) {
    __builtin_memcpy(to, from, count * width * int64_t(sizeof(T)));
  } else if (width > 1) {
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t c = 0; c < width; c += kLanes<T>) {
        Vec<T>::load_first(from + i * from_step + c, width - c)
            .store_first(to + i * to_step + c, width - c);
      }
    }
  } else if (to_step == 1 && from_step == 2) {  // said with constants: the compiler shuffles then
    for (int64_t i = 0; i < count; ++i) to[i] = from[2 * i];
  } else {
    for (int64_t i = 0; i < count; ++i) to[i * to_step] = from[i * from_step];
  }
}

template <class T>
static void interleave_two(T* __restrict__ to, const T* __restrict__ even,
                           const T* __restrict__ odd, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    to[2 * i] = even[i];
    to[2 * i + 1] = odd[i];
  }
}

// What a maximum replaces: a smaller value, and a number when a NaN comes. The first NaN stays.
template <class T>
static CK_INLINE typename Vec<T>::RawBits replaces(typename Vec<T>::Raw value,
                                                   typename Vec<T>::Raw best) {
  return ~(value <= best) & (best == best);
}

// Elementwise maximum over rows, the earliest row winning ties, and the place it came from: the
// row's own shift, plus offsets[t][i] where rows carry offsets. kTaps = 0: any number of rows.
template <class T, bool kIndexed, bool kOffsets, int kTaps>
static void max_of_rows(int64_t taps, const T* const* values, const BitsFor<T>* const* offsets,
                        const BitsFor<T>* shifts, int64_t elems, T* best_out,
                        BitsFor<T>* place_out) {
  typedef typename Vec<T>::RawBits Places;
  const int64_t count = kTaps > 0 ? kTaps : taps;
  const T* value_of[kTaps > 0 ? kTaps : 1];
  const BitsFor<T>* offset_of[kTaps > 0 ? kTaps : 1];
  BitsFor<T> shift_of[kTaps > 0 ? kTaps : 1];
  for (int t = 0; t < kTaps; ++t) {  // in registers: the stores below may not alias them
    value_of[t] = values[t];
    offset_of[t] = kOffsets ? offsets[t] : nullptr;
    shift_of[t] = kIndexed ? shifts[t] : 0;
  }
  const auto place_at = [&](int64_t t, int64_t i, int64_t left) {
    const BitsFor<T> shift = kTaps > 0 ? shift_of[t] : shifts[t];
    Places place = shift - Places{};
    if constexpr (kOffsets) {  // offsets live in scratch: whole vectors are there
      Places offset;
      __builtin_memcpy(&offset, (kTaps > 0 ? offset_of[t] : offsets[t]) + i, sizeof(offset));
      place += offset;
    }
    (void)left;
    return place;
  };
  for (int64_t i = 0; i < elems; i += kLanes<T>) {
    const int64_t left = elems - i;
    Vec<T> best = Vec<T>::load_first((kTaps > 0 ? value_of[0] : values[0]) + i, left);
    Places place = {};
    if constexpr (kIndexed) place = place_at(0, i, left);
    for (int64_t t = 1; t < count; ++t) {
      const Vec<T> value = Vec<T>::load_first((kTaps > 0 ? value_of[t] : values[t]) + i, left);
      const Places take = replaces<T>(value.raw, best.raw);
      best.raw = take ? value.raw : best.raw;
      if constexpr (kIndexed) place = take ? place_at(t, i, left) : place;
    }
    best.store(best_out + i);
    if constexpr (kIndexed) __builtin_memcpy(place_out + i, &place, sizeof(place));
  }
}

template <class T, bool kIndexed, bool kOffsets>
static void max_of_rows(int64_t taps, const T* const* values, const BitsFor<T>* const* offsets,
                        const BitsFor<T>* shifts, int64_t elems, T* best, BitsFor<T>* place) {
  if (taps == 2) {
    max_of_rows<T, kIndexed, kOffsets, 2>(taps, values, offsets, shifts, elems, best, place);
  } else if (taps == 3) {
    max_of_rows<T, kIndexed, kOffsets, 3>(taps, values, offsets, shifts, elems, best, place);
  } else {
    max_of_rows<T, kIndexed, kOffsets, 0>(taps, values, offsets, shifts, elems, best, place);
  }
}

template <class T, int kTaps>
static void sum_of_rows(int64_t taps, const T* const* values, int64_t elems, T* sum_out) {
  const int64_t count = kTaps > 0 ? kTaps : taps;
  const T* value_of[kTaps > 0 ? kTaps : 1];
  for (int t = 0; t < kTaps; ++t) value_of[t] = values[t];
  for (int64_t i = 0; i < elems; i += kLanes<T>) {
    const int64_t left = elems - i;
    Vec<T> total = Vec<T>::zero();
    for (int64_t first = 0; first < count; first += kSumBlock) {
      const int64_t end = least(count, first + kSumBlock);
      Vec<T> sum = Vec<T>::load_first((kTaps > 0 ? value_of[first] : values[first]) + i, left);
      for (int64_t t = first + 1; t < end; ++t) {
        sum = sum + Vec<T>::load_first((kTaps > 0 ? value_of[t] : values[t]) + i, left);
      }
      total = first == 0 ? sum : total + sum;
    }
    total.store(sum_out + i);
  }
}

// Elementwise sum over rows, in order; of no rows it is zero. sum_out must hold whole vectors.
template <class T>
static void sum_of_rows(int64_t taps, const T* const* values, int64_t elems, T* sum_out) {
  if (taps == 2) {
    sum_of_rows<T, 2>(taps, values, elems, sum_out);
  } else if (taps == 3) {
    sum_of_rows<T, 3>(taps, values, elems, sum_out);
  } else {
    sum_of_rows<T, 0>(taps, values, elems, sum_out);
  }
}

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
