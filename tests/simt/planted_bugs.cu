// Kernels with one planted bug each, beside their correct versions: what simt must catch.
#include "cases.cuh"

namespace ck {
namespace CK_GPU {

enum Bug {
  kNone,
  kNoBarrierAtLoopEnd,
  kWritePastSharedArray,
  kWriteIntoNextSharedArray,
  kWritePastRowEnd,
};

#if !defined(CK_GUARD_ELEMS)
#define CK_GUARD_ELEMS 64  // 0 in sanitizer builds, which guard the end themselves
#endif
constexpr int kGuardElems = CK_GUARD_ELEMS;

// c = a * b, row-major, any sizes. Block tile 32 x 32 x 8, 64 threads of 4 x 4 outputs each.
constexpr int kTile = 32, kStep = 8, kGemmThreads = 64;
template <Bug kBug>
__global__ void __launch_bounds__(kGemmThreads)
    gemm(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int m,
         int n, int k) {
  CK_SHARED(float, a_tile, [kStep][kTile]);
  CK_SHARED(float, b_tile, [kStep][kTile]);
  const int thread = threadIdx.x;
  const int row0 = blockIdx.y * kTile, col0 = blockIdx.x * kTile;
  const int row = thread / 8 * 4, col = thread % 8 * 4;
  float sum[4][4] = {};
  for (int k0 = 0; k0 < k; k0 += kStep) {
    for (int i = thread; i < kTile * kStep; i += kGemmThreads) {
      const int kk = i % kStep, r = i / kStep;
      const bool inside = row0 + r < m && k0 + kk < k;
      const float value = inside ? __ldg(a + (row0 + r) * k + k0 + kk) : 0.0f;
      if (kBug == kWritePastSharedArray && i == kTile * kStep - 1) {
        float* flat = &a_tile[0][0];
        flat[i + 1] = value;
      } else if (kBug == kWriteIntoNextSharedArray && kk == kStep - 1) {
        a_tile[kk + n / 20][r] = value;  // + 2 for n = 45; the compiler must not know
      } else {
        a_tile[kk][r] = value;
      }
    }
    for (int i = thread; i < kTile * kStep; i += kGemmThreads) {
      const int kk = i / kTile, j = i % kTile;
      const bool inside = k0 + kk < k && col0 + j < n;
      b_tile[kk][j] = inside ? __ldg(b + (k0 + kk) * n + col0 + j) : 0.0f;
    }
    __syncthreads();
    for (int kk = 0; kk < kStep; ++kk) {
      const float4 x = *reinterpret_cast<const float4*>(&a_tile[kk][row]);
      const float4 y = *reinterpret_cast<const float4*>(&b_tile[kk][col]);
      const float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] = __fmaf_rn(xs[i], ys[j], sum[i][j]);
      }
    }
    if (kBug != kNoBarrierAtLoopEnd) __syncthreads();
  }
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) {
      const int last = kBug == kWritePastRowEnd ? n : n - 1;
      if (row0 + row + i < m && col0 + col + j <= last) {
        c[(row0 + row + i) * n + col0 + col + j] = sum[i][j];
      }
    }
  }
}

// y[i] = x[0] + i, x[0] handed out through shared memory.
template <bool kBarrier>
__global__ void broadcast(const int* x, int* y) {
  CK_SHARED(int, value, );
  if (threadIdx.x == 0) value = x[0];
  if (kBarrier) __syncthreads();
  y[threadIdx.x] = value + static_cast<int>(threadIdx.x);
}

// y[i] = x[i ^ 1], exchanged within a warp through shared memory.
template <bool kBarrier>
__global__ void exchange(const int* x, int* y) {
  CK_DYN_SHARED(int, values);
  const unsigned i = threadIdx.x;
  values[i] = x[i];
  if (kBarrier) __syncwarp();
  y[i] = values[i ^ 1];
}

// y[0] = sum of x[0..n), n not a multiple of the block. The bug: slots from n on are never set.
template <bool kClear>
__global__ void block_sum(const float* x, float* y, int n) {
  CK_DYN_SHARED(float, values);
  const int i = threadIdx.x;
  if (i < n) {
    values[i] = x[i];
  } else if (kClear) {
    values[i] = 0.0f;
  }
  for (int half = static_cast<int>(blockDim.x) / 2; half > 0; half /= 2) {
    __syncthreads();
    if (i < half) values[i] += values[i + half];
  }
  if (i == 0) y[0] = values[0];
}

enum Divergence { kUniform, kTwoSites, kConditional, kReturnBetween };
template <Divergence kDivergence>
__global__ void divergent_barrier(int* y) {
  CK_SHARED(int, count, );
  const int i = threadIdx.x;
  if (i == 0) count = 0;
  __syncthreads();
  if (kDivergence == kTwoSites) {
    if (i < 16) {
      atomicAdd(&count, 1);
      __syncthreads();
    } else {
      atomicAdd(&count, 1);
      __syncthreads();
    }
  } else if (kDivergence == kConditional) {
    atomicAdd(&count, 1);
    if (i < 40) __syncthreads();
    __syncthreads();
  } else if (kDivergence == kReturnBetween) {
    atomicAdd(&count, 1);
    y[i] = static_cast<int>(blockDim.x);
    if (i % 2 == 1) return;
    __syncthreads();
  } else {
    atomicAdd(&count, 1);
    __syncthreads();
  }
  y[i] = count;
}

