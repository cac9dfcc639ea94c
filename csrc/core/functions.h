// Functions in fused multiply-adds, quotients, roots and bits only, so that every build gives the
// same bits. NaN goes through all of them.
//
// relu, tanh, sigmoid: exp(x) - 1 = 2^k * p(r) + (2^k - 1) with k = round(x / ln 2),
// |r| <= ln(2) / 2 and p the Taylor polynomial of exp(r) - 1, cut where the next term falls under a
// tenth of an ulp.
//
// exp, log, powers, of a number or of a vector's lanes (V): exp as above without the 1;
// x = 2^e * m with m in [sqrt(1/2), sqrt(2)), f = m - 1, s = f / (2 + f), and
// log(m) = f - s * (f - r), r = 2/3 s^2 + 2/5 s^4 + ..., the series of log((1 + s) / (1 - s)).
#pragma once

#include "core/build.h"
#include "core/types.h"

namespace ck {
namespace CK_BUILD {

template <class T>
struct ExpTable;

template <>
struct ExpTable<float> {
  using Bits = int32_t;
  static constexpr int kMantissaBits = 23, kBias = 127, kDegree = 8;
  static constexpr float kLowest = -104.0f;  // exp underflows to zero below
  static constexpr float kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
};
template <>
struct ExpTable<double> {
  using Bits = int64_t;
  static constexpr int kMantissaBits = 52, kBias = 1023, kDegree = 14;
  static constexpr double kLowest = -746.0;
  static constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
};

template <class T>
static CK_SHARED_FUNCTION T power_of_two(int k) {  // k in the range of normal numbers
  using Bits = typename ExpTable<T>::Bits;
  return __builtin_bit_cast(T, Bits(k + ExpTable<T>::kBias) << ExpTable<T>::kMantissaBits);
}

// exp(x) = high * low * (1 + fraction), exp(x) - 1 = high * low * fraction + (high * low - 1), for
// x <= 0.
template <class T>
struct ExpParts {
  T high, low, fraction;
};

template <class T>
static CK_SHARED_FUNCTION ExpParts<T> exp_parts(T x) {
  using Table = ExpTable<T>;
  x = x < Table::kLowest ? Table::kLowest : x;
  const int k = -int(fused(-x, T(1.4426950408889634074), T(0.5)));
  const T minus_k = T(-k);
  const T r = fused(minus_k, Table::kLn2Low, fused(minus_k, Table::kLn2High, x));
  T factorial = T(1);
#pragma unroll
  for (int i = 2; i <= Table::kDegree; ++i) factorial *= T(i);
  T p = T(1) / factorial;
#pragma unroll
  for (int i = Table::kDegree - 1; i >= 1; --i) {
    factorial /= T(i + 1);
    p = fused(p, r, T(1) / factorial);
  }
  // Two factors, as 2^k itself may be subnormal.
  return {power_of_two<T>(k / 2), power_of_two<T>(k - k / 2), p * r};
}

// With e = exp(-|x|), sigmoid is 1 / (1 + e) or e / (1 + e) by the sign of x; with m = exp(-2 |x|)
// - 1, tanh |x| is -m / (2 + m). One exponential and one quotient serve both, as this is inlined
// for each output of a thread.
template <class T>
static CK_SHARED_FUNCTION T bend(T x, bool is_tanh) {
  const bool negative = x < T(0);
  const T a = negative ? x : -x;
  const ExpParts<T> parts = exp_parts(is_tanh ? a + a : a);
  const T scale = parts.high * parts.low;
  const T e = parts.high * fused(parts.low, parts.fraction, parts.low);
  const T m = fused(scale, parts.fraction, scale - T(1));
  const T upper = is_tanh ? -m : negative ? e : T(1);
  const T result = upper / (is_tanh ? T(2) + m : T(1) + e);
  if (is_tanh && x == T(0)) return x;  // the sign of a zero is its own
  return is_tanh && negative ? -result : result;
}

template <class T>
static CK_SHARED_FUNCTION T stated_activate(T x, Activation activation) {
  if (activation == Activation::kNone || x != x) return x;
  if (activation == Activation::kRelu) return x > T(0) ? x : T(0);
  return bend(x, activation == Activation::kTanh);
}

static CK_SHARED_FUNCTION float square_root(float x) {
#if defined(__CUDA_ARCH__)
  return __fsqrt_rn(x);
#else
  return __builtin_sqrtf(x);
#endif
}
static CK_SHARED_FUNCTION double square_root(double x) {
#if defined(__CUDA_ARCH__)
  return __dsqrt_rn(x);
#else
  return __builtin_sqrt(x);
#endif
}

template <class T>
static CK_SHARED_FUNCTION T infinity_of() {
  return T(__builtin_inff());
}
template <class T>
static CK_SHARED_FUNCTION T nan_of() {
  return T(__builtin_nanf(""));
}

// kRound: a number plus it has no digits after the point, and its lowest bits hold the rounded
// number. kTaylor and kLogTerms: where the next term falls under a tenth of an ulp.
template <class T>
struct LogTable;

template <>
struct LogTable<float> : ExpTable<float> {
  static constexpr int kTaylor = 7, kLogTerms = 5;
  static constexpr float kRound = 0x1.8p23f, kSmallest = 0x1p-126f;
  static constexpr float kLift = 0x1p24f, kLifted = 24.0f;             // of subnormal numbers
  static constexpr Bits kRootHalf = 0x3f3504f3, kMantissa = 0x7fffff;  // bits of sqrt(1/2)
};
template <>
struct LogTable<double> : ExpTable<double> {
  static constexpr int kTaylor = 13, kLogTerms = 11;
  static constexpr double kRound = 0x1.8p52, kSmallest = 0x1p-1022;
  static constexpr double kLift = 0x1p54, kLifted = 54.0;
  static constexpr Bits kRootHalf = 0x3fe6a09e667f3bcd, kMantissa = 0xfffffffffffff;
};

// What V consists of, and whole numbers of V's shape.
template <class V>
struct Numbers;
template <>
struct Numbers<float> {
  using Number = float;
  using Whole = int32_t;
};
template <>
struct Numbers<double> {
  using Number = double;
  using Whole = int64_t;
};

// How a multiply-add rounds: once. A CPU without it has another way, for functions whose bits are
// not stated.
struct RoundsOnce {
  template <class V>
  static CK_SHARED_FUNCTION V step(V a, V b, V c) {
    return fused(a, b, c);
  }
};

// The whole numbers that number + kRound holds.
template <class V>
static CK_SHARED_FUNCTION typename Numbers<V>::Whole whole_of(V with_round) {
  using Table = LogTable<typename Numbers<V>::Number>;
  using Whole = typename Numbers<V>::Whole;
  return __builtin_bit_cast(Whole, with_round) - __builtin_bit_cast(Whole, V{} + Table::kRound);
}

// v * 2^k for v near 1, in two steps, as 2^k itself may be subnormal or infinite.
template <class V>
static CK_SHARED_FUNCTION V times_power_of_two(V v, typename Numbers<V>::Whole k) {
  using Table = LogTable<typename Numbers<V>::Number>;
  using Whole = typename Numbers<V>::Whole;
  const Whole most = Whole{} + 2 * (Table::kBias - 1);
  k = k > most ? most : k;
  k = k < -most ? -most : k;
  const Whole half = ((k + most) >> 1) - (most >> 1);  // no shift of a negative number
  const Whole rest = k - half;
  return v * __builtin_bit_cast(V, (half + Table::kBias) << Table::kMantissaBits) *
         __builtin_bit_cast(V, (rest + Table::kBias) << Table::kMantissaBits);
}

// 2^n * exp(x), for x below some hundred.
template <class Rounding, class V>
static CK_SHARED_FUNCTION V exp_times_power(V x, typename Numbers<V>::Whole n) {
  using T = typename Numbers<V>::Number;
  using Table = LogTable<T>;
  const V lowest = V{} + Table::kLowest;
  x = x < lowest ? lowest : x;
  const V round = V{} + Table::kRound;
  const V shifted = Rounding::step(x, V{} + T(1.4426950408889634074), round);
  const V minus_k = round - shifted;
  const V r = Rounding::step(minus_k, V{} + Table::kLn2Low,
                             Rounding::step(minus_k, V{} + Table::kLn2High, x));
  T factorial = T(1);
  CK_UNROLL
  for (int i = 2; i <= Table::kTaylor; ++i) factorial *= T(i);
  V p = V{} + T(1) / factorial;
  CK_UNROLL
  for (int i = Table::kTaylor; i >= 1; --i) {
    factorial /= T(i);
    p = Rounding::step(p, r, V{} + T(1) / factorial);
  }
  return times_power_of_two(p, whole_of(shifted) + n);
}

template <class V>
struct LogParts {
  V exponent, log;
};

// Of x > 0.
template <class Rounding, class V>
static CK_SHARED_FUNCTION LogParts<V> log_parts(V x) {
  using T = typename Numbers<V>::Number;
  using Table = LogTable<T>;
  using Whole = typename Numbers<V>::Whole;
  x = x > V{} ? x : V{} + T(1);
  const V smallest = V{} + Table::kSmallest, round = V{} + Table::kRound;
  const V lifted = x < smallest ? x * Table::kLift : x;
  const Whole above = __builtin_bit_cast(Whole, lifted) - Table::kRootHalf;
  const Whole exponent = above >> Table::kMantissaBits;  // rounds down
  const V power = __builtin_bit_cast(V, exponent + __builtin_bit_cast(Whole, round)) - round;

  const V f = __builtin_bit_cast(V, (above & Table::kMantissa) + Table::kRootHalf) - T(1);
  const V s = f / (T(2) + f), z = s * s;
  V r = V{} + T(2) / T(2 * Table::kLogTerms + 1);
  CK_UNROLL
  for (int i = Table::kLogTerms - 1; i >= 1; --i)
    r = Rounding::step(r, z, V{} + T(2) / T(2 * i + 1));
  return {x < smallest ? power - Table::kLifted : power, Rounding::step(-s, f - r * z, f)};
}

// What a function of x > 0 is elsewhere.
template <class V, class T>
static CK_SHARED_FUNCTION V with_limits(V x, V value, T at_zero, T at_infinity) {
  const V infinity = V{} + infinity_of<T>();
  value = x < infinity ? value : x;  // NaN
  value = x == infinity ? V{} + at_infinity : value;
  value = x == V{} ? V{} + at_zero : value;
  return x < V{} ? V{} + nan_of<T>() : value;
}

template <class Rounding, class V>
static CK_SHARED_FUNCTION V log_of_numbers(V x) {
  using T = typename Numbers<V>::Number;
  using Table = LogTable<T>;
  const LogParts<V> parts = log_parts<Rounding>(x);
  const V low = Rounding::step(parts.exponent, V{} + Table::kLn2Low, parts.log);
  const V value = Rounding::step(parts.exponent, V{} + Table::kLn2High, low);
  return with_limits(x, value, -infinity_of<T>(), infinity_of<T>());
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
    return {T(high), T(b - high), T(b), b > 0 ? infinity : T(0), b > 0 ? T(0) : infinity};
  }
};

// x^-b = 2^-(e * b) * exp(-b * log(m)). NaN^0 is 1, as everything to the power 0.
template <class Rounding, class V, class T>
static CK_SHARED_FUNCTION V power_of_numbers(V x, const NegativePower<T>& p) {
  if (p.b == T(0)) return V{} + T(1);
  const LogParts<V> parts = log_parts<Rounding>(x);
  const V round = V{} + LogTable<T>::kRound;
  const V product = parts.exponent * p.high;
  const V shifted = round - product;
  const V whole = round - shifted;  // of the product
  const V fraction = Rounding::step(parts.exponent, V{} + p.low, product - whole);
  const V exponent = Rounding::step(fraction, V{} + T(-0.69314718055994530942), -(parts.log * p.b));
  const V value = exp_times_power<Rounding>(exponent, whole_of(shifted));
  return with_limits(x, value, p.at_zero, p.at_infinity);
}

template <class T>
static CK_SHARED_FUNCTION T stated_exp(T x) {
  return exp_times_power<RoundsOnce>(x, typename Numbers<T>::Whole{});
}
template <class T>
static CK_SHARED_FUNCTION T stated_log(T x) {
  return log_of_numbers<RoundsOnce>(x);
}
template <class T>
static CK_SHARED_FUNCTION T stated_power(T x, const NegativePower<T>& p) {
  return power_of_numbers<RoundsOnce>(x, p);
}

}  // namespace CK_BUILD
}  // namespace ck
