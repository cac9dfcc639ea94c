// What happens to a finished sum: bias, residual, activation, store. And how partial sums become
// whole.
#pragma once

#include "gpu/activation.cuh"

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

constexpr int kAddThreads = 256;

constexpr int kPartialGroup = 64;  // partials in one running sum, as kSumBlock for terms

// out = sum of the partials, each `size` long, in order and in groups of kPartialGroup; with
// `resume` the groups are added to what out holds, so a reduction cut at whole groups adds in the
// same order as an uncut one.
template <class T>
__global__ void __launch_bounds__(kAddThreads)
    add_partials(T* out, const T* partials, int64_t size, int count, bool resume) {
  const int64_t i = int64_t(blockIdx.x) * kAddThreads + threadIdx.x;
  if (i >= size) return;
  T total = resume ? out[i] : T(0);
  for (int group = 0; group < count; group += kPartialGroup) {
    const int end = smaller(group + kPartialGroup, count);
    T sum = partials[group * size + i];
    for (int j = group + 1; j < end; ++j) sum += partials[j * size + i];
    total += sum;
  }
  out[i] = total;
}

// As many of `chunks` partials as fit at a time, in whole groups where one fits.
static inline int64_t partials_at_once(int64_t chunks, int64_t fit) {
  if (fit >= chunks) return chunks;
  return fit > kPartialGroup ? fit - fit % kPartialGroup : larger(fit, int64_t(1));
}

template <class T>
static void launch_add_partials(const char* name, void* stream, T* out, const T* partials,
                                int64_t size, int count, bool resume) {
  launch<add_partials<T>>(name, dim3(unsigned(ceil_div(size, kAddThreads))), dim3(kAddThreads), 0,
                          stream, out, partials, size, count, resume);
}

}  // namespace CK_GPU
}  // namespace ck
