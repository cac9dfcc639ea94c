// relu, tanh and sigmoid in fused multiply-adds, quotients and bits only, so that every build gives
// the same bits. exp(x) - 1 = 2^k * p(r) + (2^k - 1) with k = round(x / ln 2), |r| <= ln(2) / 2 and
// p the Taylor polynomial of exp(r) - 1, cut where the next term falls under a tenth of an ulp. NaN
// goes through all three.
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
  return is_tanh && negative ? -result : result;
}

template <class T>
static CK_SHARED_FUNCTION T stated_activate(T x, Activation activation) {
  if (activation == Activation::kNone || x != x) return x;
  if (activation == Activation::kRelu) return x > T(0) ? x : T(0);
  return bend(x, activation == Activation::kTanh);
}

}  // namespace CK_BUILD
}  // namespace ck
