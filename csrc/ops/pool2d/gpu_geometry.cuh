// How threads of the GPU pools find their pixels.
#pragma once

#include "gpu/sums.cuh"
#include "ops/pool2d/problem.h"

namespace ck {
namespace CK_GPU {

constexpr int kPoolThreads = 256;
constexpr int kPoolRows = 4;  // rows of a thread's strip
constexpr int64_t kPoolItems = int64_t(1)
                               << 30;  // threads of one launch, unless one plane has more
// Coordinates, padding included, stay below: sums of a few of them fit 32 bits.
constexpr int64_t kPoolCoordinates = int64_t(1) << 29;

struct PoolGeometry {
  int32_t h, w, p, q, r, s;
  int32_t stride_h, stride_w, pad_top, pad_left, end_h, end_w, dilation_h, dilation_w;
  int32_t pixel;  // elements from a pixel to its right neighbour: 1, or C
  // Thread number = ((plane * strips + strip) * columns + column) * groups of channels + group.
  FastDivide by_groups, by_columns, by_strips;
  uint32_t items;
  int64_t x_plane, y_plane;  // elements
  bool count_include_pad;
};

// One thread's strip: rows [row, row + kPoolRows) of `column`, channels from `channel`.
struct PoolStrip {
  int64_t plane;
  int32_t row, column, channel;
};

static __device__ __forceinline__ PoolStrip pool_strip(const PoolGeometry& g, uint32_t item,
                                                       int width) {
  PoolStrip strip;
  const uint32_t pixel = g.by_groups.quotient(item);
  const uint32_t line = g.by_columns.quotient(pixel);
  const uint32_t plane = g.by_strips.quotient(line);
  strip.plane = plane;
  strip.row = int32_t(g.by_strips.remainder(line, plane)) * kPoolRows;
  strip.column = int32_t(g.by_columns.remainder(pixel, line));
  strip.channel = int32_t(g.by_groups.remainder(item, pixel)) * width;
  return strip;
}

// How many pixels of the window at output coordinate i an average counts, along one axis; `end` is
// where the padded image ends.
static __device__ __forceinline__ int32_t counted(int32_t i, int32_t stride, int32_t taps,
                                                  int32_t pad, int32_t size, int32_t end,
                                                  bool include_pad) {
  const int32_t start = i * stride - pad;
  if (include_pad) return smaller(start + taps, end) - start;
  return smaller(start + taps, size) - larger(start, 0);
}

// Geometry over strips of `rows` rows of `columns` pixels: y's in fprop, x's in dgrad.
static inline PoolGeometry pool_geometry(const Pool2dProblem& p, int64_t rows, int64_t columns,
                                         int width) {
  const bool nhwc = p.layout == Layout::kNHWC;
  PoolGeometry g = {};
  g.h = int32_t(p.h), g.w = int32_t(p.w), g.p = int32_t(p.p), g.q = int32_t(p.q);
  g.r = int32_t(p.r), g.s = int32_t(p.s);
  g.stride_h = int32_t(p.stride_h), g.stride_w = int32_t(p.stride_w);
  g.pad_top = int32_t(p.pad_top), g.pad_left = int32_t(p.pad_left);
  g.end_h = int32_t(p.h + p.pad_bottom), g.end_w = int32_t(p.w + p.pad_right);
  g.dilation_h = int32_t(p.dilation_h), g.dilation_w = int32_t(p.dilation_w);
  g.pixel = nhwc ? int32_t(p.c) : 1;
  g.by_groups = fast_divide(nhwc ? p.c / width : 1);
  g.by_columns = fast_divide(columns);
  g.by_strips = fast_divide(ceil_div(rows, kPoolRows));
  g.x_plane = p.h * p.w * g.pixel;
  g.y_plane = p.p * p.q * g.pixel;
  g.count_include_pad = p.count_include_pad;
  return g;
}

// Calls launch(geometry, first plane) for as many planes at a time as 32-bit thread numbers allow.
template <class Launch>
static void for_each_launch(const Pool2dProblem& p, PoolGeometry g, const Launch& launch_planes) {
  const int64_t planes = p.layout == Layout::kNHWC ? p.n : p.n * p.c;
  const int64_t plane_items =
      int64_t(g.by_groups.divisor) * g.by_columns.divisor * g.by_strips.divisor;
  const int64_t at_once = larger(kPoolItems / plane_items, int64_t(1));
  for (int64_t first = 0; first < planes; first += at_once) {
    g.items = uint32_t(smaller(at_once, planes - first) * plane_items);
    launch_planes(g, first);
  }
}

static inline dim3 pool_grid(const PoolGeometry& g) {
  return dim3(unsigned(ceil_div(g.items, kPoolThreads)));
}

}  // namespace CK_GPU
}  // namespace ck
