// Square root, exp, log and powers of a vector's lanes: those of core/functions.h, as libm has
// other last bits in other versions, and no vectors.
#pragma once

#include "core/functions.h"
#include "cpu/vec.h"

namespace ck {
namespace CK_ISA {

// The masked form for AVX-512: of the other, GCC 12 warns that it reads what is not initialised.
template <class T>
static CK_INLINE Vec<T> square_root(Vec<T> v) {
  typedef typename Vec<T>::Raw Raw;
  if constexpr (sizeof(T) == 4) {
#if defined(__AVX512F__)
    return Vec<T>{Raw(_mm512_maskz_sqrt_ps(kAllLanes<T>, __m512(v.raw)))};
#elif defined(__AVX2__)
    return Vec<T>{Raw(_mm256_sqrt_ps(__m256(v.raw)))};
#elif defined(__x86_64__)
    return Vec<T>{Raw(_mm_sqrt_ps(__m128(v.raw)))};
#else
    return Vec<T>{Raw(vsqrtq_f32(float32x4_t(v.raw)))};
#endif
  } else {
#if defined(__AVX512F__)
    return Vec<T>{Raw(_mm512_maskz_sqrt_pd(kAllLanes<T>, __m512d(v.raw)))};
#elif defined(__AVX2__)
    return Vec<T>{Raw(_mm256_sqrt_pd(__m256d(v.raw)))};
#elif defined(__x86_64__)
    return Vec<T>{Raw(_mm_sqrt_pd(__m128d(v.raw)))};
#else
    return Vec<T>{Raw(vsqrtq_f64(float64x2_t(v.raw)))};
#endif
  }
}

template <>
struct Numbers<Vec<float>::Raw> {
  using Number = float;
  using Whole = Vec<float>::RawBits;
};
template <>
struct Numbers<Vec<double>::Raw> {
  using Number = double;
  using Whole = Vec<double>::RawBits;
};

// As multiply_add: twice where there is no fused one.
struct RoundsQuickly {
  template <class V>
  static CK_INLINE V step(V a, V b, V c) {
    using Lanes = Vec<typename Numbers<V>::Number>;
    return multiply_add(Lanes{a}, Lanes{b}, Lanes{c}).raw;
  }
};

template <class T>
static CK_INLINE Vec<T> exp_of(Vec<T> x) {
  return {exp_times_power<RoundsQuickly>(x.raw, typename Vec<T>::RawBits{})};
}
template <class T>
static CK_INLINE Vec<T> log_of(Vec<T> x) {
  return {log_of_numbers<RoundsQuickly>(x.raw)};
}
template <class T>
static CK_INLINE Vec<T> power_of(Vec<T> x, const NegativePower<T>& p) {
  return {power_of_numbers<RoundsQuickly>(x.raw, p)};
}

}  // namespace CK_ISA
}  // namespace ck
