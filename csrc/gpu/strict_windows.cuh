// Runs a strict op that adds numbers of one source for each pixel of its result
// (ops/pool2d/strict.h): a thread makes one number, neighbours in memory by neighbouring threads.
#pragma once

#include "core/algorithm.h"
#include "core/strict_terms.h"
#include "gpu/element.cuh"

namespace ck {
namespace CK_GPU {

constexpr int kStrictThreads = 256;
constexpr int64_t kStrictBlocks = int64_t(1) << 30;  // of one launch

template <class T>
struct NumberSource {
  using Number = T;
  using Value = T;
  const T* at;
  const int64_t* indices;
  int64_t pixel_stride;

  __device__ __forceinline__ T value(int64_t pixel) const { return at[pixel * pixel_stride]; }
  __device__ __forceinline__ T share(int64_t pixel, T divisor) const {
    return value(pixel) / divisor;
  }
  __device__ __forceinline__ T chosen(int64_t window, int64_t pixel) const {
    return indices[window * pixel_stride] == pixel ? value(window) : T(0);
  }
};

template <class T, class Op>
__global__ void __launch_bounds__(kStrictThreads)
    add_windows(StrictPlanes planes, Op op, const T* source, const int64_t* indices, T* result,
                int64_t first) {
  const int64_t item = (first + blockIdx.x) * kStrictThreads + threadIdx.x;
  const int64_t pixels = planes.rows * planes.columns, stride = planes.channels_last ? planes.c : 1;
  if (item >= planes.n * planes.c * pixels) return;
  const int64_t channel = item % stride, place = item / stride;
  const int64_t pixel = place % pixels, plane = place / pixels;
  const int64_t begin = plane * planes.source_pixels * stride + channel;
  const NumberSource<T> numbers = {source + begin, indices ? indices + begin : nullptr, stride};
  result[item] = op.at(pixel / planes.columns, pixel % planes.columns, numbers);
}

template <class T, class Op>
static void run_strict_windows(const char* name, const StrictPlanes& planes, const Op& op,
                               const void* source, const int64_t* indices, void* result,
                               const Execution& execution) {
  const int64_t blocks =
      ceil_div(planes.n * planes.c * planes.rows * planes.columns, kStrictThreads);
  for (int64_t first = 0; first < blocks; first += kStrictBlocks) {
    launch<add_windows<T, Op>>(name, dim3(unsigned(smaller(kStrictBlocks, blocks - first))),
                               dim3(kStrictThreads), 0, execution.stream, planes, op,
                               static_cast<const T*>(source), indices, static_cast<T*>(result),
                               first);
  }
}

}  // namespace CK_GPU
}  // namespace ck
