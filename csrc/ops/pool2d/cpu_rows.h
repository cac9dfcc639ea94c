// Row arithmetic of the cpu pools: maxima with places, and which pixels and windows meet.
#pragma once

#include <cstdint>

#include "cpu/rows.h"
#include "cpu/tasks.h"
#include "ops/pool2d/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

enum class Pooling { kMax, kMaxIndexed, kAverage };

// Where a maximum stood, as an integer of the element's width: lanes of values and places pair up.
template <class T>
using Place = typename Vec<T>::Bits;

template <class T>
constexpr T kMinusInfinity = T(-__builtin_inf());

// What a maximum replaces: a smaller value, and a number when a NaN comes. The first NaN stays.
template <class T>
CK_INLINE typename Vec<T>::RawBits replaces(Vec<T> value, Vec<T> best) {
  return ~(value.raw <= best.raw) & (best.raw == best.raw);
}

// The window of one axis at output coordinate i, as an average counts it.
CK_INLINE int64_t counted(int64_t i, int64_t stride, int64_t taps, int64_t pad_before,
                          int64_t pad_after, int64_t size, bool include_pad) {
  const int64_t start = i * stride - pad_before;
  if (include_pad) return min_of(start + taps, size + pad_after) - start;
  return min_of(start + taps, size) - max_of(start, 0);
}
inline int64_t counted_rows(const Pool2dProblem& p, int64_t i) {
  return counted(i, p.stride_h, p.r, p.pad_top, p.pad_bottom, p.h, p.count_include_pad);
}
inline int64_t counted_columns(const Pool2dProblem& p, int64_t j) {
  return counted(j, p.stride_w, p.s, p.pad_left, p.pad_right, p.w, p.count_include_pad);
}

// The windows of one axis that cover padded coordinate t, ascending; with dilation some of them
// reach over it.
CK_INLINE Span covering(int64_t t, int64_t stride, int64_t tile, int64_t windows) {
  const int64_t first = t >= tile ? ceil_div(t - tile + 1, stride) : 0;
  return {first, max_of(first, min_of(windows, t / stride + 1))};
}

// Tasks for `units` units of work: a few a thread, so that the last to finish does not wait long.
inline int64_t parts_for(int64_t units, int threads) {
  return threads > 1 ? min_of(units, 4 * int64_t(threads)) : min_of(units, 1);
}
// Cuts `rows` so that `others` units times the cuts feed the threads.
inline int64_t bands_for(int64_t rows, int64_t others, int threads) {
  if (threads <= 1 || others == 0) return 1;
  return max_of(1, min_of(rows, ceil_div(4 * int64_t(threads), others)));
}

// Elementwise maximum over rows, the earliest row winning ties, and the place it came from: the
// row's own shift, plus offsets[t][i] where rows carry offsets. Whole vectors are read and written.
// kTaps = 0: any number of rows.
template <class T, bool kIndexed, bool kOffsets, int kTaps>
void max_of_rows(int64_t taps, const T* const* values, const Place<T>* const* offsets,
                 const Place<T>* shifts, int64_t elems, T* best_out, Place<T>* place_out) {
  typedef typename Vec<T>::RawBits Places;
  const int64_t count = kTaps > 0 ? kTaps : taps;
  const T* value_of[kTaps > 0 ? kTaps : 1];
  const Place<T>* offset_of[kTaps > 0 ? kTaps : 1];
  Place<T> shift_of[kTaps > 0 ? kTaps : 1];
  for (int t = 0; t < kTaps; ++t) {  // in registers: the stores below may not alias them
    value_of[t] = values[t];
    offset_of[t] = kOffsets ? offsets[t] : nullptr;
    shift_of[t] = kIndexed ? shifts[t] : 0;
  }
  const auto place_at = [&](int64_t t, int64_t i) {
    Places place = (kTaps > 0 ? shift_of[t] : shifts[t]) - Places{};
    if constexpr (kOffsets) {
      Places offset;
      __builtin_memcpy(&offset, (kTaps > 0 ? offset_of[t] : offsets[t]) + i, sizeof(offset));
      place += offset;
    }
    return place;
  };
  for (int64_t i = 0; i < elems; i += kLanes<T>) {
    Vec<T> best = Vec<T>::load((kTaps > 0 ? value_of[0] : values[0]) + i);
    Places place = {};
    if constexpr (kIndexed) place = place_at(0, i);
    for (int64_t t = 1; t < count; ++t) {
      const Vec<T> value = Vec<T>::load((kTaps > 0 ? value_of[t] : values[t]) + i);
      const Places take = replaces(value, best);
      best.raw = take ? value.raw : best.raw;
      if constexpr (kIndexed) place = take ? place_at(t, i) : place;
    }
    best.store(best_out + i);
    if constexpr (kIndexed) __builtin_memcpy(place_out + i, &place, sizeof(place));
  }
}

template <class T, bool kIndexed, bool kOffsets>
void max_of_rows(int64_t taps, const T* const* values, const Place<T>* const* offsets,
                 const Place<T>* shifts, int64_t elems, T* best, Place<T>* place) {
  if (taps == 2) {
    max_of_rows<T, kIndexed, kOffsets, 2>(taps, values, offsets, shifts, elems, best, place);
  } else if (taps == 3) {
    max_of_rows<T, kIndexed, kOffsets, 3>(taps, values, offsets, shifts, elems, best, place);
  } else {
    max_of_rows<T, kIndexed, kOffsets, 0>(taps, values, offsets, shifts, elems, best, place);
  }
}

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
