// CUDA's scalar functions for host builds: arithmetic with stated rounding, bits, loads with cache
// hints, atomics. The overloads are CUDA's own set and no more, so that what compiles here compiles
// under nvcc. Builtins instead of <cmath>: its overloads are inline functions of namespace std.
#pragma once

#include "simt/types.h"

namespace ck {
namespace CK_GPU {

#define CK_SIMT_INLINE inline __attribute__((always_inline))

// Hidden from the optimiser's view of types: a plain copy of bits.
template <class To, class From>
CK_SIMT_INLINE To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof(to));
  return to;
}
CK_SIMT_INLINE int __float_as_int(float v) { return bits_as<int>(v); }
CK_SIMT_INLINE unsigned __float_as_uint(float v) { return bits_as<unsigned>(v); }
CK_SIMT_INLINE float __int_as_float(int v) { return bits_as<float>(v); }
CK_SIMT_INLINE float __uint_as_float(unsigned v) { return bits_as<float>(v); }
CK_SIMT_INLINE long long __double_as_longlong(double v) { return bits_as<long long>(v); }
CK_SIMT_INLINE double __longlong_as_double(long long v) { return bits_as<double>(v); }

// Round to nearest even, never contracted: the host build has -ffp-contract=off.
CK_SIMT_INLINE float __fadd_rn(float a, float b) { return a + b; }
CK_SIMT_INLINE float __fsub_rn(float a, float b) { return a - b; }
CK_SIMT_INLINE float __fmul_rn(float a, float b) { return a * b; }
CK_SIMT_INLINE float __fdiv_rn(float a, float b) { return a / b; }
CK_SIMT_INLINE float __frcp_rn(float a) { return 1.0f / a; }
CK_SIMT_INLINE float __fsqrt_rn(float a) { return __builtin_sqrtf(a); }
CK_SIMT_INLINE float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
CK_SIMT_INLINE double __dadd_rn(double a, double b) { return a + b; }
CK_SIMT_INLINE double __dsub_rn(double a, double b) { return a - b; }
CK_SIMT_INLINE double __dmul_rn(double a, double b) { return a * b; }
CK_SIMT_INLINE double __ddiv_rn(double a, double b) { return a / b; }
CK_SIMT_INLINE double __drcp_rn(double a) { return 1.0 / a; }
CK_SIMT_INLINE double __dsqrt_rn(double a) { return __builtin_sqrt(a); }
CK_SIMT_INLINE double __fma_rn(double a, double b, double c) { return __builtin_fma(a, b, c); }

// Only functions that IEEE 754 fixes to the last bit; exp, tanh and the like are in csrc/core.
CK_SIMT_INLINE float fmaf(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
CK_SIMT_INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
CK_SIMT_INLINE double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
CK_SIMT_INLINE float sqrtf(float a) { return __builtin_sqrtf(a); }
CK_SIMT_INLINE float sqrt(float a) { return __builtin_sqrtf(a); }
CK_SIMT_INLINE double sqrt(double a) { return __builtin_sqrt(a); }
CK_SIMT_INLINE float fabsf(float a) { return __builtin_fabsf(a); }
CK_SIMT_INLINE float fabs(float a) { return __builtin_fabsf(a); }
CK_SIMT_INLINE double fabs(double a) { return __builtin_fabs(a); }
CK_SIMT_INLINE float floorf(float a) { return __builtin_floorf(a); }
CK_SIMT_INLINE float floor(float a) { return __builtin_floorf(a); }
CK_SIMT_INLINE double floor(double a) { return __builtin_floor(a); }
CK_SIMT_INLINE float ceilf(float a) { return __builtin_ceilf(a); }
CK_SIMT_INLINE float ceil(float a) { return __builtin_ceilf(a); }
CK_SIMT_INLINE double ceil(double a) { return __builtin_ceil(a); }
CK_SIMT_INLINE float rintf(float a) { return __builtin_rintf(a); }
CK_SIMT_INLINE float rint(float a) { return __builtin_rintf(a); }
CK_SIMT_INLINE double rint(double a) { return __builtin_rint(a); }
CK_SIMT_INLINE bool isnan(float a) { return __builtin_isnan(a); }
CK_SIMT_INLINE bool isnan(double a) { return __builtin_isnan(a); }
CK_SIMT_INLINE bool isinf(float a) { return __builtin_isinf(a); }
CK_SIMT_INLINE bool isinf(double a) { return __builtin_isinf(a); }

#define CK_SIMT_MIN_MAX(type)                                       \
  CK_SIMT_INLINE type min(type a, type b) { return b < a ? b : a; } \
  CK_SIMT_INLINE type max(type a, type b) { return a < b ? b : a; }
CK_SIMT_MIN_MAX(int)
CK_SIMT_MIN_MAX(unsigned)
CK_SIMT_MIN_MAX(long)
CK_SIMT_MIN_MAX(unsigned long)
CK_SIMT_MIN_MAX(long long)
CK_SIMT_MIN_MAX(unsigned long long)
#undef CK_SIMT_MIN_MAX

// As the GPU's: a NaN gives way to a number, and -0 is less than +0.
#define CK_SIMT_FMIN_FMAX(type, sign, fmin_name, fmax_name)           \
  CK_SIMT_INLINE type fmin_name(type a, type b) {                     \
    if (isnan(a)) return b;                                           \
    if (isnan(b)) return a;                                           \
    return a < b || (a == b && sign(a)) ? a : b;                      \
  }                                                                   \
  CK_SIMT_INLINE type fmax_name(type a, type b) {                     \
    if (isnan(a)) return b;                                           \
    if (isnan(b)) return a;                                           \
    return a > b || (a == b && !sign(a)) ? a : b;                     \
  }                                                                   \
  CK_SIMT_INLINE type min(type a, type b) { return fmin_name(a, b); } \
  CK_SIMT_INLINE type max(type a, type b) { return fmax_name(a, b); }
CK_SIMT_FMIN_FMAX(float, __builtin_signbitf, fminf, fmaxf)
CK_SIMT_FMIN_FMAX(double, __builtin_signbit, fmin, fmax)
#undef CK_SIMT_FMIN_FMAX

CK_SIMT_INLINE int __popc(unsigned v) { return __builtin_popcount(v); }
CK_SIMT_INLINE int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
CK_SIMT_INLINE int __ffs(int v) { return __builtin_ffs(v); }
CK_SIMT_INLINE int __ffsll(long long v) { return __builtin_ffsll(v); }
CK_SIMT_INLINE int __clz(int v) { return v == 0 ? 32 : __builtin_clz(static_cast<unsigned>(v)); }
CK_SIMT_INLINE int __clzll(long long v) {
  return v == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(v));
}
CK_SIMT_INLINE unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32);
}
CK_SIMT_INLINE int __mulhi(int a, int b) {
  return static_cast<int>((static_cast<int64_t>(a) * b) >> 32);
}

