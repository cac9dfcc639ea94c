// adaptive_pool2d.{fprop,dgrad}.direct, float32 and float64, NCHW and NHWC: maximum and average of
// any image and output sides.
// Needs: images and outputs of fewer than 2^31 elements a plane, height times height and width
// times width of both below 2^31.
// Threads: one an element of the result, lanes along its rows (NCHW) or channels, then pixels
// (NHWC). NHWC reads are runs; NCHW reads of a warp are about a window's width apart, so that
// neighbours share cache lines while windows are small: choose pool2d where it fits.
// fprop: a thread walks its window row by row, so the first of equal maxima wins. dgrad gathers:
// the windows that hold a pixel are a range, found by fprop's formula with image and output
// exchanged; at most two along a side that is not enlarged. No atomics, no zero fill; an index that
// is no pixel of its window meets no pixel.
// Order: windows and pixels row by row, in the levels of gpu/sums.cuh. Limit: memory. No shared
// memory. ptxas sm_80, 0 spills: f32 max 32, average 56, dgrad 42-43; f64 34-36, 40, 43-60. Not run
// on a GPU.
#include "ops/adaptive_pool2d/problem.h"
#include "ops/pool2d/gpu_forward.cuh"

namespace ck {
namespace CK_GPU {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kItems = int64_t(1) << 30;  // threads of one launch, unless one plane has more

// The elements of one side's ranges (adaptive_range), with the divisor known beforehand.
struct Side {
  int32_t size;  // of what the ranges consist of
  FastDivide by_ranges;

