// Kernels of conv2d.*.implicit_gemm; what they do and why stands in gpu_implicit_gemm.cu.
#pragma once

#include "gpu/output.cuh"
#include "ops/conv2d/gpu_geometry.cuh"

namespace ck {
namespace CK_GPU {
namespace implicit_gemm {

constexpr int kRepackThreads = 256, kRepackChannels = 64, kRepackTaps = 32;

template <class T>
struct Arguments {
  Geometry g;
  const T *x, *w, *y;
  Output<T> out;
  PixelGrid pixels;  // fprop, wgrad
  FilterOrder order;
  int32_t class_columns;           // dgrad: pixel classes along w
  int32_t tap_step_h, tap_step_w;  // dgrad: distance of taps that reach the same class
  uint32_t channel_tiles;
  uint32_t other_tiles;   // of pixels, or wgrad: of filter elements
  uint32_t group_blocks;  // dgrad: blocks of one class; wgrad: of one chunk
  int64_t first_chunk;
  int32_t chunk_pixels;  // wgrad: gemm_k of a block
};

// Blocks that share pixels follow each other.
struct BlockPlace {
  uint32_t channel_tile, other_tile, group, rest;
};
template <class T>
static __device__ __forceinline__ BlockPlace block_place(const Arguments<T>& args) {
  uint32_t block = blockIdx.x;
  BlockPlace result;
  result.rest = args.group_blocks ? block / args.group_blocks : 0;
  block -= result.rest * args.group_blocks;
  result.channel_tile = block % args.channel_tiles;
  block /= args.channel_tiles;
  result.other_tile = block % args.other_tiles;
  result.group = block / args.other_tiles;
  return result;
}

// fprop -------------------------------------------------------

template <class Tile, bool kChannelsLast, bool kVectorized>
__global__ void __launch_bounds__(Tile::kThreads, 2) fprop(Arguments<typename Tile::T> args) {
  using T = typename Tile::T;
  constexpr int kPixels = kChannelsLast ? Tile::kM : Tile::kN;
  constexpr int kFilters = kChannelsLast ? Tile::kN : Tile::kM;
  const Geometry& g = args.g;
  const BlockPlace block = block_place(args);
  const PixelRun pixels(args.pixels, int64_t(block.other_tile) * kPixels);
  const int first_filter = int(block.channel_tile) * kFilters;
  const int64_t first_channel = int64_t(block.group) * g.k_per_group;

  const auto filter_row = [&](int i) {
    const int filter = first_filter + i;
    return filter < g.k_per_group ? place((first_channel + filter) * g.w_k) : outside();
  };
  const auto filter_column = [&](int k) { return place(k); };
  const auto pixel_row = [&](int i) {
    const Pixel pixel = pixels.at(i);
    return pixel.inside ? window_on_x(g, pixel) : outside();
  };
  const auto pixel_column = [&](int k) { return filter_element_on_x(g, args.order, k); };
  const Operand<T> filters = {args.w, 1, 1};
  const Operand<T> images = {args.x + int64_t(block.group) * g.c_per_group * g.x_c, uint32_t(g.h),
                             uint32_t(g.w)};
  const int gemm_k = int(g.w_k);

  T total[Tile::kThreadM][Tile::kThreadN];
  if constexpr (kChannelsLast)
    gemm_main_loop<Tile, LoadAlongColumns<Tile, Tile::kM, kVectorized, true>,
                   LoadAlongColumns<Tile, Tile::kN, kVectorized, false>>(
        images, pixel_row, pixel_column, filters, filter_row, filter_column, gemm_k, total);
  else
    gemm_main_loop<Tile, LoadAlongColumns<Tile, Tile::kM, false, false>,
                   LoadAlongRows<Tile, Tile::kN, false, true>>(
        filters, filter_row, filter_column, images, pixel_row, pixel_column, gemm_k, total);

  const auto output_of = [&](const Pixel& pixel, int filter) {
    return pixel.n * g.y_n + pixel.row * g.y_p + pixel.column * g.y_q +
           (first_channel + filter) * g.y_k;
  };
  for_each_result<Tile>(total, [&](int m, int n, const Pack<T, Tile::kVector>& pack) {
    const int filter = first_filter + (kChannelsLast ? n : m);
    int64_t offset[Tile::kVector];
    bool inside[Tile::kVector];
#pragma unroll
    for (int i = 0; i < Tile::kVector; ++i) {
      const Pixel pixel = pixels.at(kChannelsLast ? m : n + i);
      const int channel = kChannelsLast ? filter + i : filter;
      inside[i] = pixel.inside && channel < g.k_per_group;
      offset[i] = output_of(pixel, channel);
    }
    finish_pack(args.out, pack, offset, inside, first_channel + filter, kChannelsLast ? 1 : 0);
  });
}

// dgrad -------------------------------------------------------

// What a block knows of its class. It stands in shared memory, as the main loop has no registers
// left for it.
struct DgradClass {
  ClassAxis<int32_t> rows, columns;
  PixelGrid pixels;
  FastDivide by_inner, by_tap_row;
  int32_t gemm_k;
};

template <class T>
static __device__ void describe_class(const Arguments<T>& args, int index, DgradClass& result) {
  const Geometry& g = args.g;
  result.rows = class_axis<int32_t>(index / args.class_columns, g.h, g.r, g.stride_h, g.pad_top,
                                    g.dilation_h, args.tap_step_h);
  result.columns = class_axis<int32_t>(index % args.class_columns, g.w, g.s, g.stride_w, g.pad_left,
                                       g.dilation_w, args.tap_step_w);
  result.pixels = pixel_grid(g.n, result.rows.count, result.columns.count);
  const int taps = result.rows.tap_count * result.columns.tap_count;
  result.by_inner = fast_divide(g.channels_last ? g.k_per_group : taps);
  result.by_tap_row = fast_divide(result.columns.tap_count);
  result.gemm_k = g.k_per_group * taps;
}

template <class Tile, bool kChannelsLast, bool kVectorized>
__global__ void __launch_bounds__(Tile::kThreads, 2) dgrad(Arguments<typename Tile::T> args) {
  using T = typename Tile::T;
  constexpr int kPixels = kChannelsLast ? Tile::kM : Tile::kN;
  constexpr int kChannels = kChannelsLast ? Tile::kN : Tile::kM;
  CK_SHARED(DgradClass, mine, [1]);
  const Geometry& g = args.g;
  const BlockPlace block = block_place(args);
  if (threadIdx.x == 0) describe_class(args, int(block.rest), mine[0]);
  __syncthreads();
  const DgradClass& of_class = mine[0];
  const int64_t first_pixel = int64_t(block.other_tile) * kPixels;
  if (first_pixel >= of_class.pixels.count) return;
  const int first_channel = int(block.channel_tile) * kChannels;
  const int64_t group_filter = int64_t(block.group) * g.k_per_group;

  struct Step {
    int32_t k, tap_row, tap_column;
  };
  const auto step_of = [&](int i) {
    const uint32_t outer = of_class.by_inner.quotient(i),
                   inner = of_class.by_inner.remainder(i, outer);
    const uint32_t tap = kChannelsLast ? outer : inner, row = of_class.by_tap_row.quotient(tap);
    return Step{int32_t(kChannelsLast ? inner : outer), int32_t(row),
                int32_t(of_class.by_tap_row.remainder(tap, row))};
  };
  // w is (K, R, S, C/groups) here in both layouts.
  const auto channel_row = [&](int i) {
    const int c = first_channel + i;
    return c < g.c_per_group ? place(group_filter * g.w_k + c) : outside();
  };
  const auto channel_column = [&](int i) {
    const Step step = step_of(i);
    int32_t r = of_class.rows.tap_first + step.tap_row * args.tap_step_h;
    int32_t s = of_class.columns.tap_first + step.tap_column * args.tap_step_w;
    if (g.flip_kernel) {
      r = g.r - 1 - r;
      s = g.s - 1 - s;
    }
    return place(step.k * g.w_k + (int64_t(r) * g.s + s) * g.c_per_group);
  };
  const auto pixel_row = [&](int i) {
    const Pixel pixel = PixelRun(of_class.pixels, first_pixel).at(i);
    if (!pixel.inside) return outside();
    const int32_t p = pixel.row + of_class.rows.shift, q = pixel.column + of_class.columns.shift;
    return place(pixel.n * g.y_n + p * g.y_p + q * g.y_q, p, q);
  };
  const auto pixel_column = [&](int i) {
    const Step step = step_of(i);
    const int32_t p = -step.tap_row * of_class.rows.shift_step,
                  q = -step.tap_column * of_class.columns.shift_step;
    return place(step.k * g.y_k + p * g.y_p + q * g.y_q, p, q);
  };
  const Operand<T> filters = {args.w, 1, 1};
  const Operand<T> grad_y = {args.y + group_filter * g.y_k, uint32_t(g.p), uint32_t(g.q)};
  const int gemm_k = of_class.gemm_k;

  T total[Tile::kThreadM][Tile::kThreadN];
  if constexpr (kChannelsLast)
    gemm_main_loop<Tile, LoadAlongColumns<Tile, Tile::kM, kVectorized, true>,
                   LoadAlongRows<Tile, Tile::kN, kVectorized, false>>(
        grad_y, pixel_row, pixel_column, filters, channel_row, channel_column, gemm_k, total);
  else
    gemm_main_loop<Tile, LoadAlongRows<Tile, Tile::kM, kVectorized, false>,
                   LoadAlongRows<Tile, Tile::kN, false, true>>(
        filters, channel_row, channel_column, grad_y, pixel_row, pixel_column, gemm_k, total);

  const PixelRun pixels(of_class.pixels, first_pixel);
  const auto output_of = [&](const Pixel& pixel, int c) {
    return pixel.n * g.x_n + (of_class.rows.first + int64_t(pixel.row) * g.stride_h) * g.x_h +
           (of_class.columns.first + int64_t(pixel.column) * g.stride_w) * g.x_w +
           (int64_t(block.group) * g.c_per_group + c) * g.x_c;
  };
  for_each_result<Tile>(total, [&](int m, int n, const Pack<T, Tile::kVector>& pack) {
    if (kChannelsLast && args.out.vectorized) {
      const Pixel pixel = pixels.at(m);
      if (pixel.inside && first_channel + n < g.c_per_group)
        store_pack<T, Tile::kVector>(args.out.data + output_of(pixel, first_channel + n), pack);
      return;
    }
#pragma unroll
    for (int i = 0; i < Tile::kVector; ++i) {
      const Pixel pixel = pixels.at(kChannelsLast ? m : n + i);
      const int c = first_channel + (kChannelsLast ? n + i : m);
      if (pixel.inside && c < g.c_per_group) args.out.data[output_of(pixel, c)] = pack.value[i];
    }
  });
}

// (K, C, R*S) to (K, R*S, C), a tile of 64 channels x 32 taps a block. The + 1 keeps both
// directions free of conflicts.
template <class T>
__global__ void __launch_bounds__(kRepackThreads)
    repack_filters(T* out, const T* w, int channels, int taps) {
  CK_SHARED(T, tile, [kRepackChannels][kRepackTaps + 1]);
  const int channel_tiles = (channels + kRepackChannels - 1) / kRepackChannels;
  const int tap_tiles = (taps + kRepackTaps - 1) / kRepackTaps;
  const int first_channel = int(blockIdx.x % channel_tiles) * kRepackChannels;
  const int first_tap = int(blockIdx.x / channel_tiles % tap_tiles) * kRepackTaps;
  const int64_t filter = int64_t(blockIdx.x / channel_tiles / tap_tiles) * channels * taps;
  const int tile_channels = smaller(kRepackChannels, channels - first_channel);
  const int tile_taps = smaller(kRepackTaps, taps - first_tap);
  for (int i = threadIdx.x; i < tile_channels * tile_taps; i += kRepackThreads)
    tile[i / tile_taps][i % tile_taps] =
        w[filter + int64_t(first_channel + i / tile_taps) * taps + first_tap + i % tile_taps];
  __syncthreads();
  for (int i = threadIdx.x; i < tile_channels * tile_taps; i += kRepackThreads)
    out[filter + int64_t(first_tap + i / tile_channels) * channels + first_channel +
        i % tile_channels] = tile[i % tile_channels][i / tile_channels];
}

// wgrad -------------------------------------------------------

template <class Tile, bool kChannelsLast, bool kVectorized>
__global__ void __launch_bounds__(Tile::kThreads, 2) wgrad(Arguments<typename Tile::T> args) {
  using T = typename Tile::T;
  const Geometry& g = args.g;
  const BlockPlace block = block_place(args);
  const PixelRun pixels(args.pixels, (args.first_chunk + block.rest) * args.chunk_pixels);
  const int first_filter = int(block.channel_tile) * Tile::kM,
            first_element = int(block.other_tile) * Tile::kN;
  const int64_t group_filter = int64_t(block.group) * g.k_per_group;
  const int elements = int(g.w_k);

  const auto filter_row = [&](int i) {
    const int filter = first_filter + i;
    return filter < g.k_per_group ? place((group_filter + filter) * g.y_k) : outside();
  };
  const auto filter_column = [&](int i) {
    const Pixel pixel = pixels.at(i);
    return place(pixel.n * g.y_n + pixel.row * g.y_p + pixel.column * g.y_q);
  };
  const auto element_row = [&](int i) {
    const int element = first_element + i;
    return element < elements ? filter_element_on_x(g, args.order, element) : outside();
  };
  const auto element_column = [&](int i) { return window_on_x(g, pixels.at(i)); };
  const Operand<T> grad_y = {args.y, 1, 1};
  const Operand<T> images = {args.x + int64_t(block.group) * g.c_per_group * g.x_c, uint32_t(g.h),
                             uint32_t(g.w)};
  const int64_t left = pixels.grid.count - pixels.start;
  const int gemm_k = int(left < args.chunk_pixels ? left : args.chunk_pixels);

  T total[Tile::kThreadM][Tile::kThreadN];
  if constexpr (kChannelsLast)
    gemm_main_loop<Tile, LoadAlongRows<Tile, Tile::kM, kVectorized, false>,
                   LoadAlongRows<Tile, Tile::kN, kVectorized, true>>(
        grad_y, filter_row, filter_column, images, element_row, element_column, gemm_k, total);
  else
    gemm_main_loop<Tile, LoadAlongColumns<Tile, Tile::kM, false, false>,
                   LoadAlongColumns<Tile, Tile::kN, false, true>>(
        grad_y, filter_row, filter_column, images, element_row, element_column, gemm_k, total);

  T* const out = args.out.data + int64_t(block.rest) * g.groups * g.k_per_group * g.w_k;
  for_each_result<Tile>(total, [&](int m, int n, const Pack<T, Tile::kVector>& pack) {
    if (first_filter + m >= g.k_per_group) return;
    T* const to = out + (group_filter + first_filter + m) * g.w_k + first_element + n;
    if (args.out.vectorized && first_element + n < elements)
      return store_pack<T, Tile::kVector>(to, pack);
#pragma unroll
    for (int i = 0; i < Tile::kVector; ++i)
      if (first_element + n + i < elements) to[i] = pack.value[i];
  });
}

}  // namespace implicit_gemm
}  // namespace CK_GPU
}  // namespace ck
