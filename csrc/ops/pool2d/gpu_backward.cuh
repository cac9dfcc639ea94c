// Backward pooling on the GPU, by gather; what it does and why stands in gpu_direct.cu.
#pragma once

#include "ops/pool2d/gpu_geometry.cuh"

namespace ck {
namespace CK_GPU {

// The first window of one axis that reaches padded coordinate t.
template <class Index>
static __device__ __forceinline__ Index first_window(Index t, Index stride, Index tile) {
  return t > tile ? (t - tile + stride - 1) / stride : 0;
}

template <class T, class Index, int kWidth, bool kIsMax>
__global__ void __launch_bounds__(kPoolThreads, 2)
    pool_gradient(PoolGeometry<Index> g, const T* __restrict__ grad_y,
                  const int64_t* __restrict__ indices, T* __restrict__ grad_x) {
  using Number = typename Counting<Index>::Number;
  const auto item = item_number(g, kPoolThreads);
  if (item >= g.items) return;
  const PoolStrip<Index> strip = pool_strip(g, item, kWidth);
  const Index rows = smaller(g.h - strip.row, Index(kPoolRows));
  const Index t_h = strip.row + g.pad_top, t_w = strip.column + g.pad_left;
  const Index tile_h = (g.r - 1) * g.dilation_h, tile_w = (g.s - 1) * g.dilation_w;
  const Index p_end = smaller(g.p - 1, (t_h + rows - 1) / g.stride_h);
  const Index q_first = first_window(t_w, g.stride_w, tile_w);
  const Index q_end = smaller(g.q - 1, t_w / g.stride_w);
  const int64_t pixel = int64_t(strip.row) * g.w + strip.column;

  T total[kPoolRows][kWidth] = {}, sum[kPoolRows][kWidth] = {};
  CarriedSums<T, kPoolRows, kWidth> carried;
  const auto close = [&] {
#pragma unroll
    for (int i = 0; i < kPoolRows; ++i) {
#pragma unroll
      for (int v = 0; v < kWidth; ++v) {
        total[i][v] += sum[i][v];
        sum[i][v] = T(0);
      }
    }
  };
  Index terms = 0;
  for (Index p = first_window(t_h, g.stride_h, tile_h); p <= p_end; ++p) {
    bool covers[kPoolRows];
#pragma unroll
    for (int i = 0; i < kPoolRows; ++i) {
      const Index offset = t_h + i - p * g.stride_h;
      covers[i] =
          Number(offset) <= Number(tile_h) && (g.dilation_h == 1 || offset % g.dilation_h == 0);
    }
    const Index lines =
        kIsMax ? 0 : counted(p, g.stride_h, g.r, g.pad_top, g.h, g.end_h, g.count_include_pad);
    for (Index q = q_first; q <= q_end; ++q) {
      if (g.dilation_w != 1 && (t_w - q * g.stride_w) % g.dilation_w != 0) continue;
      const int64_t at = strip.plane * g.y_plane + strip.channel + (int64_t(p) * g.q + q) * g.pixel;
      Pack<T, kWidth> grad = load_pack<T, kWidth>(grad_y + at);
      int64_t place[kWidth];  // relative to the strip's first pixel
      if constexpr (kIsMax) {
        constexpr int kPair = kWidth > 1 ? 2 : 1;
#pragma unroll
        for (int v = 0; v < kWidth; v += kPair) {
          const Pack<int64_t, kPair> pair = load_pack<int64_t, kPair>(indices + at + v);
#pragma unroll
          for (int j = 0; j < kPair; ++j) {
            // Unsigned: any int64 may stand in a user's array.
            place[v + j] = int64_t(uint64_t(pair.value[j]) - uint64_t(pixel));
          }
        }
      } else {
        const T divisor = T(lines) * T(counted(q, g.stride_w, g.s, g.pad_left, g.w, g.end_w,
                                               g.count_include_pad));
#pragma unroll
        for (int v = 0; v < kWidth; ++v) grad.value[v] /= divisor;
      }
#pragma unroll
      for (int i = 0; i < kPoolRows; ++i) {
        if (!covers[i]) continue;
#pragma unroll
        for (int v = 0; v < kWidth; ++v) {
          if (!kIsMax || place[v] == int64_t(i) * g.w) sum[i][v] += grad.value[v];
        }
      }
      if (++terms % kSumBlock == 0) {
        close();
        carried.carry(total, int(terms / kSumBlock));
      }
    }
  }
  close();
  carried.finish(total, int(terms / kSumBlock));
#pragma unroll
  for (int i = 0; i < kPoolRows; ++i) {
    if (i >= rows) continue;
    Pack<T, kWidth> pack;
#pragma unroll
    for (int v = 0; v < kWidth; ++v) pack.value[v] = total[i][v];
    store_pack<T, kWidth>(
        grad_x + strip.plane * g.x_plane + strip.channel + (pixel + int64_t(i) * g.w) * g.pixel,
        pack);
  }
}

}  // namespace CK_GPU
}  // namespace ck
