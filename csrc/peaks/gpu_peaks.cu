// peaks, GPU: the kernels that measure the device, not an op; not compiled for simt, which is no
// machine to measure. Best of kRounds by events on the default stream. Not run on a GPU.
// - multiply_add: 8 chains a thread, 8 blocks of 256 threads a multiprocessor; latency 4 needs 4
//   warps a scheduler with one chain each, so the units are full several times over. float32 means
//   float32: tensor cores round the operands and are no peak of these kernels.
// - read, copy: 16 bytes a thread and step, grid-stride, over arrays of at least four L2 caches.
// ptxas sm_80, 0 spills: 20 to 40 registers.
#include <cuda_runtime.h>

#include "gpu/device.cuh"
#include "gpu/runtime.h"
#include "peaks/peaks.h"

namespace ck {
namespace CK_GPU {
namespace {

constexpr int kThreads = 256, kBlocksPerUnit = 8;
constexpr int kChains = 8, kSteps = 8192, kRounds = 10;
constexpr int64_t kLeastBytes = int64_t(256) << 20;

__device__ __forceinline__ float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }
__device__ __forceinline__ double fused(double a, double b, double c) { return __fma_rn(a, b, c); }

// factor and term come as arguments, so that the compiler does not know them.
template <class T>
__global__ void __launch_bounds__(kThreads) run_chains(T factor, T term, T* sink) {
  T chain[kChains];
#pragma unroll
  for (int i = 0; i < kChains; ++i) chain[i] = T(threadIdx.x + i);
  for (int step = 0; step < kSteps; ++step) {
#pragma unroll
    for (int i = 0; i < kChains; ++i) chain[i] = fused(chain[i], factor, term);
  }
  T all = T(0);
#pragma unroll
  for (int i = 0; i < kChains; ++i) all += chain[i];
  if (all == T(-1)) *sink = all;  // never: every chain tends to 0.5
}

__global__ void __launch_bounds__(kThreads)
    read_items(const uint4* __restrict__ from, int64_t items, uint4* sink) {
  uint4 seen = {0, 0, 0, 0};
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < items;
       i += int64_t(gridDim.x) * kThreads) {
    const uint4 item = from[i];
    seen.x |= item.x, seen.y |= item.y, seen.z |= item.z, seen.w |= item.w;
  }
  if (seen.x != 0) *sink = seen;  // never: the array is zeros
}

__global__ void __launch_bounds__(kThreads)
    copy_items(const uint4* __restrict__ from, int64_t items, uint4* __restrict__ to) {
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < items;
       i += int64_t(gridDim.x) * kThreads)
    to[i] = from[i];
}

void check(cudaError_t status) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // or the next call would report this error once more
  gpu::throw_cuda_error(int(status), cudaGetErrorString(status),
                        {"peaks", {1, 1, 1}, {kThreads, 1, 1}, 0});
}

class Event {
 public:
  Event() { check(cudaEventCreate(&event_)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

// Seconds of the fastest of kRounds; one more before them warms up.
template <class Launch>
double best_seconds(Launch launch_once) {
  const Event start, end;
  double best = 0;
  for (int round = 0; round <= kRounds; ++round) {
    check(cudaEventRecord(start.get()));
    launch_once();
    check(cudaEventRecord(end.get()));
    check(cudaEventSynchronize(end.get()));
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, start.get(), end.get()));
    if (round == 1 || (round > 1 && milliseconds * 1e-3 < best)) best = milliseconds * 1e-3;
  }
  return best;
}

template <class T>
double flops_per_s(int blocks, void* sink) {
  const double seconds = best_seconds([&] {
    launch<run_chains<T>>("peaks.multiply_add", dim3(unsigned(blocks)), dim3(kThreads), 0, nullptr,
                          T(0.75), T(0.125), static_cast<T*>(sink));
  });
  return 2.0 * kChains * kSteps * kThreads * blocks / seconds;
}

}  // namespace

Peaks measure_peaks(DType dtype) {
  int device = 0, units = 0, cache = 0;
  check(cudaGetDevice(&device));
  check(cudaDeviceGetAttribute(&units, cudaDevAttrMultiProcessorCount, device));
  check(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, device));
  const int64_t four_caches = 4 * int64_t(cache) / 4096 * 4096;
  const int64_t bytes = four_caches > kLeastBytes ? four_caches : kLeastBytes;
  const DeviceWorkspace memory(2 * bytes, nullptr);
  uint4* from = static_cast<uint4*>(memory.get());
  uint4* to = from + bytes / int64_t(sizeof(uint4));
  check(cudaMemset(from, 0, size_t(bytes)));
  const int blocks = units * kBlocksPerUnit;
  const double flops =
      dtype == DType::kFloat32 ? flops_per_s<float>(blocks, to) : flops_per_s<double>(blocks, to);
  const int64_t items = bytes / int64_t(sizeof(uint4));
  const dim3 grid = dim3(unsigned(blocks)), block = dim3(kThreads);
  const double read = double(bytes) / best_seconds([&] {
                        launch<read_items>("peaks.read", grid, block, 0, nullptr, from, items, to);
                      });
  const double copy = 2.0 * double(bytes) / best_seconds([&] {
                        launch<copy_items>("peaks.copy", grid, block, 0, nullptr, from, items, to);
                      });
  return {flops, read > copy ? read : copy};
}

}  // namespace CK_GPU
}  // namespace ck
