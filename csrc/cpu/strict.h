// What precision="strict" needs of vectors: multiply-adds that round once on every instruction set,
// and the functions of core/functions.h.
#pragma once

#include "core/strict_sum.h"
#include "cpu/functions.h"

namespace ck {
namespace CK_ISA {

#if !(defined(__FMA__) || defined(__aarch64__))
// Two lanes in double: the product is exact there, and a sum rounded to odd rounds to float as the
// exact one does (Boldo and Melquiond 2008), as double has more than two bits beyond float's.
typedef double TwoDoubles __attribute__((vector_size(16)));
typedef int64_t TwoInts __attribute__((vector_size(16)));

static CK_INLINE TwoDoubles add_to_odd(TwoDoubles product, TwoDoubles c) {
  const TwoDoubles sum = product + c, part = sum - product;
  const TwoDoubles rest = (product - (sum - part)) + (c - part);         // what rounding took off
  const TwoInts negative = (rest < 0), inexact = negative | (rest > 0);  // no NaN is either
  const TwoInts inward = negative ^ (sum < 0);
  const TwoInts bits = TwoInts(sum), is_even = (bits & 1) - 1;
  return TwoDoubles(bits + ((inward | 1) & inexact & is_even));
}
#endif

template <class T>
static CK_INLINE Vec<T> fused(Vec<T> a, Vec<T> b, Vec<T> c) {
#if defined(__FMA__) || defined(__aarch64__)
  return multiply_add(a, b, c);
#else
  if constexpr (sizeof(T) == 4) {
    typedef float TwoFloats __attribute__((vector_size(8)));
    const auto half = [](Vec<T> v, int which) {
      const auto raw = v.raw;
      return which == 0
                 ? __builtin_convertvector(__builtin_shufflevector(raw, raw, 0, 1), TwoDoubles)
                 : __builtin_convertvector(__builtin_shufflevector(raw, raw, 2, 3), TwoDoubles);
    };
    TwoFloats rounded[2];
    for (int i = 0; i < 2; ++i) {
      rounded[i] =
          __builtin_convertvector(add_to_odd(half(a, i) * half(b, i), half(c, i)), TwoFloats);
    }
    Vec<T> result;
    __builtin_memcpy(&result.raw, rounded, sizeof(result.raw));
    return result;
  } else {
    for (int i = 0; i < kLanes<T>; ++i) c.raw[i] = fused(a.raw[i], b.raw[i], c.raw[i]);
    return c;
  }
#endif
}

template <class T>
static CK_INLINE Vec<T> divided(Vec<T> a, Vec<T> b) {
  return {a.raw / b.raw};
}

struct LanesRoundOnce {
  template <class V>
  static CK_INLINE V step(V a, V b, V c) {
    using Lanes = Vec<typename Numbers<V>::Number>;
    return fused(Lanes{a}, Lanes{b}, Lanes{c}).raw;
  }
};

template <class T>
static CK_INLINE Vec<T> stated_exp(Vec<T> x) {
  return {exp_times_power<LanesRoundOnce>(x.raw, typename Vec<T>::RawBits{})};
}
template <class T>
static CK_INLINE Vec<T> stated_log(Vec<T> x) {
  return {log_of_numbers<LanesRoundOnce>(x.raw)};
}
template <class T>
static CK_INLINE Vec<T> stated_power(Vec<T> x, const NegativePower<T>& p) {
  return {power_of_numbers<LanesRoundOnce>(x.raw, p)};
}

// Out of line: it would bloat every caller's inner loop.
template <class T>
static __attribute__((noinline)) void stated_lanes(T* lanes, int count, Activation activation) {
  for (int i = 0; i < count; ++i) lanes[i] = stated_activate(lanes[i], activation);
}

template <class T>
static CK_INLINE Vec<T> stated_activate(Vec<T> v, Activation activation) {
  typedef typename Vec<T>::Raw Raw;
  if (activation == Activation::kNone) return v;
  if (activation == Activation::kRelu) {
    return Vec<T>{v.raw > Raw{} ? v.raw : v.raw == v.raw ? Raw{} : v.raw};
  }
  T lanes[kLanes<T>];
  v.store(lanes);
  stated_lanes(lanes, kLanes<T>, activation);
  return Vec<T>::load(lanes);
}

}  // namespace CK_ISA
}  // namespace ck
