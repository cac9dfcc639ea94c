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

// Which lanes a maximum replaces. AVX-512 has registers for that, which the compiler does not use
// for vector extensions that combine comparisons.
#if defined(__AVX512F__)
template <class T>
using Lanes = uint32_t;

template <class T>
CK_INLINE Lanes<T> replaces(Vec<T> value, Vec<T> best) {
  if constexpr (sizeof(T) == 4) {
    const __mmask16 number = _mm512_cmp_ps_mask(__m512(best.raw), __m512(best.raw), _CMP_ORD_Q);
    return _mm512_mask_cmp_ps_mask(number, __m512(value.raw), __m512(best.raw), _CMP_NLE_UQ);
  } else {
    const __mmask8 number = _mm512_cmp_pd_mask(__m512d(best.raw), __m512d(best.raw), _CMP_ORD_Q);
    return _mm512_mask_cmp_pd_mask(number, __m512d(value.raw), __m512d(best.raw), _CMP_NLE_UQ);
  }
}
template <class T, class Raw>
CK_INLINE Raw select(Lanes<T> lanes, Raw taken, Raw kept) {
  if constexpr (sizeof(T) == 4) {
    return Raw(_mm512_mask_blend_epi32(__mmask16(lanes), __m512i(kept), __m512i(taken)));
  } else {
    return Raw(_mm512_mask_blend_epi64(__mmask8(lanes), __m512i(kept), __m512i(taken)));
  }
}
#else
template <class T>
using Lanes = typename Vec<T>::RawBits;

template <class T>
CK_INLINE Lanes<T> replaces(Vec<T> value, Vec<T> best) {
  return ~(value.raw <= best.raw) & (best.raw == best.raw);
}
template <class T, class Raw>
CK_INLINE Raw select(Lanes<T> lanes, Raw taken, Raw kept) {
  return lanes ? taken : kept;
}
#endif

// The maximum alone: value > best ? value : best, but a NaN replaces a number and stays. The
// instruction for it keeps a NaN of its second operand only; written out as a comparison, the
// compiler would merge it with the one for NaN.
template <class T>
CK_INLINE Vec<T> larger_of(Vec<T> value, Vec<T> best) {
  typedef typename Vec<T>::Raw Raw;
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const __m512 v = __m512(value.raw);
    return {Raw(_mm512_mask_max_ps(v, _mm512_cmp_ps_mask(v, v, _CMP_ORD_Q), v, __m512(best.raw)))};
  } else {
    const __m512d v = __m512d(value.raw);
    return {Raw(_mm512_mask_max_pd(v, _mm512_cmp_pd_mask(v, v, _CMP_ORD_Q), v, __m512d(best.raw)))};
  }
#else
  Raw larger;
#if defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    larger = Raw(_mm256_max_ps(__m256(value.raw), __m256(best.raw)));
  } else {
    larger = Raw(_mm256_max_pd(__m256d(value.raw), __m256d(best.raw)));
  }
#else
  larger = value.raw > best.raw ? value.raw : best.raw;
#endif
  return {value.raw != value.raw ? value.raw : larger};
#endif
}

// One step of a maximum: a larger value replaces the best, and a NaN a number; the first NaN stays.
template <class T, bool kIndexed>
CK_INLINE void take_larger(Vec<T> value, typename Vec<T>::RawBits value_place, Vec<T>* best,
                           typename Vec<T>::RawBits* place) {
  if constexpr (kIndexed) {
    const Lanes<T> lanes = replaces(value, *best);
    best->raw = select<T>(lanes, value.raw, best->raw);
    *place = select<T>(lanes, value_place, *place);
  } else {
    *best = larger_of(value, *best);
  }
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

// A window so much wider than twice the image is looked at pixel by pixel, not in runs of outputs.
constexpr int64_t kWideMargin = 64;

// At most so many taps of one axis are inside the image at a time: tables are sized by it, as the
// window may be far larger than the image.
CK_INLINE int64_t taps_seen(int64_t taps, int64_t dilation, int64_t size) {
  return min_of(taps, (size - 1) / dilation + 1);
}

// Whether the pixels of a window may be so far apart that a Place, counted from the first of them,
// does not hold their distance.
template <class T>
bool needs_wide_places(const Pool2dProblem& p) {
  const int64_t rows = (taps_seen(p.r, p.dilation_h, p.h) - 1) * p.dilation_h;
  return sizeof(T) == 4 && (rows + 2) * p.w + kWideMargin > INT32_MAX;
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
      take_larger<T, kIndexed>(value, kIndexed ? place_at(t, i) : Places{}, &best, &place);
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