  __device__ __forceinline__ int32_t begin(int32_t i) const {
    return int32_t(by_ranges.quotient(uint32_t(i * size)));
  }
  __device__ __forceinline__ int32_t end(int32_t i) const {
    return int32_t(by_ranges.quotient(uint32_t((i + 1) * size) + by_ranges.divisor - 1));
  }
};

Side side_of(int64_t size, int64_t ranges) { return {int32_t(size), fast_divide(ranges)}; }

struct AdaptiveGeometry {
  Side rows, columns;             // of the source that make one of the result
  Side row_holds, column_holds;   // and the other way
  int32_t source_columns, pixel;  // pixel: elements from a pixel to its right neighbour, 1 or C
  // Thread number = ((plane * rows + row) * columns + column) * channels + channel.
  FastDivide by_channels, by_columns, by_rows;
  uint32_t items;
  int64_t source_plane, plane;  // elements
};

// What a thread makes, and of which part of its plane's source.
struct Element {
  int64_t at, source;
  int32_t row, column;
  int32_t row_begin, row_end, column_begin, column_end;
};

__device__ __forceinline__ Element element_of(const AdaptiveGeometry& g, uint32_t item) {
  const uint32_t pixel = g.by_channels.quotient(item);
  const uint32_t line = g.by_columns.quotient(pixel);
  const uint32_t plane = g.by_rows.quotient(line);
  Element e;
  e.at = item;
  e.source = plane * g.source_plane + g.by_channels.remainder(item, pixel);
  e.column = int32_t(g.by_columns.remainder(pixel, line));
  e.row = int32_t(g.by_rows.remainder(line, plane));
  e.row_begin = g.rows.begin(e.row), e.row_end = g.rows.end(e.row);
  e.column_begin = g.columns.begin(e.column), e.column_end = g.columns.end(e.column);
  return e;
}

template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    adaptive_average(AdaptiveGeometry g, const T* __restrict__ x, T* __restrict__ y) {
  const uint32_t item = blockIdx.x * kThreads + threadIdx.x;
  if (item >= g.items) return;
  const Element e = element_of(g, item);
  LongSum<T, 1> sum;
  typename LongSum<T, 1>::Carried carried;
  for (int32_t h = e.row_begin; h < e.row_end; ++h) {
    const T* const line = x + e.source + int64_t(h) * g.source_columns * g.pixel;
    for (int32_t first = e.column_begin; first < e.column_end; first += kSumBlock) {
      const int32_t end = smaller(first + kSumBlock, e.column_end);
      sum.expect(end - first, carried);
      for (int32_t w = first; w < end; ++w) sum.add(load_pack<T, 1>(line + int64_t(w) * g.pixel));
    }
  }
  const T area = T(e.row_end - e.row_begin) * T(e.column_end - e.column_begin);
  y[e.at] = sum.finish(carried).value[0] / area;
}

template <class T, bool kIndexed>
__global__ void __launch_bounds__(kThreads, 2)
    adaptive_max(AdaptiveGeometry g, const T* __restrict__ x, T* __restrict__ y,
                 int64_t* __restrict__ indices) {
  const uint32_t item = blockIdx.x * kThreads + threadIdx.x;
  if (item >= g.items) return;
  const Element e = element_of(g, item);
  Best<T, int32_t, kIndexed> best;
  best.clear();
  for (int32_t h = e.row_begin; h < e.row_end; ++h) {
    const T* const line = x + e.source + int64_t(h) * g.source_columns * g.pixel;
    for (int32_t w = e.column_begin; w < e.column_end; ++w)
      best.take(line[int64_t(w) * g.pixel], h * g.source_columns + w);
  }
  y[e.at] = best.value;
  if (kIndexed) indices[e.at] = best.place;
}

template <class T, bool kIsMax>
__global__ void __launch_bounds__(kThreads, 2)
    adaptive_gradient(AdaptiveGeometry g, const T* __restrict__ grad_y,
                      const int64_t* __restrict__ indices, T* __restrict__ grad_x) {
  const uint32_t item = blockIdx.x * kThreads + threadIdx.x;
  if (item >= g.items) return;
  const Element e = element_of(g, item);
  const int64_t pixel = int64_t(e.row) * g.by_columns.divisor + e.column;
  LongSum<T, 1> sum;
  typename LongSum<T, 1>::Carried carried;
  for (int32_t p = e.row_begin; p < e.row_end; ++p) {
    const T height = kIsMax ? T(1) : T(g.row_holds.end(p) - g.row_holds.begin(p));
    for (int32_t first = e.column_begin; first < e.column_end; first += kSumBlock) {
      const int32_t end = smaller(first + kSumBlock, e.column_end);
      sum.expect(end - first, carried);
      for (int32_t q = first; q < end; ++q) {
        const int64_t at = e.source + (int64_t(p) * g.source_columns + q) * g.pixel;
        if (kIsMax && indices[at] != pixel) continue;
        Pack<T, 1> grad = load_pack<T, 1>(grad_y + at);
        if (!kIsMax) grad.value[0] /= height * T(g.column_holds.end(q) - g.column_holds.begin(q));
        sum.add(grad);
      }
    }
  }
  grad_x[e.at] = sum.finish(carried).value[0];
}

AdaptiveGeometry geometry_of(const AdaptivePool2dProblem& p, Direction direction) {
  const bool nhwc = p.layout == Layout::kNHWC, forward = direction == Direction::kFprop;
  const int64_t rows = forward ? p.p : p.h, columns = forward ? p.q : p.w;
  const int64_t source_rows = forward ? p.h : p.p, source_columns = forward ? p.w : p.q;
  AdaptiveGeometry g = {};
  g.rows = side_of(source_rows, rows), g.columns = side_of(source_columns, columns);
  g.row_holds = side_of(rows, source_rows), g.column_holds = side_of(columns, source_columns);
  g.source_columns = int32_t(source_columns);
  g.pixel = nhwc ? int32_t(p.c) : 1;
  g.by_channels = fast_divide(g.pixel);
  g.by_columns = fast_divide(columns), g.by_rows = fast_divide(rows);
  g.source_plane = source_rows * source_columns * g.pixel;
  g.plane = rows * columns * g.pixel;
  return g;
}

// Calls launch(geometry, first plane) for as many planes at a time as 32-bit thread numbers allow.
template <class Launch>
void for_each_launch(const AdaptivePool2dProblem& p, Direction direction, const Launch& launch) {
  AdaptiveGeometry g = geometry_of(p, direction);
  const int64_t planes = p.layout == Layout::kNHWC ? p.n : p.n * p.c;
  const int64_t at_once = larger(kItems / g.plane, int64_t(1));
  for (int64_t first = 0; first < planes; first += at_once) {
    g.items = uint32_t(smaller(at_once, planes - first) * g.plane);
    launch(g, first);
  }
}

dim3 grid_of(const AdaptiveGeometry& g) { return dim3(unsigned(ceil_div(g.items, kThreads))); }

template <class T>
const char* kernel_name(Direction direction) {
  const bool single = sizeof(T) == 4;
  if (direction == Direction::kFprop)
    return single ? "adaptive_pool2d.fprop.direct.f32" : "adaptive_pool2d.fprop.direct.f64";
  return single ? "adaptive_pool2d.dgrad.direct.f32" : "adaptive_pool2d.dgrad.direct.f64";
}

template <class T, bool kIndexed>
void run_max(const AdaptivePool2dProblem& p, const Pool2dArrays& arrays, void* stream) {
  for_each_launch(p, Direction::kFprop, [&](const AdaptiveGeometry& g, int64_t first) {
    launch<adaptive_max<T, kIndexed>>(kernel_name<T>(Direction::kFprop), grid_of(g), dim3(kThreads),
                                      0, stream, g,
                                      static_cast<const T*>(arrays.x) + first * g.source_plane,
                                      static_cast<T*>(arrays.out) + first * g.plane,
                                      kIndexed ? arrays.indices_out + first * g.plane : nullptr);
  });
}

template <class T, bool kIsMax>
void run_gradient(const AdaptivePool2dProblem& p, const Pool2dArrays& arrays, void* stream) {
  for_each_launch(p, Direction::kDgrad, [&](const AdaptiveGeometry& g, int64_t first) {
    launch<adaptive_gradient<T, kIsMax>>(
        kernel_name<T>(Direction::kDgrad), grid_of(g), dim3(kThreads), 0, stream, g,
        static_cast<const T*>(arrays.y) + first * g.source_plane,
        kIsMax ? arrays.indices_in + first * g.source_plane : nullptr,
        static_cast<T*>(arrays.out) + first * g.plane);
  });
}

template <class T>
void run_typed(const AdaptivePool2dProblem& p, Direction direction, const Pool2dArrays& arrays,
               void* stream) {
  if (direction == Direction::kDgrad) {
    return p.is_max ? run_gradient<T, true>(p, arrays, stream)
                    : run_gradient<T, false>(p, arrays, stream);
  }
  if (p.is_max) {
    return arrays.indices_out != nullptr ? run_max<T, true>(p, arrays, stream)
                                         : run_max<T, false>(p, arrays, stream);
  }
  for_each_launch(p, direction, [&](const AdaptiveGeometry& g, int64_t first) {
    launch<adaptive_average<T>>(kernel_name<T>(direction), grid_of(g), dim3(kThreads), 0, stream, g,
                                static_cast<const T*>(arrays.x) + first * g.source_plane,
                                static_cast<T*>(arrays.out) + first * g.plane);
  });
}

Reason supports(const AdaptivePool2dProblem& p, Direction) {
  const int64_t channels = p.layout == Layout::kNHWC ? p.c : 1;
  const int64_t limit = INT32_MAX / channels;
  if (p.h > limit / p.w || p.p > limit / p.q) {
    return refused("an image or output of %lld x %lld or %lld x %lld pixels, needs under 2**31 %s",
                   (long long)p.h, (long long)p.w, (long long)p.p, (long long)p.q,
                   channels > 1 ? "elements" : "pixels");
  }
  if ((p.h + 1) * (p.p + 1) > INT32_MAX || (p.w + 1) * (p.q + 1) > INT32_MAX) {
    return refused("%lld x %lld pixels to %lld x %lld, needs products of the sides under 2**31",
                   (long long)p.h, (long long)p.w, (long long)p.p, (long long)p.q);
  }
  return accepted();
}

int64_t workspace_bytes(const AdaptivePool2dProblem&, Direction, int) { return 0; }

void run(const AdaptivePool2dProblem& p, Direction direction, const Pool2dArrays& arrays,
         const Execution& execution) {
  if (p.n == 0) return;
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution.stream);
  } else {
    run_typed<double>(p, direction, arrays, execution.stream);
  }
}

}  // namespace

extern const AdaptivePool2dKernel adaptive_pool2d_direct;
const AdaptivePool2dKernel adaptive_pool2d_direct = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
