// Tensor cores by warp: ldmatrix, mma.sync with float32 sums, and operands made of float32 numbers.
//
// Who holds what of a 16 x 8 product, with g = lane / 4 and t = lane % 4:
//   sums    d0 (g, 2t)  d1 (g, 2t + 1)  d2, d3 the same in row g + 8
//   tf32    k 8.   a0 (g, t)  a1 (g + 8, t)  a2 (g, t + 4)  a3 (g + 8, t + 4)
//                  b0 (k t, n g)  b1 (k t + 4, n g)
//   16 bit  k 16, two neighbours along k in a register, the lower one in the lower half.
//                  a0 (g, 2t)  a1 (g + 8, 2t)  a2 (g, 2t + 8)  a3 (g + 8, 2t + 8)
//                  b0 (k 2t, n g)  b1 (k 2t + 8, n g)
//
// Each wrapper has its PTX and, for simt, its emulation. Numbers are exact as long as they are
// whole and sums stay below 2^24; otherwise the order and rounding of the hardware are not
// specified, so nothing is promised but an error bound. The emulation follows what has been
// measured of A100 and H100 (Fasi et al. 2021; Khattak and Mikaitis 2025): products and sum are
// aligned to the largest of them, cut one bit below float32's last, added, and cut again.
//
// mma and the conversions need sm_80 and trap below. Not run on a GPU.
#pragma once

#include "core/half.h"
#include "gpu/device.cuh"

namespace ck {
namespace CK_GPU {

// 11 bits of significand in a float32; 8 in a bfloat16; 11 in a float16.
struct Tf32Operands {
  static constexpr int kDepth = 8;
};
struct BFloat16Operands {
  static constexpr int kDepth = 16;
};
struct Float16Operands {
  static constexpr int kDepth = 16;
};

#if defined(__CUDACC__)

// kCount (1, 2 or 4) matrices of 8 rows of 16 bytes; lane l names row l % 8 of matrix l / 8,
// aligned to 16 bytes. out[i] are elements 2t and 2t + 1 of row g of matrix i, of 2 bytes each;
// with kTransposed, of column g.
template <int kCount, bool kTransposed = false>
static __device__ __forceinline__ void ldmatrix(uint32_t (&out)[kCount], const void* row) {
  static_assert(kCount == 1 || kCount == 2 || kCount == 4);
  const unsigned from = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (kCount == 1 && !kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
                 : "=r"(out[0])
                 : "r"(from)
                 : "memory");
  } else if constexpr (kCount == 1) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                 : "=r"(out[0])
                 : "r"(from)
                 : "memory");
  } else if constexpr (kCount == 2 && !kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(out[0]), "=r"(out[1])
                 : "r"(from)
                 : "memory");
  } else if constexpr (kCount == 2) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(out[0]), "=r"(out[1])
                 : "r"(from)
                 : "memory");
  } else if constexpr (!kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(from)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(from)
                 : "memory");
  }
}

#if __CUDA_ARCH__ >= 800
#define CK_MMA(shape_and_types)                                                   \
  asm volatile("mma.sync.aligned." shape_and_types                                \
               " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                   \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#else
#define CK_MMA(shape_and_types) __trap()
#endif
// d += a * b, by all lanes of a warp.
static __device__ __forceinline__ void mma(Tf32Operands, float (&d)[4], const uint32_t (&a)[4],
                                           const uint32_t (&b)[2]) {
  CK_MMA("m16n8k8.row.col.f32.tf32.tf32.f32");
}
static __device__ __forceinline__ void mma(BFloat16Operands, float (&d)[4], const uint32_t (&a)[4],
                                           const uint32_t (&b)[2]) {
  CK_MMA("m16n8k16.row.col.f32.bf16.bf16.f32");
}
static __device__ __forceinline__ void mma(Float16Operands, float (&d)[4], const uint32_t (&a)[4],
                                           const uint32_t (&b)[2]) {
  CK_MMA("m16n8k16.row.col.f32.f16.f16.f32");
}
#undef CK_MMA

// To nearest, ties away from zero. A tf32 operand without it is cut, which doubles the error and
// biases it.
static __device__ __forceinline__ uint32_t to_tf32(float x) {
  uint32_t result = 0;
#if __CUDA_ARCH__ >= 800
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(result) : "f"(x));
#else
  __trap();
#endif
  return result;
}
// To nearest, ties to even.
static __device__ __forceinline__ uint32_t pack_bfloat16(float low, float high) {
  uint32_t result = 0;
#if __CUDA_ARCH__ >= 800
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
#else
  __trap();
#endif
  return result;
}
static __device__ __forceinline__ uint32_t pack_float16(float low, float high) {
  uint32_t result = 0;
#if __CUDA_ARCH__ >= 800
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
#else
  __trap();
#endif
  return result;
}

#else

