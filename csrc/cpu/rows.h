// Rows of pixels: moving them between arrays of different pixel pitch, adding them up. For kernels
// that move more than they compute.
#pragma once

#include <cstdint>

#include "cpu/operands.h"
#include "cpu/sums.h"

namespace ck {
namespace CK_ISA {

// The taps of one axis that stay inside the image, [lo, hi), for the window that starts at `start`
// (negative in the padding). Also the windows of one axis that a tap keeps inside the image, with
// taps and windows exchanged: start + i * step is in [0, size) for i in [lo, hi).
struct TapRange {
  int64_t lo, hi;
  CK_INLINE int64_t size() const { return hi - lo; }
};
static CK_INLINE TapRange taps_inside(int64_t start, int64_t step, int64_t taps, int64_t size) {
  const int64_t lo = start >= 0 ? 0 : min_of(taps, ceil_div(-start, step));
  const int64_t hi = start >= size ? 0 : min_of(taps, (size - 1 - start) / step + 1);
  return {lo, max_of(lo, hi)};
}

template <class T>
static void fill(T* to, int64_t count, T value) {
  for (int64_t i = 0; i < count; ++i) to[i] = value;
}

// The same for one call per small plane, whose last pixels are one masked store.
template <class T>
static CK_INLINE void spread(T* to, int64_t count, T value) {
  const Vec<T> vec = Vec<T>::broadcast(value);
  int64_t i = 0;
  for (; i + kLanes<T> <= count; i += kLanes<T>) vec.store(to + i);
  if (i < count) vec.store_masked(to + i, first_lanes(count - i));
}

// Copies from `bytes` to 2 * `bytes` as two pieces that may overlap.
template <int kBytes>
static CK_INLINE void move_both_ends(char* to, const char* from, int64_t bytes) {
  char first[kBytes], last[kBytes];
  __builtin_memcpy(first, from, kBytes);
  __builtin_memcpy(last, from + bytes - kBytes, kBytes);
  __builtin_memcpy(to, first, kBytes);
  __builtin_memcpy(to + bytes - kBytes, last, kBytes);
}

// A copy that does not call memcpy for a handful of elements.
template <class T>
static CK_INLINE void move(T* __restrict__ to, const T* __restrict__ from, int64_t count) {
  const int64_t bytes = count * int64_t(sizeof(T));
  char* const target = reinterpret_cast<char*>(to);
  const char* const source = reinterpret_cast<const char*>(from);
  if (bytes > 64) {
    __builtin_memcpy(to, from, bytes);
  } else if (bytes >= 32) {
    move_both_ends<32>(target, source, bytes);
  } else if (bytes >= 16) {
    move_both_ends<16>(target, source, bytes);
  } else if (bytes >= 8) {
    move_both_ends<8>(target, source, bytes);
  } else if (bytes >= 4) {
    move_both_ends<4>(target, source, bytes);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i];
  }
}

template <class T>
static CK_INLINE void move_floats(T* __restrict__ to, const T* __restrict__ from, int64_t count) {
  if (count > 16 * kLanes<T>) {
    __builtin_memcpy(to, from, count * sizeof(T));
    return;
  }
  for (int64_t i = 0; i < count; i += kLanes<T>) {
    Vec<T>::load_first(from + i, count - i).store_first(to + i, count - i);
  }
}

static CK_INLINE void move(float* __restrict__ to, const float* __restrict__ from, int64_t count) {
  move_floats(to, from, count);
}
static CK_INLINE void move(double* __restrict__ to, const double* __restrict__ from,
                           int64_t count) {
  move_floats(to, from, count);
}

// Moves `count` pixels of `width` elements between arrays of different pixel pitch.
template <class T>
static void copy_pixels(T* __restrict__ to, int64_t to_step, const T* __restrict__ from,
                        int64_t from_step, int64_t count, int64_t width) {
  if (count <= 0) return;
  if (to_step == width && from_step == width) {
    move(to, from, count * width);
  } else if (width > 1) {
    for (int64_t i = 0; i < count; ++i) move(to + i * to_step, from + i * from_step, width);
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

// The sum of `count` vectors; chain_of(first, end) adds up some of them, at least one.
template <class T, class ChainOf>
static CK_INLINE Vec<T> sum_of_chains(int64_t count, const ChainOf& chain_of) {
  if (count <= 0) return Vec<T>::zero();
  if (count <= kChain) return chain_of(0, count);
  LongSum<Vec<T>> sum;
  for (int64_t first = 0; first < count; first += kChain) {
    sum.add_chain(chain_of(first, min_of(count, first + kChain)));
  }
  return sum.total();
}

template <class T, int kTaps>
static void sum_of_rows(int64_t taps, const T* const* values, int64_t elems, T* sum_out) {
  const int64_t count = kTaps > 0 ? kTaps : taps;
  const T* value_of[kTaps > 0 ? kTaps : 1];
  for (int t = 0; t < kTaps; ++t) value_of[t] = values[t];
  for (int64_t i = 0; i < elems; i += kLanes<T>) {
    const int64_t left = elems - i;
    const auto chain_of = [&](int64_t first, int64_t end) {
      Vec<T> sum = Vec<T>::load_first((kTaps > 0 ? value_of[first] : values[first]) + i, left);
      for (int64_t t = first + 1; t < end; ++t) {
        sum = sum + Vec<T>::load_first((kTaps > 0 ? value_of[t] : values[t]) + i, left);
      }
      return sum;
    };
    sum_of_chains<T>(count, chain_of).store_first(sum_out + i, left);
  }
}

// Elementwise sum over rows; of no rows it is zero.
template <class T>
static void sum_of_rows(int64_t taps, const T* const* values, int64_t elems, T* sum_out) {
  switch (taps) {
    case 1:
      return sum_of_rows<T, 1>(taps, values, elems, sum_out);
    case 2:
      return sum_of_rows<T, 2>(taps, values, elems, sum_out);
    case 3:
      return sum_of_rows<T, 3>(taps, values, elems, sum_out);
    case 4:
      return sum_of_rows<T, 4>(taps, values, elems, sum_out);
    default:
      return sum_of_rows<T, 0>(taps, values, elems, sum_out);
  }
}

}  // namespace CK_ISA
}  // namespace ck
