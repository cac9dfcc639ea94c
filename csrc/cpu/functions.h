// Square root, exp, log and powers of a vector's lanes, in the operations of Vec alone: libm has
// other last bits in other versions, and no vectors. NaN stays NaN in all of them.
#pragma once

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

template <class T>
struct FloatTable;

// kRound: a number plus it has no digits after the point, and its lowest bits hold the rounded
// number. kLn2High has so few digits that its product with any exponent is exact. kDegree and
// kLogTerms: where the next term of the series falls under a tenth of an ulp.
template <>
struct FloatTable<float> {
  static constexpr int kMantissaBits = 23, kBias = 127, kDegree = 7, kLogTerms = 5;
  static constexpr float kRound = 0x1.8p23f, kLowestExp = -104.0f, kSmallest = 0x1p-126f;
  static constexpr float kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
  static constexpr float kLiftSubnormal = 0x1p24f, kLifted = 24.0f;
  static constexpr int32_t kRootHalf = 0x3f3504f3, kMantissa = 0x7fffff;  // bits of sqrt(1/2)
};
template <>
struct FloatTable<double> {
  static constexpr int kMantissaBits = 52, kBias = 1023, kDegree = 13, kLogTerms = 11;
  static constexpr double kRound = 0x1.8p52, kLowestExp = -746.0, kSmallest = 0x1p-1022;
  static constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
  static constexpr double kLiftSubnormal = 0x1p54, kLifted = 54.0;
  static constexpr int64_t kRootHalf = 0x3fe6a09e667f3bcd, kMantissa = 0xfffffffffffff;
};

// Whole numbers as the lowest bits of number + kRound.
template <class T>
static CK_INLINE typename Vec<T>::RawBits whole_of(typename Vec<T>::Raw with_round) {
  const Vec<T> round = Vec<T>::broadcast(FloatTable<T>::kRound);
  return typename Vec<T>::RawBits(with_round) - typename Vec<T>::RawBits(round.raw);
}

// v * 2^k, in two steps, as 2^k itself may be subnormal or infinite. v is near 1.
template <class T>
static CK_INLINE Vec<T> times_power_of_two(Vec<T> v, typename Vec<T>::RawBits k) {
  using Table = FloatTable<T>;
  typedef typename Vec<T>::Raw Raw;
  typedef typename Vec<T>::RawBits Ints;
  constexpr int kMost = 2 * (Table::kBias - 1);
  k = k > kMost ? kMost - Ints{} : k;
  k = k < -kMost ? -kMost - Ints{} : k;
  const Ints half = ((k + kMost) >> 1) - kMost / 2;  // no shift of a negative number
  const Ints rest = k - half;
  return {v.raw * Raw((half + Table::kBias) << Table::kMantissaBits) *
          Raw((rest + Table::kBias) << Table::kMantissaBits)};
}

// 2^n * exp(x), for x below some hundred: exp(x) = 2^k * exp(r) with k = round(x / ln 2),
// |r| <= ln(2) / 2, and exp(r) by its Taylor polynomial.
template <class T>
static CK_INLINE Vec<T> exp_times_power(Vec<T> x, typename Vec<T>::RawBits n) {
  using Table = FloatTable<T>;
  typedef typename Vec<T>::Raw Raw;
  const Raw lowest = Table::kLowestExp - Raw{};
  x.raw = x.raw < lowest ? lowest : x.raw;
  const Vec<T> shifted = {x.raw * T(1.4426950408889634074) + Table::kRound};
  const Vec<T> minus_k = {Table::kRound - shifted.raw};
  const Vec<T> r = multiply_add(minus_k, Vec<T>::broadcast(Table::kLn2Low),
                                multiply_add(minus_k, Vec<T>::broadcast(Table::kLn2High), x));
  double factorial = 1;
#pragma GCC unroll 16
  for (int i = 2; i <= Table::kDegree; ++i) factorial *= i;
  Vec<T> p = Vec<T>::broadcast(T(1 / factorial));
#pragma GCC unroll 16
  for (int i = Table::kDegree; i >= 1; --i) {
    factorial /= i;
    p = multiply_add(p, r, Vec<T>::broadcast(T(1 / factorial)));
  }
  return times_power_of_two(p, whole_of<T>(shifted.raw) + n);
}

template <class T>
static CK_INLINE Vec<T> exp_of(Vec<T> x) {
  return exp_times_power(x, typename Vec<T>::RawBits{});
}