struct LdmatrixPost : simt::WarpPost {
  const unsigned char* row;
  const unsigned char* from[4][2];  // rows that the lane's registers come from
};
template <bool kTransposed>
CK_SIMT_RUNTIME void complete_ldmatrix(simt::WarpPost* const* posts, uint32_t) {
  for (int lane = 0; lane < 32; ++lane) {
    LdmatrixPost& reader = *static_cast<LdmatrixPost*>(posts[lane]);
    for (int i = 0; i < 4; ++i) {
      for (int j = 0; j < 2; ++j) {
        const int row = kTransposed ? lane % 4 * 2 + j : lane / 4;
        reader.from[i][j] = static_cast<LdmatrixPost*>(posts[i * 8 + row])->row;
      }
    }
  }
}
// Each lane reads its own part when all have come.
template <int kCount, bool kTransposed = false>
CK_SIMT_INLINE void ldmatrix(uint32_t (&out)[kCount], const void* row, CK_SIMT_HERE) {
  static_assert(kCount == 1 || kCount == 2 || kCount == 4);
  LdmatrixPost post;
  post.site = {"ldmatrix", file, line};
  post.mask = 0xffffffffu;
  post.complete = complete_ldmatrix<kTransposed>;
  const int lane = lane_of_thread();
  post.row = static_cast<const unsigned char*>(row);
  if (lane < 8 * kCount) simt::require_shared(post.site, row, 16);
  simt::warp_collective(&post);
  for (int i = 0; i < kCount; ++i) {
    if (kTransposed) {
      uint16_t half[2];
      for (int j = 0; j < 2; ++j) __builtin_memcpy(&half[j], post.from[i][j] + lane / 4 * 2, 2);
      out[i] = half[0] | static_cast<uint32_t>(half[1]) << 16;
    } else {
      __builtin_memcpy(&out[i], post.from[i][0] + lane % 4 * 4, 4);
    }
  }
}

CK_SIMT_INLINE float operand_value(Tf32Operands, const uint32_t* registers, int k) {
  return bits_as<float>(registers[k / 4] & ~0x1fffu);
}
CK_SIMT_INLINE float operand_value(BFloat16Operands, const uint32_t* registers, int k) {
  return widen(BFloat16{static_cast<uint16_t>(registers[k / 8] >> k % 2 * 16)});
}
CK_SIMT_INLINE float operand_value(Float16Operands, const uint32_t* registers, int k) {
  return widen(Float16{static_cast<uint16_t>(registers[k / 8] >> k % 2 * 16)});
}

// As measured (see above). In double every step is exact but the cuts.
template <int kDepth>
CK_SIMT_RUNTIME float cut_sum(const float (&a)[kDepth], const float (&b)[kDepth], float c) {
  double term[kDepth + 1], plain = 0, largest = 0;
  for (int k = 0; k <= kDepth; ++k) {
    term[k] = k < kDepth ? static_cast<double>(a[k]) * b[k] : c;
    plain += term[k];
    largest = max(largest, fabs(term[k]));
  }
  if (!(fabs(plain) <= 1e300) || largest == 0) return static_cast<float>(plain);
  const int scale = 24 - __builtin_ilogb(largest);
  double sum = 0;
  for (double one : term) sum += __builtin_trunc(__builtin_scalbn(one, scale));
  sum = __builtin_scalbn(sum, -scale);
  const float rounded = static_cast<float>(sum);
  if (isinf(rounded) || fabs(static_cast<double>(rounded)) <= fabs(sum)) return rounded;
  return bits_as<float>(bits_as<uint32_t>(rounded) - 1);
}

struct MmaPost : simt::WarpPost {
  float* d;
  const uint32_t *a, *b;
};
template <class Operands>
CK_SIMT_RUNTIME void complete_mma(simt::WarpPost* const* posts, uint32_t) {
  constexpr int kDepth = Operands::kDepth, kHalf = kDepth / 2;
  // Lane of element k of a row or column: a register holds it, or it and its neighbour.
  const auto lane_of = [](int k) { return kDepth == 8 ? k % 4 : k % 8 / 2; };
  float a[16][kDepth], b[8][kDepth];
  for (int k = 0; k < kDepth; ++k) {
    for (int row = 0; row < 16; ++row) {
      const MmaPost& post = *static_cast<MmaPost*>(posts[row % 8 * 4 + lane_of(k)]);
      const uint32_t both[2] = {post.a[row / 8], post.a[row / 8 + 2]};  // k below kHalf, above
      a[row][k] = operand_value(Operands{}, both, k);
    }
    for (int n = 0; n < 8; ++n) {
      const MmaPost& post = *static_cast<MmaPost*>(posts[n * 4 + lane_of(k)]);
      b[n][k] = operand_value(Operands{}, post.b, k);
    }
  }
  static_assert(kHalf == 4 || kHalf == 8);
  for (int lane = 0; lane < 32; ++lane) {
    float* d = static_cast<MmaPost*>(posts[lane])->d;
    for (int i = 0; i < 4; ++i)
      d[i] = cut_sum(a[lane / 4 + i / 2 * 8], b[lane % 4 * 2 + i % 2], d[i]);
  }
}
template <class Operands>
CK_SIMT_INLINE void mma(Operands, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                        CK_SIMT_HERE) {
  MmaPost post;
  post.site = {"mma", file, line};
  post.mask = 0xffffffffu;
  post.complete = complete_mma<Operands>;
  post.d = d, post.a = a, post.b = b;
  simt::warp_collective(&post);
}

