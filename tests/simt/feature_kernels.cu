// Small kernels for each thing that device.cuh offers, with their expected values. A kernel file
// like those of the library: built once per instruction set, no std.
#include "feature_kernels.h"
#include "gpu/device.cuh"

namespace ck {
namespace CK_GPU {

namespace {

constexpr int kThreads = 96;

template <class T, class Expected>
int differences(const T* y, int count, Expected expected) {
  int wrong = 0;
  for (int i = 0; i < count; ++i) wrong += !(y[i] == expected(i));
  return wrong;
}

__global__ void atomics(int* i, unsigned* u, unsigned long long* l) {
  const int t = threadIdx.x;
  atomicAdd(i + 0, t);
  atomicSub(i + 1, t);
  atomicMin(i + 2, 50 - t);
  atomicMax(i + 3, t - 50);
  atomicAnd(u + 0, ~(1u << t % 32));
  atomicOr(u + 1, 1u << t % 32);
  atomicXor(u + 2, 1u << t % 3);
  atomicAdd(u + 3, 1u);
  atomicAdd(l + 0, 1ull << 33);
  atomicMax(l + 1, static_cast<unsigned long long>(t) << 40);
  if (atomicCAS(i + 4, 0, t + 1) == 0) atomicAdd(i + 5, 1);
  if (t == 7) atomicExch(i + 6, 77);
}
int check_atomics() {
  int i[7] = {0, 0, 1000, -1000, 0, 0, 0};
  unsigned u[4] = {0xffffffffu, 0, 0, 0};
  unsigned long long l[2] = {0, 0};
  launch<atomics>("atomics", 2, kThreads, 0, nullptr, i, u, l);
  const int sum = kThreads * (kThreads - 1);
  int wrong = (i[0] != sum) + (i[1] != -sum) + (i[2] != 50 - 95) + (i[3] != 45) + (i[5] != 1);
  wrong += (i[4] < 1) + (i[6] != 77) + (u[0] != 0) + (u[1] != 0xffffffffu) + (u[2] != 0);
  return wrong + (u[3] != 2 * kThreads) + (l[0] != (2ull * kThreads) << 33) + (l[1] != 95ull << 40);
}

template <class T>
__global__ void shuffles(T* y, int count) {
  const int t = threadIdx.x;
  const T value = static_cast<T>(t) * 3;
  y[0 * count + t] = __shfl_sync(kFullMask, value, t + 5);
  y[1 * count + t] = __shfl_up_sync(kFullMask, value, 3);
  y[2 * count + t] = __shfl_down_sync(kFullMask, value, 3);
  y[3 * count + t] = __shfl_xor_sync(kFullMask, value, 10);
  y[4 * count + t] = __shfl_sync(kFullMask, value, 2, 8);
  y[5 * count + t] = __shfl_up_sync(kFullMask, value, 3, 8);
  y[6 * count + t] = __shfl_down_sync(kFullMask, value, 3, 8);
  y[7 * count + t] = __shfl_xor_sync(kFullMask, value, 8, 8);
}
template <class T>
int check_shuffles() {
  T y[8 * kThreads];
  launch<shuffles<T>>("shuffles", 1, kThreads, 0, nullptr, y, kThreads);
  auto times3 = [](int t) { return static_cast<T>(t) * 3; };
  int wrong = 0;
  wrong += differences(y, kThreads, [=](int t) { return times3(t / 32 * 32 + (t + 5) % 32); });
  wrong += differences(y + 1 * kThreads, kThreads,
                       [=](int t) { return times3(t % 32 < 3 ? t : t - 3); });
  wrong += differences(y + 2 * kThreads, kThreads,
                       [=](int t) { return times3(t % 32 > 28 ? t : t + 3); });
  wrong += differences(y + 3 * kThreads, kThreads, [=](int t) { return times3(t ^ 10); });
  wrong += differences(y + 4 * kThreads, kThreads, [=](int t) { return times3(t / 8 * 8 + 2); });
  wrong +=
      differences(y + 5 * kThreads, kThreads, [=](int t) { return times3(t % 8 < 3 ? t : t - 3); });
  wrong +=
      differences(y + 6 * kThreads, kThreads, [=](int t) { return times3(t % 8 > 4 ? t : t + 3); });
  // Across a segment a lane reads from an earlier one, but not from a later one.
  wrong +=
      differences(y + 7 * kThreads, kThreads, [=](int t) { return times3(t & 8 ? t ^ 8 : t); });
  return wrong;
}

__global__ void votes(unsigned* y) {
  const int t = threadIdx.x;
  y[t] = __ballot_sync(kFullMask, t % 3 == 0);
  y[32 + t] = static_cast<unsigned>(__any_sync(kFullMask, t == 31)) |
              static_cast<unsigned>(__any_sync(kFullMask, t == 32)) << 1 |
              static_cast<unsigned>(__all_sync(kFullMask, t < 32)) << 2 |
              static_cast<unsigned>(__all_sync(kFullMask, t < 31)) << 3;
  y[64 + t] = __match_any_sync(kFullMask, t % 4);
}
int check_votes() {
  unsigned y[96];
  launch<votes>("votes", 1, 32, 0, nullptr, y);
  return differences(y, 32, [](int) { return 0x49249249u; }) +
         differences(y + 32, 32, [](int) { return 5u; }) +
         differences(y + 64, 32, [](int t) { return 0x11111111u << t % 4; });
}

// The two halves of a warp go separate ways at the same time.
__global__ void halves(int* y) {
  const int t = threadIdx.x, lane = t % kWarpSize;
  int sum = t;
  if (lane < 12) {
    const unsigned mask = 0x00000fffu;
    for (int i = 0; i < 3; ++i) sum += __shfl_sync(mask, sum, 11);
    __syncwarp(mask);
    sum += static_cast<int>(__ballot_sync(mask, 1));
  } else {
    const unsigned mask = 0xfffff000u;
    sum = __shfl_down_sync(mask, sum, 1);
    __syncwarp(mask);
  }
  __syncwarp();
  y[t] = __shfl_xor_sync(kFullMask, sum, 31);
}
int check_halves() {
  int y[kThreads];
  launch<halves>("halves", 1, kThreads, 0, nullptr, y);
  return differences(y, kThreads, [](int t) {
    const int from = t ^ 31, lane = from % 32;
    if (lane >= 12) return lane == 31 ? from : from + 1;
    return from + 7 * (from / 32 * 32 + 11) + 0xfff;
  });
}

// Threads beyond n return at once; the others still meet at barriers.
__global__ void early_return(int* y, int n) {
  CK_SHARED(int, values, [256]);
  const int t = threadIdx.x;
  if (t >= n) return;
  values[t] = t;
  for (int i = 0; i < 4; ++i) {
    __syncthreads();
    const int next = values[(t + 1) % n];
    __syncthreads();
    values[t] = next;
  }
  y[t] = values[t];
}
int check_early_return() {
  int y[256], wrong = 0;
  const int counts[] = {1, 31, 100, 224, 256};
  for (int n : counts) {
    launch<early_return>("early_return", 1, 256, 0, nullptr, y, n);
    wrong += differences(y, n, [n](int t) { return (t + 4) % n; });
  }
  return wrong;
}

__global__ void predicates(int* y) {
  const int t = threadIdx.x;
  const int count = __syncthreads_count(t % 5 == 0);
  const int any = __syncthreads_or(t == 44), none = __syncthreads_or(0);
  const int all = __syncthreads_and(1), not_all = __syncthreads_and(t != 44);
  y[t] = count * 16 + any * 8 + none * 4 + all * 2 + not_all;
}
int check_predicates() {
  int y[kThreads];
  launch<predicates>("predicates", 1, kThreads, 0, nullptr, y);
  return differences(y, kThreads, [](int) { return 20 * 16 + 8 + 2; });
}

// Each warp pair hands a value over by a named barrier of its own.
__global__ void named_pairs(int* y) {
  CK_SHARED(int, values, [128]);
  const int t = threadIdx.x, pair = t / 64;
  for (int i = 0; i < 3; ++i) {
    values[t] = t + i;
    named_barrier_sync(1 + pair, 64);
    y[t] = values[t ^ 32];
    named_barrier_sync(1 + pair, 64);
  }
}
int check_named_pairs() {
  int y[128];
  launch<named_pairs>("named_pairs", 1, 128, 0, nullptr, y);
  return differences(y, 128, [](int t) { return (t ^ 32) + 2; });
}

__global__ void indices(int* y) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  __syncthreads();
  const unsigned again = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned i = block * (blockDim.x * blockDim.y * blockDim.z) + thread;
  y[i] = static_cast<int>(i + (again - thread));
}
int check_indices() {
  int y[2 * 3 * 2 * 5 * 7 * 3];
  launch<indices>("indices", dim3(2, 3, 2), dim3(5, 7, 3), 0, nullptr, y);
  return differences(y, static_cast<int>(sizeof(y) / sizeof(y[0])), [](int i) { return i; });
}

// Two instantiations and two arrays of one name in two scopes: all separate.
template <int kCount, int kTag>
__device__ float sum_of(float value) {
  CK_SHARED(float, values, [kCount]);
  values[threadIdx.x] = value;
  __syncthreads();
  float sum = 0.0f;
  for (int i = 0; i < kCount; ++i) sum += values[i];
  if (kTag == 2) __syncthreads();  // called twice: the second call writes what this one reads
  return sum;
}
__global__ void shared_arrays(float* y) {
  CK_DYN_SHARED(float4, vectors);
  CK_SHARED(float, values, [2][32]);
  const int t = threadIdx.x;
  vectors[t] = make_float4(1, 2, 3, static_cast<float>(t));
  values[0][t] = values[1][t] = 5.0f;
  const float sum = sum_of<32, 1>(1.0f) + sum_of<32, 2>(1.0f) + sum_of<32, 2>(0.0f);
  y[t] = sum + values[0][31 - t] + values[1][31 - t] + vectors[31 - t].w;
}
int check_shared_arrays() {
  float y[32];
  launch<shared_arrays>("shared_arrays", 1, 32, 32 * sizeof(float4), nullptr, y);
  return differences(y, 32, [](int t) { return 64.0f + 10.0f + static_cast<float>(31 - t); });
}

__constant__ int kTable[3] = {0, 20, 1};
__global__ void scalars(double* y) {
  const float nan = __int_as_float(0x7fc00000);
  y[0] = __fmaf_rn(1.0f + 0x1p-12f, 1.0f - 0x1p-12f, -1.0f);
  y[1] = __fma_rn(1.0 + 0x1p-30, 1.0 - 0x1p-30, -1.0);
  y[2] = fmaxf(nan, 2.0f) + fminf(3.0f, nan) + max(1.0, 0.5) + min(-1, 4);
  y[3] = 1.0f / fminf(0.0f, -0.0f);
  y[4] = __popc(0xf0f0u) + 100 * __clz(1) + 10000 * __ffs(8) + 1000000 * __clz(0);
  y[5] = static_cast<double>(__umulhi(0x80000000u, 6u)) + isnan(nan) + 10 * isinf(1.0f / 0.0f);
  y[6] = __fsqrt_rn(2.0f) * __frcp_rn(4.0f) + floorf(-1.5f) + rintf(2.5f) + fabsf(-8.0f);
  y[7] = kTable[__double_as_longlong(-0.0) < 0 ? 2 : 1];
}
int check_scalars() {
  double y[8];
  launch<scalars>("scalars", 1, 1, 0, nullptr, y);
  const double expected[8] = {-0x1p-24,
                              -0x1p-60,
                              5.0,
                              -1.0 / 0.0,
                              32043108.0,
                              14.0,
                              static_cast<double>(1.41421354f * 0.25f + -2.0f + 2.0f + 8.0f),
                              1.0};
  return differences(y, 8, [&](int i) { return expected[i]; });
}

#if !defined(CK_SIMT_CHECK)
// Shared memory that nobody has written yet is poison in each block anew (in simt; a GPU has
// whatever was there before).
__global__ void fresh_shared(unsigned* y) {
  CK_SHARED(unsigned, fixed, [kThreads]);
  CK_DYN_SHARED(unsigned, dynamic);
  const unsigned t = threadIdx.x, i = blockIdx.x * kThreads + t;
  y[2 * i] = fixed[t];
  y[2 * i + 1] = dynamic[t];
  fixed[t] = dynamic[t] = t;
}
int check_fresh_shared() {
  unsigned y[3 * kThreads * 2];
  launch<fresh_shared>("fresh_shared", 3, kThreads, kThreads * sizeof(unsigned), nullptr, y);
  return differences(y, 3 * kThreads * 2, [](int) { return 0x7fbadbadu; });
}

#endif

// 1024 threads, each with a fiber of its own, over several blocks.
__global__ void full_block(int* y) {
  CK_DYN_SHARED(int, values);
  const int t = threadIdx.x;
  values[t] = t;
  for (int half = 512; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) values[t] += values[t + half];
  }
  if (t == 0) y[blockIdx.x] = values[0];
}
int check_full_block() {
  int y[5];
  launch<full_block>("full_block", 5, 1024, 4096, nullptr, y);
  return differences(y, 5, [](int) { return 1023 * 512; });
}

__global__ void nothing() {}
__global__ void own_mask_missing(int* y) { y[threadIdx.x] = __shfl_sync(0xffu, 1, 0); }
__global__ void masks_differ(int* y) {
  const unsigned mask = threadIdx.x == 3 ? kFullMask : 0xffffu;
  if (threadIdx.x < 16 || threadIdx.x == 20) y[threadIdx.x] = __shfl_sync(mask, 1, 0);
}
__global__ void trapped(int*) {
  __syncthreads();
  if (threadIdx.x == 5) __trap();
  __syncthreads();
}
__global__ void lane_returned(int* y) {
  if (threadIdx.x == 9) return;
  y[threadIdx.x] = __shfl_down_sync(kFullMask, 1, 1);
}
#if !defined(__CUDACC__)
__global__ void big_static(int* y) {
  CK_SHARED(int, values, [12289]);
  values[threadIdx.x] = 1;
  y[threadIdx.x] = values[0];
}
__global__ void throws(int*) {
  __syncthreads();
  if (threadIdx.x == 5) throw 42;
  __syncthreads();
}
__global__ void launches(int*) { launch<nothing>("inner", 1, 1, 0, nullptr); }
#endif

__global__ void barriers(int count) {
  for (int i = 0; i < count; ++i) __syncthreads();
}

}  // namespace

