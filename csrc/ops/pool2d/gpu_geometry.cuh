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
// 32-bit coordinates, padding included, stay below: sums of a few of them fit.
constexpr int64_t kPoolCoordinates = int64_t(1) << 29;

// Index int32_t: planes of fewer than 2^31 elements, coordinates below 2^29; int64_t: any.
template <class Index>
struct PoolGeometry {
  using Number = typename Counting<Index>::Number;
  Index h, w, p, q, r, s;
  Index stride_h, stride_w, pad_top, pad_left, end_h, end_w, dilation_h, dilation_w;
  Index pixel;  // elements from a pixel to its right neighbour: 1, or C
  // Thread number = ((plane * strips + strip) * columns + column) * groups of channels + group.
  typename Counting<Index>::Divide by_groups, by_columns, by_strips;
  Number first_item, items;  // of one launch: [first_item, items)
  int64_t x_plane, y_plane;  // elements
  bool count_include_pad;
};

// One thread's strip: rows [row, row + kPoolRows) of `column`, channels from `channel`.
template <class Index>
struct PoolStrip {
  int64_t plane;
  Index row, column, channel;
};

template <class Index>
static __device__ __forceinline__ PoolStrip<Index> pool_strip(const PoolGeometry<Index>& g,
                                                              typename Counting<Index>::Number item,
                                                              int width) {
  PoolStrip<Index> strip;
  const auto pixel = g.by_groups.quotient(item);
  const auto line = g.by_columns.quotient(pixel);
  const auto plane = g.by_strips.quotient(line);
  strip.plane = plane;
  strip.row = Index(g.by_strips.remainder(line, plane)) * kPoolRows;
  strip.column = Index(g.by_columns.remainder(pixel, line));
  strip.channel = Index(g.by_groups.remainder(item, pixel)) * width;
  return strip;
}

// How many pixels of the window at output coordinate i an average counts, along one axis; `end` is
// where the padded image ends.
template <class Index>
static __device__ __forceinline__ Index counted(Index i, Index stride, Index taps, Index pad,
                                                Index size, Index end, bool include_pad) {
  const Index start = i * stride - pad;
  if (include_pad) return smaller(start + taps, end) - start;
  return smaller(start + taps, size) - larger(start, Index(0));
}

// Geometry over strips of `rows` rows of `columns` pixels: y's in fprop, x's in dgrad.
template <class Index>
static PoolGeometry<Index> pool_geometry(const Pool2dProblem& p, int64_t rows, int64_t columns,
                                         int width) {
  const bool nhwc = p.layout == Layout::kNHWC;
  PoolGeometry<Index> g = {};
  g.h = Index(p.h), g.w = Index(p.w), g.p = Index(p.p), g.q = Index(p.q);
  g.r = Index(p.r), g.s = Index(p.s);
  g.stride_h = Index(p.stride_h), g.stride_w = Index(p.stride_w);
  g.pad_top = Index(p.pad_top), g.pad_left = Index(p.pad_left);
  g.end_h = Index(p.h + p.pad_bottom), g.end_w = Index(p.w + p.pad_right);
  g.dilation_h = Index(p.dilation_h), g.dilation_w = Index(p.dilation_w);
  g.pixel = nhwc ? Index(p.c) : 1;
  g.by_groups = Counting<Index>::divide(nhwc ? p.c / width : 1);
  g.by_columns = Counting<Index>::divide(columns);
  g.by_strips = Counting<Index>::divide(ceil_div(rows, kPoolRows));
  g.x_plane = p.h * p.w * g.pixel;
  g.y_plane = p.p * p.q * g.pixel;
  g.count_include_pad = p.count_include_pad;
  return g;
}

// Calls launch(geometry, first plane) for as many planes at a time as 32-bit thread numbers allow;
// with 64-bit ones for as many items as a launch takes.
template <class Index, class Launch>
static void for_each_launch(const Pool2dProblem& p, PoolGeometry<Index> g,
                            const Launch& launch_planes) {
  const int64_t planes = p.layout == Layout::kNHWC ? p.n : p.n * p.c;
  const int64_t plane_items =
      int64_t(g.by_groups.divisor) * g.by_columns.divisor * g.by_strips.divisor;
  if constexpr (sizeof(Index) == 8) {
    for (int64_t first = 0; first < planes * plane_items; first += kPoolItems) {
      g.first_item = uint64_t(first);
      g.items = uint64_t(smaller(first + kPoolItems, planes * plane_items));
      launch_planes(g, int64_t(0));
    }
  } else {
    const int64_t at_once = larger(kPoolItems / plane_items, int64_t(1));
    for (int64_t first = 0; first < planes; first += at_once) {
      g.items = uint32_t(smaller(at_once, planes - first) * plane_items);
      launch_planes(g, first);
    }
  }
}

template <class Index>
static dim3 pool_grid(const PoolGeometry<Index>& g) {
  return dim3(unsigned(ceil_div(int64_t(g.items - g.first_item), kPoolThreads)));
}

}  // namespace CK_GPU
}  // namespace ck