// The hints mean nothing here.
template <class T>
CK_SIMT_INLINE T __ldg(const T* p) {
  return *p;
}
template <class T>
CK_SIMT_INLINE T __ldcg(const T* p) {
  return *p;
}
template <class T>
CK_SIMT_INLINE T __ldcs(const T* p) {
  return *p;
}
template <class T>
CK_SIMT_INLINE void __stcg(T* p, T v) {
  *p = v;
}
template <class T>
CK_SIMT_INLINE void __stcs(T* p, T v) {
  *p = v;
}

CK_SIMT_INLINE void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
CK_SIMT_INLINE void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
[[noreturn]] CK_SIMT_INLINE void __trap() { simt::trap("__trap()"); }

// Atomics on integers only: float atomics would make results depend on the order of threads.
template <class T, class Update>
CK_SIMT_INLINE T atomic_update(T* address, Update update) {
  T old = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(address, &old, update(old), false, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED)) {
  }
  return old;
}
#define CK_SIMT_ATOMIC_ADD(type)                                                                  \
  CK_SIMT_INLINE type atomicAdd(type* address, type v) {                                          \
    return __atomic_fetch_add(address, v, __ATOMIC_RELAXED);                                      \
  }                                                                                               \
  CK_SIMT_INLINE type atomicExch(type* address, type v) {                                         \
    return __atomic_exchange_n(address, v, __ATOMIC_RELAXED);                                     \
  }                                                                                               \
  CK_SIMT_INLINE type atomicCAS(type* address, type compare, type v) {                            \
    __atomic_compare_exchange_n(address, &compare, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED); \
    return compare;                                                                               \
  }
CK_SIMT_ATOMIC_ADD(int)
CK_SIMT_ATOMIC_ADD(unsigned)
CK_SIMT_ATOMIC_ADD(unsigned long long)
#undef CK_SIMT_ATOMIC_ADD
#define CK_SIMT_ATOMIC_REST(type)                                         \
  CK_SIMT_INLINE type atomicMin(type* address, type v) {                  \
    return atomic_update(address, [v](type old) { return min(old, v); }); \
  }                                                                       \
  CK_SIMT_INLINE type atomicMax(type* address, type v) {                  \
    return atomic_update(address, [v](type old) { return max(old, v); }); \
  }                                                                       \
  CK_SIMT_INLINE type atomicAnd(type* address, type v) {                  \
    return __atomic_fetch_and(address, v, __ATOMIC_RELAXED);              \
  }                                                                       \
  CK_SIMT_INLINE type atomicOr(type* address, type v) {                   \
    return __atomic_fetch_or(address, v, __ATOMIC_RELAXED);               \
  }                                                                       \
  CK_SIMT_INLINE type atomicXor(type* address, type v) {                  \
    return __atomic_fetch_xor(address, v, __ATOMIC_RELAXED);              \
  }
CK_SIMT_ATOMIC_REST(int)
CK_SIMT_ATOMIC_REST(unsigned)
CK_SIMT_ATOMIC_REST(long long)
CK_SIMT_ATOMIC_REST(unsigned long long)
#undef CK_SIMT_ATOMIC_REST
CK_SIMT_INLINE int atomicSub(int* address, int v) {
  return __atomic_fetch_sub(address, v, __ATOMIC_RELAXED);
}
CK_SIMT_INLINE unsigned atomicSub(unsigned* address, unsigned v) {
  return __atomic_fetch_sub(address, v, __ATOMIC_RELAXED);
}

}  // namespace CK_GPU
}  // namespace ck
