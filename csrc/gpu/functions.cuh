// exp, log and powers for the GPU kernels, in fused multiply-adds only, so that every build gives
// the same bits. The series and their cuts are those of activation.cuh and of cpu/functions.h.
#pragma once

#include "gpu/activation.cuh"

namespace ck {
namespace CK_GPU {

template <class T>
struct LogTable;

template <>
struct LogTable<float> {
  static constexpr int kTerms = 5, kLifted = 24;
  static constexpr float kSmallest = 0x1p-126f, kLift = 0x1p24f;
  static constexpr int32_t kRootHalf = 0x3f3504f3;  // bits of sqrt(1/2)
};
template <>
struct LogTable<double> {
  static constexpr int kTerms = 11, kLifted = 54;
  static constexpr double kSmallest = 0x1p-1022, kLift = 0x1p54;
  static constexpr int64_t kRootHalf = 0x3fe6a09e667f3bcd;
};

template <class T>
static __device__ __forceinline__ T infinity_of() {
  return T(__int_as_float(0x7f800000));
}
template <class T>
static __device__ __forceinline__ T nan_of() {
  return T(__int_as_float(0x7fc00000));
}

// exp(x) for x <= 0 and NaN.
template <class T>
static __device__ __forceinline__ T exp_below_zero(T x) {
  if (x != x) return x;
  const ExpParts<T> parts = exp_parts(x);
  return parts.high * fma_rn(parts.low, parts.fraction, parts.low);
}

// x = 2^exponent * m for x > 0, with m in [sqrt(1/2), sqrt(2)), and log(m).
template <class T>
struct LogParts {
  int exponent;
  T log;
};
template <class T>
static __device__ __forceinline__ LogParts<T> log_parts(T x) {
  using Table = LogTable<T>;
  using Bits = typename ExpTable<T>::Bits;
  constexpr int kMantissaBits = ExpTable<T>::kMantissaBits;
  const bool is_small = x < Table::kSmallest;
  if (is_small) x *= Table::kLift;
  Bits bits;
  memcpy(&bits, &x, sizeof(T));
  const Bits above = bits - Table::kRootHalf;
  const Bits m_bits = (above & ((Bits(1) << kMantissaBits) - 1)) + Table::kRootHalf;
  T m;
  memcpy(&m, &m_bits, sizeof(T));

  const T f = m - T(1), s = f / (T(2) + f), z = s * s;
  T r = T(2) / T(2 * Table::kTerms + 1);
#pragma unroll
  for (int i = Table::kTerms - 1; i >= 1; --i) r = fma_rn(r, z, T(2) / T(2 * i + 1));
  r *= z;
  return {int(above >> kMantissaBits) - (is_small ? Table::kLifted : 0), fma_rn(-s, f - r, f)};
}

template <class T>
static __device__ __forceinline__ T log_of(T x) {
  if (x == T(0)) return -infinity_of<T>();
  if (!(x > T(0))) return nan_of<T>();
  if (x == infinity_of<T>()) return x;
  const LogParts<T> parts = log_parts(x);
  const T exponent = T(parts.exponent);
  return fma_rn(exponent, ExpTable<T>::kLn2High, fma_rn(exponent, ExpTable<T>::kLn2Low, parts.log));
}

// What x^-b needs of b, |b| <= 100: `high` times any exponent is exact.
template <class T>
struct NegativePower {
  T high, low, b;
};
template <class T>
static inline NegativePower<T> negative_power(double b) {
  const double step = sizeof(T) == 4 ? 0x1p-7 : 0x1p-34;
  const double high = double(int64_t(b / step)) * step;
  return {T(high), T(b - high), T(b)};
}

// x^-b = 2^-(e * b) * exp(-b * log(m)). NaN^0 is 1, as everything to the power 0.
template <class T>
static __device__ __forceinline__ T power_of(T x, const NegativePower<T>& p) {
  using Table = ExpTable<T>;
  if (p.b == T(0)) return T(1);
  if (x == T(0)) return p.b > T(0) ? infinity_of<T>() : T(0);
  if (!(x > T(0))) return nan_of<T>();
  if (x == infinity_of<T>()) return p.b < T(0) ? x : T(0);
  const LogParts<T> parts = log_parts(x);
  const T product = T(parts.exponent) * p.high;
  const T whole = rint(product);
  const T fraction = fma_rn(T(parts.exponent), p.low, product - whole);
  const T argument = fma_rn(fraction, T(-0.69314718055994530942), -(parts.log * p.b));

  const T turns = rint(argument * T(1.4426950408889634074));
  const T r = fma_rn(-turns, Table::kLn2Low, fma_rn(-turns, Table::kLn2High, argument));
  T factorial = T(1);
#pragma unroll
  for (int i = 2; i <= Table::kDegree; ++i) factorial *= T(i);
  T e = T(1) / factorial;
#pragma unroll
  for (int i = Table::kDegree; i >= 1; --i) {
    factorial /= T(i);
    e = fma_rn(e, r, T(1) / factorial);
  }
  constexpr int kMost = 2 * (Table::kBias - 1);  // two factors, as 2^k may be subnormal or infinite
  const int k = larger(smaller(int(turns) - int(whole), kMost), -kMost);
  return e * power_of_two<T>(k / 2) * power_of_two<T>(k - k / 2);
}

}  // namespace CK_GPU
}  // namespace ck
