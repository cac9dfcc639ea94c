// What happens to a finished sum: bias, residual, activation, store. And how partial sums become
// whole.
#pragma once

#include "gpu/activation.cuh"
#include "gpu/sums.cuh"

namespace ck {
namespace CK_GPU {

template <class T>
struct Output {
  T* data;
  const T* bias;      // null if there is none
  const T* residual;  // laid out like data; null if there is none
  Activation activation;
  bool vectorized;  // each group of 16 bytes lies together and aligned
};

// Several neighbours at once: total.value[i] belongs at offset[i] if inside[i]. Vectorized, the
// first stands for all. One path for both, as the activation is inlined once for each value.
// channel_step: 1 if the neighbours are channels, 0 if they are pixels of one channel.
template <class T, int kCount>
static __device__ __forceinline__ void finish_pack(const Output<T>& output, Pack<T, kCount> total,
                                                   const int64_t (&offset)[kCount],
                                                   const bool (&inside)[kCount], int64_t channel,
                                                   int channel_step) {
  if (output.bias) {
#pragma unroll
    for (int i = 0; i < kCount; ++i)
      if (inside[i]) total.value[i] += output.bias[channel + i * channel_step];
  }
  if (output.residual) {
    Pack<T, kCount> residual = zero_pack<T, kCount>();
    if (output.vectorized) {
      if (inside[0]) residual = load_pack<T, kCount>(output.residual + offset[0]);
    } else {
#pragma unroll
      for (int i = 0; i < kCount; ++i)
        if (inside[i]) residual.value[i] = output.residual[offset[i]];
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) total.value[i] += residual.value[i];
  }
  if (output.activation != Activation::kNone) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) total.value[i] = activate(total.value[i], output.activation);
  }
  if (output.vectorized) {
    if (inside[0]) store_pack<T, kCount>(output.data + offset[0], total);
    return;
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i)
    if (inside[i]) output.data[offset[i]] = total.value[i];
}

// Partials ----------------------------------------------------
// A sum over pixels is cut into chunks, each a block's work. However many of their partials fit the
// workspace at a time, they are added in the same order: kSumGroup of one level make one of the
// next. Between passes the lower levels wait in the workspace and the highest in the result itself.

constexpr int kPartialLevels = 3;
constexpr int kAddThreads = 256;

// Which partials of a sum a pass adds.
struct PartialPass {
  int64_t first;  // its number in the sum
  int count;
  bool last;
};

// Partials that are `step` elements apart, added to what the passes before left in `waiting`
// (kPartialLevels - 1 values, likewise apart) and `top`. Returns the sum, or what waits in top.
template <class T>
static __device__ __forceinline__ T add_pass(const PartialPass& pass, const T* partials,
                                             int64_t step, T* waiting, const T* top) {
  T level[kPartialLevels] = {};
  if (pass.first > 0) {
#pragma unroll
    for (int i = 0; i + 1 < kPartialLevels; ++i) level[i] = waiting[i * step];
    level[kPartialLevels - 1] = *top;
  }
  for (int j = 0; j < pass.count; ++j) {
    level[0] += partials[j * step];
    int64_t sums = pass.first + j + 1;
#pragma unroll
    for (int i = 0; i + 1 < kPartialLevels; ++i) {
      if (sums % kSumGroup != 0) break;
      level[i + 1] += level[i];
      level[i] = T(0);
      sums /= kSumGroup;
    }
  }
  if (!pass.last) {
#pragma unroll
    for (int i = 0; i + 1 < kPartialLevels; ++i) waiting[i * step] = level[i];
    return level[kPartialLevels - 1];
  }
  T total = level[0];
#pragma unroll
  for (int i = 1; i < kPartialLevels; ++i) total = level[i] + total;
  return total;
}

// How many partials a workspace for `at_once` of `chunks` has room for: those, and where they come
// in passes the levels that wait.
static inline int64_t partial_places(int64_t chunks, int64_t at_once) {
  if (chunks <= 1) return 0;
  return at_once + (at_once < chunks ? kPartialLevels - 1 : 0);
}

// The partials are `size` long each, `at_once` of them at most; behind them the levels wait.
template <class T>
__global__ void __launch_bounds__(kAddThreads)
    add_partials(T* out, T* partials, int64_t size, int64_t at_once, PartialPass pass) {
  const int64_t i = int64_t(blockIdx.x) * kAddThreads + threadIdx.x;
  if (i >= size) return;
  out[i] = add_pass(pass, partials + i, size, partials + at_once * size + i, out + i);
}

template <class T>
static void launch_add_partials(const char* name, void* stream, T* out, T* partials, int64_t size,
                                int64_t at_once, const PartialPass& pass) {
  launch<add_partials<T>>(name, dim3(unsigned(ceil_div(size, kAddThreads))), dim3(kAddThreads), 0,
                          stream, out, partials, size, at_once, pass);
}

}  // namespace CK_GPU
}  // namespace ck
