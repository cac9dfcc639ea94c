// Scalars, 16-byte vectors and index arithmetic of the GPU kernels.
#pragma once

#include <cstdint>
#include <cstring>

#include "gpu/device.cuh"

namespace ck {
namespace CK_GPU {

constexpr int kVectorBytes = 16;  // the widest load and store of a thread
constexpr int kSectorBytes = 32;  // what memory moves at least

static __device__ __forceinline__ float fma_rn(float a, float b, float c) {
  return __fmaf_rn(a, b, c);
}
static __device__ __forceinline__ double fma_rn(double a, double b, double c) {
  return __fma_rn(a, b, c);
}

// One to four neighbours in memory, moved by one instruction.
template <class T, int kCount>
struct alignas(kCount * alignof(T)) Pack {
  T value[kCount];
};

template <class T, int kCount>
static __device__ __forceinline__ Pack<T, kCount> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<T, kCount>*>(from);
}
template <class T, int kCount>
static __device__ __forceinline__ void store_pack(T* to, const Pack<T, kCount>& pack) {
  *reinterpret_cast<Pack<T, kCount>*>(to) = pack;
}
template <class T, int kCount>
static __device__ __forceinline__ Pack<T, kCount> zero_pack() {
  Pack<T, kCount> pack;
#pragma unroll
  for (int i = 0; i < kCount; ++i) pack.value[i] = T{};
  return pack;
}

static inline bool is_vector_aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % kVectorBytes == 0;
}

static __host__ __device__ __forceinline__ int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
template <class T>
static constexpr __host__ __device__ __forceinline__ T smaller(T a, T b) {
  return a < b ? a : b;
}
template <class T>
static constexpr __host__ __device__ __forceinline__ T larger(T a, T b) {
  return a > b ? a : b;
}

// Quotients by a divisor known before the loop. With l = ceil(log2 d) and magic = ceil(2^(31+l) /
// d), the high word of n * magic shifted right by l - 1 is floor(n / d) for every 0 <= n < 2^31.
struct FastDivide {
  uint32_t divisor, magic;
  int shift;

  __host__ __device__ __forceinline__ uint32_t quotient(uint32_t n) const {
    return divisor == 1 ? n : uint32_t((uint64_t(n) * magic) >> 32) >> shift;
  }
  __host__ __device__ __forceinline__ uint32_t remainder(uint32_t n, uint32_t quotient) const {
    return n - quotient * divisor;
  }
};

static __host__ __device__ __forceinline__ FastDivide fast_divide(int64_t divisor) {
  FastDivide result = {uint32_t(divisor), 0, 0};
  if (divisor <= 1) {
    result.divisor = 1;
    return result;
  }
  int log2 = 0;
  while ((int64_t(1) << log2) < divisor) ++log2;
  result.magic =
      uint32_t(((uint64_t(1) << (31 + log2)) + uint64_t(divisor) - 1) / uint64_t(divisor));
  result.shift = log2 - 1;
  return result;
}

// The same for numbers of 64 bits, by plain division.
struct WideDivide {
  uint64_t divisor;

  __device__ __forceinline__ uint64_t quotient(uint64_t n) const { return n / divisor; }
  __device__ __forceinline__ uint64_t remainder(uint64_t n, uint64_t quotient) const {
    return n - quotient * divisor;
  }
};

// How a kernel counts, by the type of its coordinates: int32_t where the geometry allows it,
// int64_t for any other.
template <class Index>
struct Counting;
template <>
struct Counting<int32_t> {
  using Number = uint32_t;
  using Divide = FastDivide;
  static Divide divide(int64_t divisor) { return fast_divide(divisor); }
};
template <>
struct Counting<int64_t> {
  using Number = uint64_t;
  using Divide = WideDivide;
  static Divide divide(int64_t divisor) { return {uint64_t(divisor)}; }
};

// The number of this thread's item. Launches of 32 bits count from 0, those of 64 bits go on where
// the one before ended.
template <class Geometry>
static __device__ __forceinline__ auto item_number(const Geometry& g, uint32_t per_block) {
  if constexpr (sizeof(g.items) == 8) {
    return g.first_item + uint64_t(blockIdx.x) * per_block + threadIdx.x;
  } else {
    return blockIdx.x * per_block + threadIdx.x;
  }
}

}  // namespace CK_GPU
}  // namespace ck
