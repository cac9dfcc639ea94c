// conv2d.*.strict, one thread a number of the result, 64-bit places: for problems that tiles do not
// fit, in size or because few channels or terms would fill them. How stands in gpu_strict.cu.
#pragma once

#include "gpu/activation.cuh"
#include "ops/conv2d/strict.h"

namespace ck {
namespace CK_GPU {
namespace strict_direct {

constexpr int kThreads = 256;
constexpr int64_t kBlocks = int64_t(1) << 30;  // of one launch

template <class T>
struct Arguments {
  Conv2dProblem p;
  StrictStrides of_x, of_y, of_w;
  const T *x, *y, *w, *bias, *residual;
  T* out;
  int64_t items, first_block;

  // x of a channel under tap (r, s) of the window (i, j), on padding what that shows.
  __device__ __forceinline__ T pixel(int64_t n, int64_t c, int64_t i, int64_t j, int64_t r,
                                     int64_t s) const {
    const int64_t h =
        pixel_shown(p.padding_mode, i * p.stride_h - p.pad_top + r * p.dilation_h, p.h);
    const int64_t v =
        pixel_shown(p.padding_mode, j * p.stride_w - p.pad_left + s * p.dilation_w, p.w);
    if (h < 0 || v < 0) return T(0);
    return x[n * of_x.outer + c * of_x.channel + h * of_x.row + v * of_x.column];
  }
};

// Number `item` of an array in its layout: (outer, channel, row, column).
struct Index4 {
  int64_t outer, channel, row, column;
};
static __device__ __forceinline__ Index4 index_of(int64_t item, Layout layout, int64_t channels,
                                                  int64_t rows, int64_t columns) {
  Index4 i;
  const bool last = layout == Layout::kNHWC;
  if (last) i.channel = item % channels, item /= channels;
  i.column = item % columns, item /= columns;
  i.row = item % rows, item /= rows;
  if (!last) i.channel = item % channels, item /= channels;
  i.outer = item;
  return i;
}

template <class T>
static __device__ T fprop_sum(const Arguments<T>& a, int64_t item) {
  const Conv2dProblem& p = a.p;
  const Index4 at = index_of(item, p.layout, p.k, p.p, p.q);
  const int64_t first = at.channel / p.k_per_group * p.c_per_group;
  StrictSum<T> sum;
  for (int64_t c = 0; c < p.c_per_group; ++c)
    for (int64_t r = 0; r < p.r; ++r)
      for (int64_t s = 0; s < p.s; ++s)
        sum.add_product(a.w[weight_at(p, a.of_w, at.channel, c, r, s)],
                        a.pixel(at.outer, first + c, at.row, at.column, r, s));
  T total = sum.total();
  if (a.bias) total += a.bias[at.channel];
  if (a.residual) total += a.residual[item];
  return activate(total, p.activation);
}

template <class T>
static __device__ T dgrad_sum(const Arguments<T>& a, int64_t item) {
  const Conv2dProblem& p = a.p;
  const Index4 at = index_of(item, p.layout, p.c, p.h, p.w);
  const StrictInputGradient<T> gradient = {p, a.of_w, a.of_y, a.w, a.y};
  return gradient.at(at.outer, at.channel, at.row, at.column);
}

template <class T>
static __device__ T wgrad_sum(const Arguments<T>& a, int64_t item) {
  const Conv2dProblem& p = a.p;
  const Index4 at = index_of(item, p.layout, p.c_per_group, p.r, p.s);
  const int64_t channel = at.outer / p.k_per_group * p.c_per_group + at.channel;
  const int64_t r = p.flip_kernel ? p.r - 1 - at.row : at.row;
  const int64_t s = p.flip_kernel ? p.s - 1 - at.column : at.column;
  StrictSum<T> sum;
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t i = 0; i < p.p; ++i)
      for (int64_t j = 0; j < p.q; ++j)
        sum.add_product(
            a.y[n * a.of_y.outer + at.outer * a.of_y.channel + i * a.of_y.row + j * a.of_y.column],
            a.pixel(n, channel, i, j, r, s));
  return sum.total();
}

template <class T, Direction kDirection>
__global__ void __launch_bounds__(kThreads) direct(Arguments<T> a) {
  const int64_t item = (a.first_block + blockIdx.x) * kThreads + threadIdx.x;
  if (item >= a.items) return;
  if constexpr (kDirection == Direction::kFprop)
    a.out[item] = fprop_sum(a, item);
  else if constexpr (kDirection == Direction::kDgrad)
    a.out[item] = dgrad_sum(a, item);
  else
    a.out[item] = wgrad_sum(a, item);
}

template <class T, Direction kDirection>
static void launch_direct(const char* name, Arguments<T> a, void* stream) {
  const int64_t blocks = ceil_div(a.items, kThreads);
  for (a.first_block = 0; a.first_block < blocks; a.first_block += kBlocks)
    launch<direct<T, kDirection>>(name, dim3(unsigned(smaller(kBlocks, blocks - a.first_block))),
                                  dim3(kThreads), 0, stream, a);
}

template <class T>
static void run(const char* name, const Conv2dProblem& p, Direction direction,
                const Conv2dArrays& arrays, void* stream) {
  Arguments<T> a = {p,
                    strict_strides(p.layout, p.c, p.h, p.w),
                    strict_strides(p.layout, p.k, p.p, p.q),
                    strict_strides(p.layout, p.c_per_group, p.r, p.s),
                    static_cast<const T*>(arrays.x),
                    static_cast<const T*>(arrays.y),
                    static_cast<const T*>(arrays.w),
                    static_cast<const T*>(arrays.bias),
                    static_cast<const T*>(arrays.residual),
                    static_cast<T*>(arrays.out),
                    0,
                    0};
  if (direction == Direction::kFprop) {
    a.items = p.n * p.k * p.p * p.q;
    launch_direct<T, Direction::kFprop>(name, a, stream);
  } else if (direction == Direction::kDgrad) {
    a.items = p.n * p.c * p.h * p.w;
    launch_direct<T, Direction::kDgrad>(name, a, stream);
  } else {
    a.items = p.k * p.c_per_group * p.r * p.s;
    launch_direct<T, Direction::kWgrad>(name, a, stream);
  }
}

}  // namespace strict_direct
}  // namespace CK_GPU
}  // namespace ck