const Feature kFeatures[] = {
    {"atomics", check_atomics},
    {"shuffles_int", check_shuffles<int>},
    {"shuffles_float", check_shuffles<float>},
    {"shuffles_double", check_shuffles<double>},
    {"votes", check_votes},
    {"partial_masks", check_halves},
    {"early_return", check_early_return},
    {"barrier_predicates", check_predicates},
    {"named_barriers", check_named_pairs},
    {"indices", check_indices},
    {"shared_arrays", check_shared_arrays},
#if !defined(CK_SIMT_CHECK)  // which refuses the read
    {"fresh_shared", check_fresh_shared},
#endif
    {"scalars", check_scalars},
    {"full_block", check_full_block},
};
const int kFeatureCount = sizeof(kFeatures) / sizeof(kFeatures[0]);

bool run_fault(int number) {
  int y[64];
  switch (number) {
    case 0:
      launch<nothing>("faulty", dim3(1, 65536), 1, 0, nullptr);
      return true;
    case 1:
      launch<nothing>("faulty", 0, 1, 0, nullptr);
      return true;
    case 2:
      launch<nothing>("faulty", 1, dim3(32, 32, 2), 0, nullptr);
      return true;
    case 3:
      launch<nothing>("faulty", 1, dim3(1, 1, 65), 0, nullptr);
      return true;
    case 4:
      launch<nothing>("faulty", 1, 1, 227 * 1024 + 1, nullptr);
      return true;
    case 6:
      launch<own_mask_missing>("faulty", 1, 32, 0, nullptr, y);
      return true;
    case 7:
      launch<masks_differ>("faulty", 1, 32, 0, nullptr, y);
      return true;
    case 8:
      launch<trapped>("faulty", 1, dim3(8, 4), 0, nullptr, y);
      return true;
    case 9:
      launch<lane_returned>("faulty", 1, 32, 0, nullptr, y);
      return true;
#if !defined(__CUDACC__)
    case 5:
      launch<big_static>("faulty", 1, 32, 0, nullptr, y);
      return true;
    case 10:
      launch<launches>("faulty", 1, 1, 0, nullptr, y);
      return true;
    case 11:
      launch<throws>("faulty", 1, 32, 0, nullptr, y);
      return true;
#endif
    default:
      return false;
  }
}

void run_empty(int blocks, int threads) {
  launch<nothing>("nothing", static_cast<unsigned>(blocks), static_cast<unsigned>(threads), 0,
                  nullptr);
}
void run_barriers(int threads, int count) {
  launch<barriers>("barriers", 1, static_cast<unsigned>(threads), 0, nullptr, count);
}

}  // namespace CK_GPU
}  // namespace ck