// x = 2^exponent * m for x > 0, with m in [sqrt(1/2), sqrt(2)), and log(m): with f = m - 1 and
// s = f / (2 + f) it is f - s * (f - r), r = 2/3 s^2 + 2/5 s^4 + ...
template <class T>
struct LogParts {
  Vec<T> exponent, log;
};
template <class T>
static CK_INLINE LogParts<T> log_parts(Vec<T> x) {
  using Table = FloatTable<T>;
  typedef typename Vec<T>::Raw Raw;
  typedef typename Vec<T>::RawBits Ints;
  const Ints is_small = x.raw < Table::kSmallest;
  const Raw lifted = is_small ? x.raw * Table::kLiftSubnormal : x.raw;
  const Ints above = Ints(lifted) - Table::kRootHalf;
  const Raw m = Raw((above & Table::kMantissa) + Table::kRootHalf);
  // An arithmetic shift, of a number whose sign is that of the exponent.
  const Ints exponent = (above >> Table::kMantissaBits);
  const Vec<T> round = Vec<T>::broadcast(Table::kRound);
  Raw power = Raw(exponent + Ints(round.raw)) - round.raw;
  power = is_small ? power - Table::kLifted : power;

  const Vec<T> f = {m - T(1)};
  const Vec<T> s = {f.raw / (T(2) + f.raw)};
  const Vec<T> z = s * s;
  Vec<T> r = Vec<T>::broadcast(T(2) / T(2 * Table::kLogTerms + 1));
#pragma GCC unroll 16
  for (int i = Table::kLogTerms - 1; i >= 1; --i)
    r = multiply_add(r, z, Vec<T>::broadcast(T(2) / T(2 * i + 1)));
  r = r * z;
  return {{power}, f - s * (f - r)};
}

// What a function of x > 0 is elsewhere.
template <class T>
static CK_INLINE Vec<T> with_limits(Vec<T> x, Vec<T> value, T at_zero, T at_infinity) {
  typedef typename Vec<T>::Raw Raw;
  const T infinity = T(__builtin_inf());
  Raw result = value.raw;
  result = x.raw < infinity ? result : x.raw;  // NaN
  result = x.raw == infinity ? at_infinity - Raw{} : result;
  result = x.raw == T(0) ? at_zero - Raw{} : result;
  result = x.raw < T(0) ? T(__builtin_nan("")) - Raw{} : result;
  return {result};
}

template <class T>
static CK_INLINE Vec<T> log_of(Vec<T> x) {
  using Table = FloatTable<T>;
  const LogParts<T> parts = log_parts(x);
  const Vec<T> low = multiply_add(parts.exponent, Vec<T>::broadcast(Table::kLn2Low), parts.log);
  const Vec<T> value = multiply_add(parts.exponent, Vec<T>::broadcast(Table::kLn2High), low);
  return with_limits(x, value, T(-__builtin_inf()), T(__builtin_inf()));
}

// What x^-b needs of b, |b| <= 100: `high` times any exponent is exact, so that the fraction of
// their product, which becomes a factor, is as exact as that of a small one.
template <class T>
struct NegativePower {
  T high, low, b, at_zero, at_infinity;

  static NegativePower of(double b) {
    const double step = sizeof(T) == 4 ? 0x1p-7 : 0x1p-34;
    const double high = double(int64_t(b / step)) * step;
    const T infinity = T(__builtin_inf());
    return {T(high), T(b - high), T(b), b > 0 ? infinity : T(b == 0), b < 0 ? infinity : T(b == 0)};
  }
};

// x^-b = 2^-(e * b) * exp(-b * log(m)). NaN^0 is 1, as everything to the power 0.
template <class T>
static CK_INLINE Vec<T> power_of(Vec<T> x, const NegativePower<T>& p) {
  using Table = FloatTable<T>;
  typedef typename Vec<T>::Raw Raw;
  if (p.b == T(0)) return Vec<T>::broadcast(T(1));
  const LogParts<T> parts = log_parts(x);
  const Raw product = parts.exponent.raw * p.high;
  const Raw shifted = Table::kRound - product;
  const Raw whole = Table::kRound - shifted;  // of the product
  const Raw fraction = (product - whole) + parts.exponent.raw * p.low;
  const Raw exponent = fraction * T(-0.69314718055994530942) - parts.log.raw * p.b;
  const Vec<T> value = exp_times_power(Vec<T>{exponent}, whole_of<T>(shifted));
  return with_limits(x, value, p.at_zero, p.at_infinity);
}

}  // namespace CK_ISA
}  // namespace ck
