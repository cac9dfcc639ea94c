// The vector type of the cpu kernels: Vec<T> is as wide as the instruction set this copy is
// compiled for. Arithmetic is the compiler's vector extension, so that one text serves SSE2, NEON,
// AVX2 and AVX-512; intrinsics stand only where the extension has no word for it: fused
// multiply-add, and loads and stores that leave lanes untouched.
//
// Lanes switched off by a mask are neither read nor written: kernels may walk to the very last
// element of an array whose neighbour is a guard page. Pointers need the alignment of their
// element, no more.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define CK_INLINE inline __attribute__((always_inline))

namespace ck {
namespace CK_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

// Whether multiply_add rounds once. Baseline x86 has no such instruction, and a call of libm's fma
// costs a hundred multiplications, so there it is a multiplication and an addition.
#if defined(__FMA__) || defined(__aarch64__)
constexpr bool kFusedMultiplyAdd = true;
#else
constexpr bool kFusedMultiplyAdd = false;
#endif

template <class T>
constexpr int kLanes = kVectorBytes / int(sizeof(T));

template <class T>
constexpr uint32_t kAllLanes = (1u << kLanes<T>)-1u;

// Bits of lanes [0, count), for a count of at most kLanes.
static CK_INLINE uint32_t first_lanes(int64_t count) { return (1u << count) - 1u; }

static CK_INLINE float multiply_add(float a, float b, float c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

static CK_INLINE double multiply_add(double a, double b, double c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// An integer as wide as the element, for what is bitwise.
template <class T>
struct BitsOf;
template <>
struct BitsOf<float> {
  typedef int32_t Type;
};
template <>
struct BitsOf<double> {
  typedef int64_t Type;
};

template <class T>
struct Vec {
  typedef T Raw __attribute__((vector_size(kVectorBytes)));
  typedef typename BitsOf<T>::Type Bits;
  typedef Bits RawBits __attribute__((vector_size(kVectorBytes)));
  Raw raw;

  static CK_INLINE Vec zero() { return Vec{Raw{}}; }
  static CK_INLINE Vec broadcast(T value) { return Vec{value - Raw{}}; }  // x - 0 is x, also for -0
  static CK_INLINE Vec load(const T* from) {
    Vec v;
    __builtin_memcpy(&v.raw, from, sizeof(Raw));
    return v;
  }
  CK_INLINE void store(T* to) const { __builtin_memcpy(to, &raw, sizeof(Raw)); }

  // Lane i comes from from[i] where bit i of lanes is set, else it is 0.
  static CK_INLINE Vec load_masked(const T* from, uint32_t lanes);
  CK_INLINE void store_masked(T* to, uint32_t lanes) const;
  // Lane i comes from from[i] where bit i of lanes is set, else from `other`.
  static CK_INLINE Vec load_over(Vec other, const T* from, uint32_t lanes);
  static CK_INLINE Vec load_first(const T* from, int64_t count) {
    return count >= kLanes<T> ? load(from) : load_masked(from, first_lanes(count));
  }
  CK_INLINE void store_first(T* to, int64_t count) const {
    if (count >= kLanes<T>) {
      store(to);
    } else {
      store_masked(to, first_lanes(count));
    }
  }

  CK_INLINE Vec operator+(Vec b) const { return Vec{raw + b.raw}; }
  CK_INLINE Vec operator-(Vec b) const { return Vec{raw - b.raw}; }
  CK_INLINE Vec operator*(Vec b) const { return Vec{raw * b.raw}; }
  // Joins vectors whose lanes are +0 wherever the other one's are not.
  CK_INLINE Vec operator|(Vec b) const { return Vec{Raw(RawBits(raw) | RawBits(b.raw))}; }
  CK_INLINE T operator[](int lane) const { return raw[lane]; }
};

#if defined(__x86_64__) && defined(__AVX2__) && !defined(__AVX512F__)
// Bit i of lanes spread over all bits of lane i, the form vmaskmov wants.
static CK_INLINE __m256i spread_lanes32(uint32_t lanes) {
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(int(lanes)), bit), bit);
}
static CK_INLINE __m256i spread_lanes64(uint32_t lanes) {
  const __m256i bit = _mm256_setr_epi64x(1, 2, 4, 8);
  return _mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x(int64_t(lanes)), bit), bit);
}
#endif

template <class T>
CK_INLINE Vec<T> Vec<T>::load_masked(const T* from, uint32_t lanes) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return Vec{Raw(_mm512_maskz_loadu_ps(__mmask16(lanes), from))};
  } else {
    return Vec{Raw(_mm512_maskz_loadu_pd(__mmask8(lanes), from))};
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    return Vec{Raw(_mm256_maskload_ps(from, spread_lanes32(lanes)))};
  } else {
    return Vec{Raw(_mm256_maskload_pd(from, spread_lanes64(lanes)))};
  }
