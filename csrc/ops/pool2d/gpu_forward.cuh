// Forward pooling on the GPU; what it does and why stands in gpu_direct.cu.
#pragma once

#include "ops/pool2d/gpu_geometry.cuh"

namespace ck {
namespace CK_GPU {

enum class Pooling { kMax, kMaxIndexed, kAverage };

static __device__ __forceinline__ float minus_infinity() { return __int_as_float(int(0xff800000)); }

// A maximum under way: the value, and the pixel it came from (-1: none yet) where indices are
// wanted.
template <class T, bool kIndexed>
struct Best {
  T value;
  int32_t place;

  __device__ __forceinline__ void clear() {
    value = T(minus_infinity());
    place = -1;
  }
  // The first pixel of all counts even if it is -inf; a NaN replaces any number, and nothing it.
  __device__ __forceinline__ void take(T other, int32_t other_place) {
    bool better = other > value || (other != other && value == value);
    if (kIndexed) better = better || place < 0;
    if (better) {
      value = other;
      place = other_place;
    }
  }
};

template <class T, int kWidth, bool kIndexed, int kTaps>
__global__ void __launch_bounds__(kPoolThreads, 2)
    max_pool(PoolGeometry g, const T* __restrict__ x, T* __restrict__ y,
             int64_t* __restrict__ indices) {
  const uint32_t item = blockIdx.x * kPoolThreads + threadIdx.x;
  if (item >= g.items) return;
  const PoolStrip strip = pool_strip(g, item, kWidth);
  const T* const image = x + strip.plane * g.x_plane + strip.channel;
  const int32_t left = strip.column * g.stride_w - g.pad_left;
  const int32_t top = strip.row * g.stride_h - g.pad_top;
  const int32_t rows = smaller(g.p - strip.row, int32_t(kPoolRows));
  const int32_t tile = (g.r - 1) * g.dilation_h;

  Best<T, kIndexed> best[kPoolRows][kWidth];
#pragma unroll
  for (int i = 0; i < kPoolRows; ++i) {
#pragma unroll
    for (int v = 0; v < kWidth; ++v) best[i][v].clear();
  }
  const int32_t bottom = smaller(g.h - 1, top + (rows - 1) * g.stride_h + tile);
  for (int32_t h = larger(top, 0); h <= bottom; ++h) {
    bool covers[kPoolRows];
    bool any = false;
#pragma unroll
    for (int i = 0; i < kPoolRows; ++i) {
      const int32_t offset = h - top - i * g.stride_h;
      covers[i] = i < rows && uint32_t(offset) <= uint32_t(tile) &&
                  (g.dilation_h == 1 || offset % g.dilation_h == 0);
      any = any || covers[i];
    }
    if (!any) continue;
    Best<T, kIndexed> row[kWidth];
#pragma unroll
    for (int v = 0; v < kWidth; ++v) row[v].clear();
    const T* const line = image + int64_t(h) * g.w * g.pixel;
    const int32_t taps = kTaps > 0 ? kTaps : g.s;
#pragma unroll(kTaps > 0 ? kTaps : 1)
    for (int32_t s = 0; s < taps; ++s) {
      const int32_t column = left + s * g.dilation_w;
      if (uint32_t(column) >= uint32_t(g.w)) continue;
      const Pack<T, kWidth> pack = load_pack<T, kWidth>(line + int64_t(column) * g.pixel);
#pragma unroll
      for (int v = 0; v < kWidth; ++v) row[v].take(pack.value[v], h * g.w + column);
    }
#pragma unroll
    for (int i = 0; i < kPoolRows; ++i) {
      if (!covers[i]) continue;
#pragma unroll
      for (int v = 0; v < kWidth; ++v) {
        if (!kIndexed || row[v].place >= 0) best[i][v].take(row[v].value, row[v].place);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kPoolRows; ++i) {
    if (i >= rows) continue;
    const int64_t at = strip.plane * g.y_plane + strip.channel +
                       (int64_t(strip.row + i) * g.q + strip.column) * g.pixel;
    Pack<T, kWidth> pack;
#pragma unroll
    for (int v = 0; v < kWidth; ++v) pack.value[v] = best[i][v].value;
    store_pack<T, kWidth>(y + at, pack);
    if (!kIndexed) continue;
    constexpr int kPair = kWidth > 1 ? 2 : 1;
#pragma unroll
    for (int v = 0; v < kWidth; v += kPair) {
      Pack<int64_t, kPair> places;
#pragma unroll
      for (int j = 0; j < kPair; ++j) places.value[j] = best[i][v + j].place;
      store_pack<int64_t, kPair>(indices + at + v, places);
    }
  }
}

template <class T, int kWidth>
__global__ void __launch_bounds__(kPoolThreads, 2)
    average_pool(PoolGeometry g, const T* __restrict__ x, T* __restrict__ y) {
  const uint32_t item = blockIdx.x * kPoolThreads + threadIdx.x;
  if (item >= g.items) return;
  const PoolStrip strip = pool_strip(g, item, kWidth);
  const T* const image = x + strip.plane * g.x_plane + strip.channel;
  const int32_t left = strip.column * g.stride_w - g.pad_left;
  const int32_t top = strip.row * g.stride_h - g.pad_top;
  const int32_t rows = smaller(g.p - strip.row, int32_t(kPoolRows));
  const int32_t first = larger(left, 0), last = smaller(left + g.s, g.w);

  T sum[kPoolRows][kWidth] = {}, total[kPoolRows][1][kWidth] = {};
  CarriedSums<T, 1, kWidth> carried[kPoolRows], row_carried;
  const int32_t bottom = smaller(g.h, top + (rows - 1) * g.stride_h + g.r);
  for (int32_t h = larger(top, 0); h < bottom; ++h) {
    bool any = false;
#pragma unroll
    for (int i = 0; i < kPoolRows; ++i)
      any = any || uint32_t(h - top - i * g.stride_h) < uint32_t(g.r);
    if (!any) continue;
    T row[1][kWidth] = {};
    const T* const line = image + int64_t(h) * g.w * g.pixel;
    int chains = 0;
    for (int32_t begin = first; begin < last; begin += kSumBlock) {
      T chain[kWidth] = {};
      const int32_t end = smaller(begin + kSumBlock, last);
      for (int32_t column = begin; column < end; ++column) {
        const Pack<T, kWidth> pack = load_pack<T, kWidth>(line + int64_t(column) * g.pixel);
#pragma unroll
        for (int v = 0; v < kWidth; ++v) chain[v] += pack.value[v];
      }
#pragma unroll
      for (int v = 0; v < kWidth; ++v) row[0][v] += chain[v];
      row_carried.carry(row, ++chains);
    }
    row_carried.finish(row, chains);
#pragma unroll
    for (int i = 0; i < kPoolRows; ++i) {
      const int32_t start = top + i * g.stride_h;
      if (i >= rows || uint32_t(h - start) >= uint32_t(g.r)) continue;
#pragma unroll
      for (int v = 0; v < kWidth; ++v) sum[i][v] += row[0][v];
      const int32_t lines = h - larger(start, 0) + 1;
      if (lines % kSumBlock != 0) continue;
#pragma unroll
      for (int v = 0; v < kWidth; ++v) {
        total[i][0][v] += sum[i][v];
        sum[i][v] = T(0);
      }
      carried[i].carry(total[i], lines / kSumBlock);
    }
  }
  const int32_t columns =
      counted(strip.column, g.stride_w, g.s, g.pad_left, g.w, g.end_w, g.count_include_pad);
#pragma unroll
  for (int i = 0; i < kPoolRows; ++i) {
    if (i >= rows) continue;
    const int32_t lines =
        counted(strip.row + i, g.stride_h, g.r, g.pad_top, g.h, g.end_h, g.count_include_pad);
    const T divisor = T(lines) * T(columns);
    const int32_t start = top + i * g.stride_h;
    carried[i].finish(total[i], (smaller(start + g.r, g.h) - larger(start, 0)) / kSumBlock);
    Pack<T, kWidth> pack;
#pragma unroll
    for (int v = 0; v < kWidth; ++v) pack.value[v] = (total[i][0][v] + sum[i][v]) / divisor;
    store_pack<T, kWidth>(y + strip.plane * g.y_plane + strip.channel +
                              (int64_t(strip.row + i) * g.q + strip.column) * g.pixel,
                          pack);
  }
}

}  // namespace CK_GPU
}  // namespace ck
