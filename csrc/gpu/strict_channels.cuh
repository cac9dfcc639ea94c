// The sums of core/strict_channels.h on the GPU. A block of 256 threads takes one channel (NCHW) or
// 16 (NHWC, neighbours in memory); each thread makes a chain, then one thread a channel adds the
// chains in their order.
#pragma once

#include "core/strict_channels.h"
#include "gpu/element.cuh"

namespace ck {
namespace CK_GPU {

constexpr int kChannelThreads = 256;
constexpr int64_t kChannelGrid = (int64_t(1) << 31) - 1;

static __host__ __device__ __forceinline__ int channels_of_block(const ChannelBatch& b) {
  return b.layout == Layout::kNHWC ? 16 : 1;
}

// totals[field * c + channel].
template <class T, class Sums>
__global__ void __launch_bounds__(kChannelThreads)
    channel_chains(ChannelBatch b, Sums sums, T* totals, int64_t first_block) {
  constexpr int kFields = Sums::kFields;
  CK_SHARED(T, shared, [kFields][kChannelThreads]);
  const int channels = channels_of_block(b), chains = kChannelThreads / channels;
  const int mine = int(threadIdx.x) % channels, slot = int(threadIdx.x) / channels;
  const int64_t channel = (first_block + blockIdx.x) * channels + mine, terms = b.terms();
  const bool exists = channel < b.c;
  const T center = exists && sums.center ? sums.center[channel] : T(0);
  StrictSum<T> total[kFields];
  for (int64_t first = 0; first * kStrictChain < terms; first += chains) {
    const int64_t begin = (first + slot) * kStrictChain;
    T chain[kFields] = {};
    if (exists && begin < terms) {
      const int64_t end = smaller(begin + kStrictChain, terms);
      int64_t image = begin / b.pixels, pixel = begin - image * b.pixels;
      for (int64_t t = begin; t < end; ++t) {
        const int64_t at = b.image_at(image) + b.channel_at(channel) + pixel * b.pixel_stride();
        T values[Sums::kArrays];
#pragma unroll
        for (int a = 0; a < Sums::kArrays; ++a) values[a] = sums.array[a][at];
        Sums::step(values, center, chain);
        if (++pixel == b.pixels) pixel = 0, ++image;
      }
    }
#pragma unroll
    for (int f = 0; f < kFields; ++f) shared[f][threadIdx.x] = chain[f];
    __syncthreads();
    if (slot == 0) {
      for (int i = 0; i < chains && (first + i) * kStrictChain < terms; ++i) {
#pragma unroll
        for (int f = 0; f < kFields; ++f) total[f].add_chain(shared[f][i * channels + mine]);
      }
    }
    __syncthreads();
  }
  if (slot != 0 || !exists) return;
#pragma unroll
  for (int f = 0; f < kFields; ++f) totals[f * b.c + channel] = total[f].total();
}

template <class T, class Sums>
static void strict_channel_sums(const char* name, const ChannelBatch& b, const Sums& sums,
                                T* totals, void* stream) {
  const int64_t blocks = ceil_div(b.c, channels_of_block(b));
  for (int64_t first = 0; first < blocks; first += kChannelGrid) {
    launch<channel_chains<T, Sums>>(name, dim3(unsigned(smaller(kChannelGrid, blocks - first))),
                                    dim3(kChannelThreads), 0, stream, b, sums, totals, first);
  }
}

// Calls finish(channel) for every channel.
template <class Finish>
__global__ void __launch_bounds__(kChannelThreads)
    finish_channels(Finish finish, int64_t channels, int64_t first_block) {
  const int64_t channel = (first_block + blockIdx.x) * kChannelThreads + threadIdx.x;
  if (channel < channels) finish(channel);
}

template <class Finish>
static void for_each_channel(const char* name, int64_t channels, const Finish& finish,
                             void* stream) {
  const int64_t blocks = ceil_div(channels, kChannelThreads);
  for (int64_t first = 0; first < blocks; first += kChannelGrid) {
    launch<finish_channels<Finish>>(name, dim3(unsigned(smaller(kChannelGrid, blocks - first))),
                                    dim3(kChannelThreads), 0, stream, finish, channels, first);
  }
}

}  // namespace CK_GPU
}  // namespace ck