CK_SIMT_INLINE uint32_t to_tf32(float x) {
  const uint32_t bits = bits_as<uint32_t>(x);
  if (isnan(x)) return 0x7fffffffu;
  return isinf(x) ? bits : (bits + 0x1000u) & ~0x1fffu;
}
CK_SIMT_INLINE uint32_t pack_bfloat16(float low, float high) {
  BFloat16* const type = nullptr;
  return narrow(low, type).bits | static_cast<uint32_t>(narrow(high, type).bits) << 16;
}
CK_SIMT_INLINE uint32_t pack_float16(float low, float high) {
  Float16* const type = nullptr;
  return narrow(low, type).bits | static_cast<uint32_t>(narrow(high, type).bits) << 16;
}

#endif

// float32 numbers as sums of operands --------------------------
// Infinite and NaN go to the first piece alone. What would round up to infinity is cut instead.

// x = big + small to 22 bits.
struct Tf32Pieces {
  uint32_t big, small;
};
static __device__ __forceinline__ Tf32Pieces split_tf32(float x) {
  Tf32Pieces pieces = {to_tf32(x), 0};
  if ((pieces.big & 0x7fffffffu) >= 0x7f800000u) {
    if (!(fabsf(x) < __uint_as_float(0x7f800000u))) return pieces;
    pieces.big = __float_as_uint(x) & ~0x1fffu;
  }
  pieces.small = to_tf32(x - __uint_as_float(pieces.big));
  return pieces;
}

// Two numbers, each as the sum of its halves of the three registers: 24 bits, so exactly unless the
// last piece is too small for a bfloat16 (|x| below about 2^-110).
static __device__ __forceinline__ void split_bfloat16(float low, float high,
                                                      uint32_t (&pieces)[3]) {
  float rest[2] = {low, high};
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    float head[2];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const uint32_t bits = __float_as_uint(rest[j]), magnitude = bits & 0x7fffffffu;
      const bool cut = magnitude >= 0x7f7f8000u && magnitude < 0x7f800000u;
      head[j] = cut ? __uint_as_float(bits & 0xffff0000u) : rest[j];
    }
    pieces[i] = pack_bfloat16(head[0], head[1]);
    const uint32_t piece[2] = {pieces[i] << 16, pieces[i] & 0xffff0000u};
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const bool finite = (piece[j] & 0x7f800000u) != 0x7f800000u;
      rest[j] = finite ? rest[j] - __uint_as_float(piece[j]) : 0.0f;
    }
  }
}

// A from a float32 tile in shared memory --------------------------
// ldmatrix moves 16-byte chunks, so four floats a row: from chunk i of a row lane t of the row's
// four gets channel 4i + t.
// - tf32: with chunks 0 and 1 of rows 0..7 and 8..15 as matrices (rows 0..7, 0), (rows 8.., 0),
//   (rows 0..7, 1), (rows 8.., 1) one ldmatrix<4> gives a0 to a3 as they are.
// - 16 bit: with chunks 0 to 3 of a row, one ldmatrix<4> for rows 0..7 and one for rows 8..15. The
//   pairs of a fragment are then (t, 4 + t) and (8 + t, 12 + t), so that place k along the depth
//   holds channel channel_of_depth(k). B in the same order leaves the product as it was.
static constexpr __host__ __device__ __forceinline__ int channel_of_depth(int k) {
  return k / 8 * 8 + k % 2 * 4 + k % 8 / 2;
}
// upper, lower: what ldmatrix gave for rows g and g + 8. pieces[i] is the A operand of piece i.
static __device__ __forceinline__ void split_a_bfloat16(const uint32_t (&upper)[4],
                                                        const uint32_t (&lower)[4],
                                                        uint32_t (&pieces)[3][4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t (&row)[4] = i % 2 == 0 ? upper : lower;
    uint32_t split[3];
    split_bfloat16(__uint_as_float(row[i / 2 * 2]), __uint_as_float(row[i / 2 * 2 + 1]), split);
#pragma unroll
    for (int j = 0; j < 3; ++j) pieces[j][i] = split[j];
  }
}

}  // namespace CK_GPU
}  // namespace ck