// y[i] = sum of x over the warp of i. The bug: the upper half of each warp does not come.
template <bool kAllLanes>
__global__ void warp_sum(const int* x, int* y) {
  const unsigned i = threadIdx.x;
  int sum = x[i];
  if (kAllLanes || i % kWarpSize < 16) {
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kFullMask, sum, step);
  }
  __syncthreads();
  y[i] = sum;
}

// The deadlock that only a named barrier can make: two warps of three expected.
template <int kExpected>
__global__ void named(int* y) {
  const int i = threadIdx.x;
  if (i < 64) named_barrier_sync(1, kExpected);
  __syncthreads();
  y[i] = i;
}

template <Bug kBug>
Outcome run_gemm(int m, int n, int k) {
  Values<float> a(m * k), b(k * n), c(m * n + kGuardElems, -1.0f);
  Values<float> expected(m * n + kGuardElems, -1.0f);
  uint32_t state = 1;
  auto next = [&state] {
    state = state * 1664525u + 1013904223u;
    return static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  };
  for (float& v : a) v = next();
  for (float& v : b) v = next();
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      float sum = 0.0f;
      for (int kk = 0; kk < k; ++kk) sum = std::fma(a[i * k + kk], b[kk * n + j], sum);
      expected[i * n + j] = sum;
    }
  }
  const dim3 grid((n + kTile - 1) / kTile, (m + kTile - 1) / kTile);
  const Array<float> arrays[] = {{"a", a, true}, {"b", b, true}, {"c", c, false}};
  launch<gemm<kBug>>("gemm", grid, kGemmThreads, 0, nullptr, a.data(), b.data(), c.data(), m, n, k);
  Outcome outcome;
  outcome.compare(c, expected);
  return outcome;
}

template <bool kClear>
Outcome run_block_sum() {
  constexpr int kCount = 100;
  Values<float> x(kCount, 0.5f), y(1, -1.0f);
  const Array<float> arrays[] = {{"x", x, true}, {"y", y, false}};
  launch<block_sum<kClear>>("block_sum", 1, 128, 128 * sizeof(float), nullptr, x.data(), y.data(),
                            kCount);
  Outcome outcome;
  outcome.compare(y, {50.0f});
  return outcome;
}

int expect_broadcast(int i) { return 7 + i; }
int expect_exchange(int i) { return 7 + 3 * (i ^ 1); }
int expect_all(int) { return 96; }
int expect_warp_sum(int i) { return 32 * 7 + 3 * (i / 32 * 32 * 32 + 31 * 16); }
int expect_index(int i) { return i; }

const Case kCases[] = {
    {"gemm", [] { return run_gemm<kNone>(70, 45, 37); }},
    {"gemm_no_barrier_at_loop_end", [] { return run_gemm<kNoBarrierAtLoopEnd>(70, 45, 37); }},
    {"gemm_write_past_shared_array", [] { return run_gemm<kWritePastSharedArray>(70, 45, 37); }},
    {"gemm_write_into_next_shared_array",
     [] { return run_gemm<kWriteIntoNextSharedArray>(70, 45, 37); }},
    {"gemm_write_past_row_end", [] { return run_gemm<kWritePastRowEnd>(70, 45, 37); }},
    {"broadcast", [] { return run_ints<broadcast<true>>(256, expect_broadcast); }},
    {"broadcast_no_barrier", [] { return run_ints<broadcast<false>>(256, expect_broadcast); }},
    {"exchange", [] { return run_ints<exchange<true>>(128, expect_exchange, 128 * sizeof(int)); }},
    {"exchange_no_syncwarp",
     [] { return run_ints<exchange<false>>(128, expect_exchange, 128 * sizeof(int)); }},
    {"block_sum", run_block_sum<true>},
    {"block_sum_uninitialised", run_block_sum<false>},
    {"barrier", [] { return run_ints<divergent_barrier<kUniform>>(96, expect_all); }},
    {"barrier_at_two_sites", [] { return run_ints<divergent_barrier<kTwoSites>>(96, expect_all); }},
    {"barrier_conditional",
     [] { return run_ints<divergent_barrier<kConditional>>(96, expect_all); }},
    {"barrier_after_return",
     [] { return run_ints<divergent_barrier<kReturnBetween>>(96, expect_all); }},
    {"warp_sum", [] { return run_ints<warp_sum<true>>(96, expect_warp_sum); }},
    {"warp_sum_lanes_missing", [] { return run_ints<warp_sum<false>>(96, expect_warp_sum); }},
    {"named", [] { return run_ints<named<64>>(96, expect_index); }},
    {"named_warp_missing", [] { return run_ints<named<96>>(96, expect_index); }},
};

}  // namespace CK_GPU
}  // namespace ck

int main(int argc, char** argv) { return ck::CK_GPU::run_case(ck::CK_GPU::kCases, argc, argv); }
