// A convolution as its GPU kernels see it: strides of every axis, 32-bit coordinates, fast
// quotients; and the Places (gpu/gemm_tile.cuh) of pixels and taps on an image.
#pragma once

#include "core/reason.h"
#include "gpu/gemm_tile.cuh"
#include "ops/conv2d/problem.h"

namespace ck {
namespace CK_GPU {

struct Geometry {
  int64_t n;
  int32_t c_per_group, k_per_group, groups;
  int32_t h, w, r, s, p, q;
  int32_t stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w;
  int32_t pad_bottom, pad_right;
  PaddingMode padding_mode;
  bool flip_kernel, channels_last;
  int64_t x_n, x_c, x_h, x_w;  // distance in elements of neighbours along each axis
  int64_t y_n, y_k, y_p, y_q;
  int64_t w_k, w_c, w_r, w_s;
};

static inline Geometry geometry_of(const Conv2dProblem& problem) {
  Geometry g = {};
  g.n = problem.n;
  g.c_per_group = int32_t(problem.c_per_group);
  g.k_per_group = int32_t(problem.k_per_group);
  g.groups = int32_t(problem.groups);
  g.h = int32_t(problem.h);
  g.w = int32_t(problem.w);
  g.r = int32_t(problem.r);
  g.s = int32_t(problem.s);
  g.p = int32_t(problem.p);
  g.q = int32_t(problem.q);
  g.stride_h = int32_t(problem.stride_h);
  g.stride_w = int32_t(problem.stride_w);
  g.pad_top = int32_t(problem.pad_top);
  g.pad_left = int32_t(problem.pad_left);
  g.pad_bottom = int32_t(problem.pad_bottom);
  g.pad_right = int32_t(problem.pad_right);
  g.padding_mode = problem.padding_mode;
  g.dilation_h = int32_t(problem.dilation_h);
  g.dilation_w = int32_t(problem.dilation_w);
  g.flip_kernel = problem.flip_kernel;
  g.channels_last = problem.layout == Layout::kNHWC;
  g.x_n = problem.c * problem.h * problem.w;
  g.y_n = problem.k * problem.p * problem.q;
  g.w_k = problem.c_per_group * problem.r * problem.s;
  if (g.channels_last) {
    g.x_c = g.y_k = g.w_c = 1;
    g.x_w = problem.c;
    g.x_h = problem.w * problem.c;
    g.y_q = problem.k;
    g.y_p = problem.q * problem.k;
    g.w_s = problem.c_per_group;
    g.w_r = problem.s * problem.c_per_group;
  } else {
    g.x_w = g.y_q = g.w_s = 1;
    g.x_h = problem.w;
    g.x_c = problem.h * problem.w;
    g.y_p = problem.q;
    g.y_k = problem.p * problem.q;
    g.w_r = problem.s;
    g.w_c = problem.r * problem.s;
  }
  return g;
}

// Every coordinate of an image, an output or a tap, and each sum of two of them, must fit the
// Places.
static inline Reason check_coordinates(const Conv2dProblem& problem) {
  const int64_t limit = kCoordinateLimit;
  if (problem.h + problem.pad_top + problem.pad_bottom >= limit ||
      problem.w + problem.pad_left + problem.pad_right >= limit)
    return refused("the padded image is %lld x %lld, needs sides under %lld",
                   (long long)(problem.h + problem.pad_top + problem.pad_bottom),
                   (long long)(problem.w + problem.pad_left + problem.pad_right), (long long)limit);
  if ((problem.r - 1) * problem.dilation_h >= limit ||
      (problem.s - 1) * problem.dilation_w >= limit || problem.stride_h >= limit ||
      problem.stride_w >= limit)
    return refused("strides or dilated filter sides reach %lld, needs less", (long long)limit);
  const int64_t gemm_k_limit = (int64_t(1) << 31) - (1 << 16);
  const int64_t sizes[] = {problem.h * problem.w, problem.p * problem.q,
                           problem.c_per_group * problem.r * problem.s,
                           problem.k_per_group * problem.r * problem.s, problem.groups};
  for (int64_t size : sizes)
    if (size > gemm_k_limit)
      return refused("H*W, P*Q, C/groups*R*S or K/groups*R*S is %lld, needs at most %lld",
                     (long long)size, (long long)gemm_k_limit);
  return accepted();
}

// A rectangle of pixels in each of n images, counted image by image, row by row.
struct PixelGrid {
  int64_t count;
  FastDivide by_image, by_row;
};

struct Pixel {
  int64_t n;
  int32_t row, column;
  bool inside;
};

static __host__ __device__ __forceinline__ PixelGrid pixel_grid(int64_t n, int64_t rows,
                                                                int64_t columns) {
  return {n * rows * columns, fast_divide(rows * columns), fast_divide(columns)};
}

// Pixels `start` .. `start + tile size`: one 64-bit quotient for the start, 32-bit ones for the
// rest.
struct PixelRun {
  PixelGrid grid;
  int64_t start, n;
  uint32_t in_image;