#else
  if (lanes == kAllLanes<T>) return load(from);
  Vec v = zero();
  for (int i = 0; i < kLanes<T>; ++i) {
    if (lanes >> i & 1u) v.raw[i] = from[i];
  }
  return v;
#endif
}

template <class T>
CK_INLINE Vec<T> Vec<T>::load_over(Vec other, const T* from, uint32_t lanes) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return Vec{Raw(_mm512_mask_loadu_ps(__m512(other.raw), __mmask16(lanes), from))};
  } else {
    return Vec{Raw(_mm512_mask_loadu_pd(__m512d(other.raw), __mmask8(lanes), from))};
  }
#elif defined(__AVX2__)
  const Vec loaded = load_masked(from, lanes);
  if constexpr (sizeof(T) == 4) {
    const __m256 where = _mm256_castsi256_ps(spread_lanes32(lanes));
    return Vec{Raw(_mm256_blendv_ps(__m256(other.raw), __m256(loaded.raw), where))};
  } else {
    const __m256d where = _mm256_castsi256_pd(spread_lanes64(lanes));
    return Vec{Raw(_mm256_blendv_pd(__m256d(other.raw), __m256d(loaded.raw), where))};
  }
#else
  for (int i = 0; i < kLanes<T>; ++i) {
    if (lanes >> i & 1u) other.raw[i] = from[i];
  }
  return other;
#endif
}

template <class T>
CK_INLINE void Vec<T>::store_masked(T* to, uint32_t lanes) const {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_ps(to, __mmask16(lanes), __m512(raw));
  } else {
    _mm512_mask_storeu_pd(to, __mmask8(lanes), __m512d(raw));
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    _mm256_maskstore_ps(to, spread_lanes32(lanes), __m256(raw));
  } else {
    _mm256_maskstore_pd(to, spread_lanes64(lanes), __m256d(raw));
  }
#else
  if (lanes == kAllLanes<T>) {
    store(to);
    return;
  }
  for (int i = 0; i < kLanes<T>; ++i) {
    if (lanes >> i & 1u) to[i] = raw[i];
  }
#endif
}

// a * b + c in every lane, rounded as the scalar multiply_add.
template <class T>
static CK_INLINE Vec<T> multiply_add(Vec<T> a, Vec<T> b, Vec<T> c) {
  typedef typename Vec<T>::Raw Raw;
  if constexpr (sizeof(T) == 4) {
#if defined(__AVX512F__)
    return Vec<T>{Raw(_mm512_fmadd_ps(__m512(a.raw), __m512(b.raw), __m512(c.raw)))};
#elif defined(__FMA__) && defined(__AVX2__)
    return Vec<T>{Raw(_mm256_fmadd_ps(__m256(a.raw), __m256(b.raw), __m256(c.raw)))};
#elif defined(__aarch64__)
    return Vec<T>{Raw(vfmaq_f32(float32x4_t(c.raw), float32x4_t(a.raw), float32x4_t(b.raw)))};
#else
    return Vec<T>{Raw(a.raw * b.raw + c.raw)};
#endif
  } else {
#if defined(__AVX512F__)
    return Vec<T>{Raw(_mm512_fmadd_pd(__m512d(a.raw), __m512d(b.raw), __m512d(c.raw)))};
#elif defined(__FMA__) && defined(__AVX2__)
    return Vec<T>{Raw(_mm256_fmadd_pd(__m256d(a.raw), __m256d(b.raw), __m256d(c.raw)))};
#elif defined(__aarch64__)
    return Vec<T>{Raw(vfmaq_f64(float64x2_t(c.raw), float64x2_t(a.raw), float64x2_t(b.raw)))};
#else
    return Vec<T>{Raw(a.raw * b.raw + c.raw)};
#endif
  }
}

// 0 below 0; NaN stays NaN, as the comparison with it is false.
template <class T>
static CK_INLINE Vec<T> relu(Vec<T> v) {
  typedef typename Vec<T>::Raw Raw;
  return Vec<T>{v.raw < Raw{} ? Raw{} : v.raw};
}

// The sum of all lanes, halves first: a fixed tree. In registers: through memory it would cost more
// than the shorter sums it ends.
template <class T, int kCount, class Raw>
static CK_INLINE T sum_of_halves(Raw raw) {
  if constexpr (kCount == 1) {
    return raw[0];
  } else if constexpr (kCount == 2) {
    return raw[0] + raw[1];
  } else {
    typedef T Half __attribute__((vector_size(kCount / 2 * sizeof(T))));
    Half half[2];
    __builtin_memcpy(half, &raw, sizeof(raw));
    return sum_of_halves<T, kCount / 2>(half[0] + half[1]);
  }
}
template <class T>
static CK_INLINE T sum_of_lanes(Vec<T> v) {
  return sum_of_halves<T, kLanes<T>>(v.raw);
}

}  // namespace CK_ISA
}  // namespace ck
