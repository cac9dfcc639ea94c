// im2col.{fprop,dgrad}.gather, float32 and float64, NCHW and NHWC: windows to columns, and back.
// Needs: coordinates below 2^29 and rows of columns below 2^31 elements; arrays may be any size.
// im2col, NCHW: a thread owns an output pixel and writes its R * S taps, each a run along the warp;
// reads of neighbouring taps and pixels meet in L1. NHWC: lanes run along a pixel's columns
// (r, s, c) by groups of 16 bytes where C and the pointers allow it, 4 groups a thread in flight.
// Both write every column once, coalesced; writes are R * S times the reads and set the pace.
// col2im gathers: a thread owns an image pixel (or 16 bytes of its channels) and adds the columns
// it went to. No atomics, no zero fill. Order: (r, s) ascending, in the levels of gpu/sums.cuh.
// Limit: memory: columns + image. ptxas sm_80, 0 spills: planes 24, pixels 28-38, col2im 36-38. Not
// run on a GPU.
#include "gpu/sums.cuh"
#include "ops/im2col/problem.h"

namespace ck {
namespace CK_GPU {
namespace {

constexpr int kThreads = 256;
constexpr int kUnroll = 4;
constexpr int64_t kItems = int64_t(1) << 30;  // of one launch, unless one line has more
constexpr int64_t kCoordinates = int64_t(1) << 29;

// Work is cut into lines: rows of output pixels in im2col, rows of the image in col2im.
struct Geometry {
  int32_t h, w, p, q, r, s;
  int32_t stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w;
  int32_t c;                                 // NHWC's; 1 for the planes of NCHW
  int64_t col_image, col_p, col_q, col_tap;  // elements between neighbours in cols
  FastDivide by_line, by_group, by_rows;     // items of a line, of a pixel; lines of an image
  FastDivide by_c, by_s;                     // groups of channels; taps of a row
  uint32_t items;
  int32_t first_row;    // line number 0 is this row
  int64_t first_image;  // of this image
};

struct Line {
  int64_t image;
  int32_t row;
};
static __device__ __forceinline__ Line line_of(const Geometry& g, uint32_t line) {
  const uint32_t row = line + uint32_t(g.first_row), image = g.by_rows.quotient(row);
  return {g.first_image + image, int32_t(g.by_rows.remainder(row, image))};
}

template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    im2col_planes(Geometry g, const T* __restrict__ x, T* __restrict__ cols) {
  const uint32_t item = blockIdx.x * kThreads + threadIdx.x;
  if (item >= g.items) return;
  const uint32_t number = g.by_line.quotient(item);
  const Line line = line_of(g, number);
  const int32_t q = int32_t(g.by_line.remainder(item, number));
  const T* const plane = x + line.image * g.h * g.w;
  T* to = cols + line.image * g.col_image + line.row * g.col_p + q;
  const int32_t top = line.row * g.stride_h - g.pad_top, left = q * g.stride_w - g.pad_left;
  for (int32_t r = 0; r < g.r; ++r) {
    const int32_t h = top + r * g.dilation_h;
    const T* const row = plane + int64_t(h) * g.w;
    const bool row_inside = uint32_t(h) < uint32_t(g.h);
#pragma unroll 4
    for (int32_t s = 0; s < g.s; ++s) {
      const int32_t w = left + s * g.dilation_w;
      *to = row_inside && uint32_t(w) < uint32_t(g.w) ? row[w] : T(0);
      to += g.col_tap;
    }
  }
}

template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads, 2)
    im2col_pixels(Geometry g, const T* __restrict__ x, T* __restrict__ cols) {
  const uint32_t first = blockIdx.x * uint32_t(kThreads * kUnroll) + threadIdx.x;
  Pack<T, kWidth> pack[kUnroll];
  int64_t at[kUnroll];
#pragma unroll
  for (int i = 0; i < kUnroll; ++i) {
    const uint32_t item = first + uint32_t(i) * kThreads;
    at[i] = -1;
    if (item >= g.items) continue;
    const uint32_t number = g.by_line.quotient(item);
    const uint32_t in_line = g.by_line.remainder(item, number);
    const Line line = line_of(g, number);
    const uint32_t q = g.by_group.quotient(in_line);
    const uint32_t group = g.by_group.remainder(in_line, q);
    const uint32_t tap = g.by_c.quotient(group), c = g.by_c.remainder(group, tap) * kWidth;
    const uint32_t r = g.by_s.quotient(tap), s = g.by_s.remainder(tap, r);
    const int32_t h = line.row * g.stride_h - g.pad_top + int32_t(r) * g.dilation_h;
    const int32_t w = int32_t(q) * g.stride_w - g.pad_left + int32_t(s) * g.dilation_w;
    at[i] = line.image * g.col_image + line.row * g.col_p + q * g.col_q + int64_t(group) * kWidth;
    pack[i] = uint32_t(h) < uint32_t(g.h) && uint32_t(w) < uint32_t(g.w)
                  ? load_pack<T, kWidth>(x + ((line.image * g.h + h) * g.w + w) * g.c + c)
                  : zero_pack<T, kWidth>();
  }
#pragma unroll
  for (int i = 0; i < kUnroll; ++i) {
    if (at[i] >= 0) store_pack<T, kWidth>(cols + at[i], pack[i]);
  }
}

template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads, 2)
    col2im_pixels(Geometry g, const T* __restrict__ cols, T* __restrict__ x) {
  const uint32_t item = blockIdx.x * kThreads + threadIdx.x;
  if (item >= g.items) return;
  const uint32_t number = g.by_line.quotient(item);
  const uint32_t in_line = g.by_line.remainder(item, number);
  const Line line = line_of(g, number);
  const uint32_t column = g.by_group.quotient(in_line);
  const int64_t c = int64_t(g.by_group.remainder(in_line, column)) * kWidth;
  const int32_t t_h = line.row + g.pad_top, t_w = int32_t(column) + g.pad_left;
  const T* const image = cols + line.image * g.col_image + c;

  LongSum<T, kWidth> sum;
  typename LongSum<T, kWidth>::Carried carried;
  // Windows descending, so that taps ascend.
  const int32_t q_last = smaller(g.q - 1, t_w / g.stride_w);
  for (int32_t p = smaller(g.p - 1, t_h / g.stride_h); p >= 0; --p) {
    const int32_t above = t_h - p * g.stride_h;
    const int32_t r = g.dilation_h == 1 ? above : above / g.dilation_h;
    if (r >= g.r) break;
    if (r * g.dilation_h != above) continue;
    for (int32_t q = q_last; q >= 0; --q) {
      const int32_t before = t_w - q * g.stride_w;
      const int32_t s = g.dilation_w == 1 ? before : before / g.dilation_w;
      if (s >= g.s) break;
      if (s * g.dilation_w != before) continue;
      sum.expect(1, carried);
      sum.add(load_pack<T, kWidth>(image + p * g.col_p + q * g.col_q +
                                   (int64_t(r) * g.s + s) * g.col_tap));
    }
  }
  store_pack<T, kWidth>(x + ((line.image * g.h + line.row) * g.w + column) * g.c + c,
                        sum.finish(carried));
}

Reason supports(const Im2colProblem& p, Direction) {
  const int64_t reach_h = p.h + p.pad_top + p.pad_bottom + (p.r - 1) * p.dilation_h + p.stride_h;
  const int64_t reach_w = p.w + p.pad_left + p.pad_right + (p.s - 1) * p.dilation_w + p.stride_w;
  if (reach_h > kCoordinates || reach_w > kCoordinates) {
    return refused("windows reach %lld x %lld padded pixels, needs at most 2**29 each",
                   (long long)reach_h, (long long)reach_w);
  }
  const bool nhwc = p.layout == Layout::kNHWC;
  const int64_t channels = nhwc ? p.c : 1;
  // No overflow: the columns' bytes were bounded when the problem was made.
  const int64_t line = larger(p.q * (nhwc ? p.r * p.s * p.c : 1), p.w * channels);
  if (line > INT32_MAX) {
    return refused("a row of pixels has %lld elements, needs under 2**31", (long long)line);
  }
  return accepted();
}

int64_t workspace_bytes(const Im2colProblem&, Direction, int) { return 0; }

// `groups`: items of one pixel of a line; `rows`, `columns`: lines of an image, pixels of a line.
Geometry make_geometry(const Im2colProblem& p, int64_t rows, int64_t columns, int64_t groups,
                       int width) {
  const bool nhwc = p.layout == Layout::kNHWC;
  Geometry g = {};
  g.h = int32_t(p.h), g.w = int32_t(p.w), g.p = int32_t(p.p), g.q = int32_t(p.q);
  g.r = int32_t(p.r), g.s = int32_t(p.s);
  g.stride_h = int32_t(p.stride_h), g.stride_w = int32_t(p.stride_w);
  g.pad_top = int32_t(p.pad_top), g.pad_left = int32_t(p.pad_left);
  g.dilation_h = int32_t(p.dilation_h), g.dilation_w = int32_t(p.dilation_w);
  const int64_t pixels = p.p * p.q, taps = p.r * p.s;
  g.c = nhwc ? int32_t(p.c) : 1;
  g.col_image = taps * pixels * g.c;
  g.col_tap = nhwc ? p.c : pixels;
  g.col_q = nhwc ? taps * p.c : 1;
  g.col_p = p.q * g.col_q;
  g.by_line = fast_divide(columns * groups);
  g.by_group = fast_divide(groups);
  g.by_rows = fast_divide(rows);
  g.by_c = fast_divide(g.c / width);
  g.by_s = fast_divide(p.s);
  return g;
}

// Calls launch_lines(geometry, blocks) for as many lines at a time as 32-bit numbers allow.
template <class Launch>
void for_each_launch(const Im2colProblem& p, Geometry g, int items_per_block,
                     const Launch& launch_lines) {
  const int64_t images = p.layout == Layout::kNHWC ? p.n : p.n * p.c;
  const int64_t rows = g.by_rows.divisor, lines = images * rows;
  const int64_t at_once = larger(kItems / int64_t(g.by_line.divisor), int64_t(1));
  for (int64_t first = 0; first < lines; first += at_once) {
    const int64_t items = smaller(at_once, lines - first) * g.by_line.divisor;
    g.items = uint32_t(items);
    g.first_image = first / rows;
    g.first_row = int32_t(first % rows);
    launch_lines(g, dim3(unsigned(ceil_div(items, items_per_block))));
  }
}

template <class T, int kWidth>
void run_width(const Im2colProblem& p, Direction direction, const Im2colArrays& arrays,
               void* stream) {
  const bool nhwc = p.layout == Layout::kNHWC, single = sizeof(T) == 4;
  const T* const in = static_cast<const T*>(arrays.in);
  T* const out = static_cast<T*>(arrays.out);
  const dim3 block(kThreads);
  if (direction == Direction::kDgrad) {
    const Geometry all = make_geometry(p, p.h, p.w, nhwc ? p.c / kWidth : 1, kWidth);
    for_each_launch(p, all, kThreads, [&](const Geometry& g, dim3 grid) {
      launch<col2im_pixels<T, kWidth>>(
          single ? "im2col.dgrad.gather.f32" : "im2col.dgrad.gather.f64", grid, block, 0, stream, g,
          in, out);
    });
    return;
  }
  const char* name = single ? "im2col.fprop.gather.f32" : "im2col.fprop.gather.f64";
  const Geometry all = make_geometry(p, p.p, p.q, nhwc ? p.r * p.s * p.c / kWidth : 1, kWidth);
  for_each_launch(p, all, nhwc ? kThreads * kUnroll : kThreads, [&](const Geometry& g, dim3 grid) {
    if (nhwc) {
      launch<im2col_pixels<T, kWidth>>(name, grid, block, 0, stream, g, in, out);
    } else {
      launch<im2col_planes<T>>(name, grid, block, 0, stream, g, in, out);
    }
  });
}

template <class T>
void run_typed(const Im2colProblem& p, Direction direction, const Im2colArrays& arrays,
               void* stream) {
  constexpr int kWidth = kVectorBytes / sizeof(T);
  if (p.layout == Layout::kNHWC && p.c % kWidth == 0 && is_vector_aligned(arrays.in) &&
      is_vector_aligned(arrays.out)) {
    run_width<T, kWidth>(p, direction, arrays, stream);
  } else {
    run_width<T, 1>(p, direction, arrays, stream);
  }
}

void run(const Im2colProblem& p, Direction direction, const Im2colArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution.stream);
  } else {
    run_typed<double>(p, direction, arrays, execution.stream);
  }
}

}  // namespace

extern const Im2colKernel im2col_gather;
const Im2colKernel im2col_gather = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