  __device__ __forceinline__ PixelRun(const PixelGrid& grid_, int64_t start_)
      : grid(grid_), start(start_) {
    n = start / grid.by_image.divisor;
    in_image = uint32_t(start - n * grid.by_image.divisor);
  }
  __device__ __forceinline__ Pixel at(int i) const {
    const uint32_t index = in_image + uint32_t(i);
    const uint32_t images = grid.by_image.quotient(index);
    const uint32_t rest = grid.by_image.remainder(index, images);
    const uint32_t row = grid.by_row.quotient(rest);
    return {n + images, int32_t(row), int32_t(grid.by_row.remainder(rest, row)),
            start + i < grid.count};
  }
};

// The corner of an output pixel's window on x, in the first channel of a group.
static __device__ __forceinline__ Place window_on_x(const Geometry& g, const Pixel& pixel) {
  const int32_t h = pixel.row * g.stride_h - g.pad_top, w = pixel.column * g.stride_w - g.pad_left;
  return place(pixel.n * g.x_n + h * g.x_h + w * g.x_w, h, w);
}

// From that corner to filter element (c, r, s) as w holds it; a flipped filter meets the window
// from its end.
static __device__ __forceinline__ Place tap_on_x(const Geometry& g, int32_t c, int32_t r,
                                                 int32_t s) {
  const int32_t h = (g.flip_kernel ? g.r - 1 - r : r) * g.dilation_h;
  const int32_t w = (g.flip_kernel ? g.s - 1 - s : s) * g.dilation_w;
  return place(c * g.x_c + h * g.x_h + w * g.x_w, h, w);
}

// Index of a filter element within one filter, in the order w holds them: (c, r, s) or, channels
// last, (r, s, c).
struct FilterOrder {
  FastDivide by_channel, by_tap_row;  // divisors: R*S or C/groups; S
};

static inline FilterOrder filter_order(const Geometry& g) {
  return {fast_divide(g.channels_last ? int64_t(g.c_per_group) : int64_t(g.r) * g.s),
          fast_divide(g.s)};
}

static __device__ __forceinline__ Place filter_element_on_x(const Geometry& g,
                                                            const FilterOrder& order, int i) {
  const uint32_t outer = order.by_channel.quotient(i), inner = order.by_channel.remainder(i, outer);
  const uint32_t c = g.channels_last ? inner : outer, tap = g.channels_last ? outer : inner;
  const uint32_t r = order.by_tap_row.quotient(tap);
  return tap_on_x(g, int32_t(c), int32_t(r), int32_t(order.by_tap_row.remainder(tap, r)));
}

// dgrad: one axis of a class of x pixels. Coordinates first, first + stride, ... (count of them)
// are reached by taps tap_first, tap_first + tap_step, ...; tap number t of pixel number i comes
// from output i + shift - t * shift_step.
template <class Index>
struct ClassAxis {
  Index first, count, tap_first, tap_count, shift, shift_step;
};

static inline int64_t greatest_common_divisor(int64_t a, int64_t b) {
  while (b != 0) {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

// tap_step is stride / gcd(stride, dilation): taps closer than that reach different classes.
template <class Index>
static __device__ __forceinline__ ClassAxis<Index> class_axis(Index index, Index size, Index taps,
                                                              Index stride, Index pad,
                                                              Index dilation, Index tap_step) {
  ClassAxis<Index> axis = {index, (size - index + stride - 1) / stride, 0, 0,
                           0,     dilation / (stride / tap_step)};
  const Index padded = index + pad, tried = smaller(taps, tap_step);
  while (axis.tap_first < tried && (padded - axis.tap_first * dilation) % stride != 0)
    ++axis.tap_first;
  if (axis.tap_first < tried) {
    axis.tap_count = (taps - axis.tap_first + tap_step - 1) / tap_step;
    axis.shift = (padded - axis.tap_first * dilation) / stride;
  }
  return axis;
}

// Tiles and limits all products share -------------------------

constexpr int32_t kChunkPixels = 4096;  // gemm_k of one wgrad block
// Small on the host, so that small problems take several passes there.
#if defined(__CUDACC__)
constexpr int64_t kPartialBytes = int64_t(256) << 20;
#else
constexpr int64_t kPartialBytes = 1024;
#endif
constexpr int64_t kGridLimit = (int64_t(1) << 31) - 1;
constexpr int64_t kSmallChannels = 32;  // as many as the small tile holds
// Under two blocks for each multiprocessor of the largest devices the small tile spreads the work
// wider. The host has one, and so runs both tiles on small problems.
#if defined(__CUDACC__)
constexpr int64_t kFewBlocks = 264;
#else
constexpr int64_t kFewBlocks = 2;
#endif

template <class T, bool kPixelsOnM>
struct Tiles;
template <>
struct Tiles<float, false> {
  using Large = Tile<float, 4, 2, 4, 8>;  // 64 x 128
  using Small = Tile<float, 2, 2, 4, 4>;  // 32 x 64
};
template <>
struct Tiles<float, true> {
  using Large = Tile<float, 4, 2, 8, 4>;  // 128 x 64
  using Small = Tile<float, 4, 1, 4, 4>;  // 64 x 32
};
template <bool kPixelsOnM>
struct Tiles<double, kPixelsOnM> {
  using Large = Tile<double, 4, 2, 4, 4>;  // 64 x 64
  using Small = Large;
};

struct KernelNames {
  const char* name[3][2];  // direction, float or double
};
template <class T>
static inline const char* name_of(const KernelNames& names, Direction direction) {
  return names.name[int(direction)][sizeof(T) == sizeof(float) ? 0 : 1];
}

}  // namespace CK_GPU
}  // namespace ck
