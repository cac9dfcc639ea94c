// im2col.{fprop,dgrad}.gather, NCHW and NHWC: windows to columns, elements of 1 to 16 bytes moved
// as they are, and back, float32 and float64.
// Needs: nothing. Coordinates from 2^29 on and rows of columns of 2^31 elements or more are taken
// with 64-bit coordinates.
// im2col, NCHW: a thread owns an output pixel and writes its R * S taps, each a run along the warp;
// reads of neighbouring taps and pixels meet in L1. NHWC: lanes run along a pixel's columns
// (r, s, c) by groups of 16 bytes where C and the pointers allow it, 4 groups a thread in flight.
// Both write every column once, coalesced; writes are R * S times the reads and set the pace.
// col2im gathers: a thread owns an image pixel (or 16 bytes of its channels) and adds the columns
// it went to. No atomics, no zero fill. Order: (r, s) ascending, in the levels of gpu/sums.cuh.
// Limit: memory: columns + image. ptxas sm_80, 0 spills: planes 22-28, pixels 28-38, col2im 36-38;
// 64-bit coordinates 28-35, 40-48, 52. Not run on a GPU.
#include "gpu/sums.cuh"
#include "ops/im2col/problem.h"

namespace ck {
namespace CK_GPU {
namespace {

constexpr int kThreads = 256;
constexpr int kUnroll = 4;
constexpr int64_t kItems = int64_t(1) << 30;  // of one launch, unless one line has more
// 32-bit coordinates, padding included, stay below: sums of a few of them fit.
constexpr int64_t kCoordinates = int64_t(1) << 29;

struct Item16 {  // aligned as its halves are: arrays of complex128 need no more
  double low, high;
};
struct alignas(kVectorBytes) Vector16 {  // elements of any type, moved by one instruction
  uint32_t word[4];
};

// Work is cut into lines: rows of output pixels in im2col, rows of the image in col2im.
template <class Index>
struct Geometry {
  using Number = typename Counting<Index>::Number;
  using Divide = typename Counting<Index>::Divide;
  Index h, w, p, q, r, s;
  Index stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w;
  Index c;                                   // NHWC's; 1 for the planes of NCHW
  int64_t col_image, col_p, col_q, col_tap;  // elements between neighbours in cols
  Divide by_line, by_group, by_rows;         // items of a line, of a pixel; lines of an image
  Divide by_c, by_s;                         // groups of channels; taps of a row
  Number first_item, items;                  // of one launch: [first_item, items)
  Index first_row;                           // line number 0 is this row
  int64_t first_image;                       // of this image
};

template <class Index>
struct Line {
  int64_t image;
  Index row;
};
template <class Index>
static __device__ __forceinline__ Line<Index> line_of(const Geometry<Index>& g,
                                                      typename Counting<Index>::Number line) {
  const auto row = line + typename Counting<Index>::Number(g.first_row);
  const auto image = g.by_rows.quotient(row);
  return {g.first_image + int64_t(image), Index(g.by_rows.remainder(row, image))};
}

template <class T, class Index>
__global__ void __launch_bounds__(kThreads, 2)
    im2col_planes(Geometry<Index> g, const T* __restrict__ x, T* __restrict__ cols) {
  using Number = typename Counting<Index>::Number;
  const Number item = item_number(g, kThreads);
  if (item >= g.items) return;
  const Number number = g.by_line.quotient(item);
  const Line<Index> line = line_of(g, number);
  const Index q = Index(g.by_line.remainder(item, number));
  const T* const plane = x + line.image * g.h * g.w;
  T* to = cols + line.image * g.col_image + line.row * g.col_p + q;
  const Index top = line.row * g.stride_h - g.pad_top, left = q * g.stride_w - g.pad_left;
  for (Index r = 0; r < g.r; ++r) {
    const Index h = top + r * g.dilation_h;
    const T* const row = plane + int64_t(h) * g.w;
    const bool row_inside = Number(h) < Number(g.h);
#pragma unroll 4
    for (Index s = 0; s < g.s; ++s) {
      const Index w = left + s * g.dilation_w;
      *to = row_inside && Number(w) < Number(g.w) ? row[w] : T{};
      to += g.col_tap;
    }
  }
}

template <class T, class Index>
__global__ void __launch_bounds__(kThreads, 2)
    im2col_pixels(Geometry<Index> g, const T* __restrict__ x, T* __restrict__ cols) {
  using Number = typename Counting<Index>::Number;
  const Number first = item_number(g, kThreads * kUnroll);
  T item_of[kUnroll];
  int64_t at[kUnroll];
#pragma unroll
  for (int i = 0; i < kUnroll; ++i) {
    const Number item = first + Number(i) * kThreads;
    at[i] = -1;
    if (item >= g.items) continue;
    const Number number = g.by_line.quotient(item);
    const Number in_line = g.by_line.remainder(item, number);
    const Line<Index> line = line_of(g, number);
    const Number q = g.by_group.quotient(in_line);
    const Number group = g.by_group.remainder(in_line, q);
    const Number tap = g.by_c.quotient(group), c = g.by_c.remainder(group, tap);
    const Number r = g.by_s.quotient(tap), s = g.by_s.remainder(tap, r);
    const Index h = line.row * g.stride_h - g.pad_top + Index(r) * g.dilation_h;
    const Index w = Index(q) * g.stride_w - g.pad_left + Index(s) * g.dilation_w;
    at[i] = line.image * g.col_image + line.row * g.col_p + int64_t(q) * g.col_q + int64_t(group);
    item_of[i] = Number(h) < Number(g.h) && Number(w) < Number(g.w)
                     ? x[((line.image * g.h + h) * g.w + w) * g.c + c]
                     : T{};
  }
#pragma unroll
  for (int i = 0; i < kUnroll; ++i) {
    if (at[i] >= 0) cols[at[i]] = item_of[i];
  }
}

template <class T, class Index, int kWidth>
__global__ void __launch_bounds__(kThreads, 2)
    col2im_pixels(Geometry<Index> g, const T* __restrict__ cols, T* __restrict__ x) {
  using Number = typename Counting<Index>::Number;
  const Number item = item_number(g, kThreads);
  if (item >= g.items) return;
  const Number number = g.by_line.quotient(item);
  const Number in_line = g.by_line.remainder(item, number);
  const Line<Index> line = line_of(g, number);
  const Number column = g.by_group.quotient(in_line);
  const int64_t c = int64_t(g.by_group.remainder(in_line, column)) * kWidth;
  const Index t_h = line.row + g.pad_top, t_w = Index(column) + g.pad_left;
  const T* const image = cols + line.image * g.col_image + c;

  LongSum<T, kWidth> sum;
  typename LongSum<T, kWidth>::Carried carried;
  // Windows descending, so that taps ascend.
  const Index q_last = smaller(g.q - 1, t_w / g.stride_w);
  for (Index p = smaller(g.p - 1, t_h / g.stride_h); p >= 0; --p) {
    const Index above = t_h - p * g.stride_h;
    const Index r = g.dilation_h == 1 ? above : above / g.dilation_h;
    if (r >= g.r) break;
    if (r * g.dilation_h != above) continue;
    for (Index q = q_last; q >= 0; --q) {
      const Index before = t_w - q * g.stride_w;
      const Index s = g.dilation_w == 1 ? before : before / g.dilation_w;
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

Reason supports(const Im2colProblem&, Direction) { return accepted(); }

bool needs_wide_coordinates(const Im2colProblem& p) {
  const int64_t reach_h = p.h + p.pad_top + p.pad_bottom + (p.r - 1) * p.dilation_h + p.stride_h;
  const int64_t reach_w = p.w + p.pad_left + p.pad_right + (p.s - 1) * p.dilation_w + p.stride_w;
  if (reach_h > kCoordinates || reach_w > kCoordinates) return true;
  const bool nhwc = p.layout == Layout::kNHWC;
  const int64_t channels = nhwc ? p.c : 1;
  // No overflow: the columns' bytes were bounded when the problem was made.
  return larger(p.q * (nhwc ? p.r * p.s * p.c : 1), p.w * channels) > INT32_MAX;
}

int64_t workspace_bytes(const Im2colProblem&, Direction, int) { return 0; }

// `groups`: items of one pixel of a line; `rows`, `columns`: lines of an image, pixels of a line.
template <class Index>
Geometry<Index> make_geometry(const Im2colProblem& p, int64_t rows, int64_t columns, int64_t groups,
                              int width) {
  const bool nhwc = p.layout == Layout::kNHWC;
  Geometry<Index> g = {};
  g.h = Index(p.h), g.w = Index(p.w), g.p = Index(p.p), g.q = Index(p.q);
  g.r = Index(p.r), g.s = Index(p.s);
  g.stride_h = Index(p.stride_h), g.stride_w = Index(p.stride_w);
  g.pad_top = Index(p.pad_top), g.pad_left = Index(p.pad_left);
  g.dilation_h = Index(p.dilation_h), g.dilation_w = Index(p.dilation_w);
  const int64_t pixels = p.p * p.q, taps = p.r * p.s;
  g.c = nhwc ? Index(p.c) : 1;
  g.col_image = taps * pixels * g.c;
  g.col_tap = nhwc ? p.c : pixels;
  g.col_q = nhwc ? taps * p.c : 1;
  g.col_p = p.q * g.col_q;
  g.by_line = Counting<Index>::divide(columns * groups);
  g.by_group = Counting<Index>::divide(groups);
  g.by_rows = Counting<Index>::divide(rows);
  g.by_c = Counting<Index>::divide(g.c / width);
  g.by_s = Counting<Index>::divide(p.s);
  return g;
}

// Calls launch_lines(geometry, blocks) for as many lines at a time as 32-bit numbers allow; with
// 64-bit ones for as many items as a launch takes.
template <class Index, class Launch>
void for_each_launch(const Im2colProblem& p, Geometry<Index> g, int items_per_block,
                     const Launch& launch_lines) {
  const int64_t images = p.layout == Layout::kNHWC ? p.n : p.n * p.c;
  const int64_t rows = g.by_rows.divisor, lines = images * rows;
  if constexpr (sizeof(Index) == 8) {
    const int64_t all = lines * int64_t(g.by_line.divisor);
    for (int64_t first = 0; first < all; first += kItems) {
      g.first_item = uint64_t(first);
      g.items = uint64_t(smaller(first + kItems, all));
      launch_lines(g, dim3(unsigned(ceil_div(smaller(kItems, all - first), items_per_block))));
    }
    return;
  }
  const int64_t at_once = larger(kItems / int64_t(g.by_line.divisor), int64_t(1));
  for (int64_t first = 0; first < lines; first += at_once) {
    const int64_t items = smaller(at_once, lines - first) * g.by_line.divisor;
    g.items = typename Counting<Index>::Number(items);
    g.first_image = first / rows;
    g.first_row = Index(first % rows);
    launch_lines(g, dim3(unsigned(ceil_div(items, items_per_block))));
  }
}

template <class T, class Index>
void move_items(const char* name, const Im2colProblem& p, const Im2colArrays& arrays,
                void* stream) {
  const bool nhwc = p.layout == Layout::kNHWC;
  const T* const in = static_cast<const T*>(arrays.in);
  T* const out = static_cast<T*>(arrays.out);
  const auto all = make_geometry<Index>(p, p.p, p.q, nhwc ? p.r * p.s * p.c : 1, 1);
  for_each_launch(
      p, all, nhwc ? kThreads * kUnroll : kThreads, [&](const Geometry<Index>& g, dim3 grid) {
        if (nhwc) {
          launch<im2col_pixels<T, Index>>(name, grid, dim3(kThreads), 0, stream, g, in, out);
        } else {
          launch<im2col_planes<T, Index>>(name, grid, dim3(kThreads), 0, stream, g, in, out);
        }
      });
}

template <class T, class Index, int kWidth>
void sum_columns(const char* name, const Im2colProblem& p, const T* in, T* out, void* stream) {
  const int64_t groups = p.layout == Layout::kNHWC ? p.c / kWidth : 1;
  const auto all = make_geometry<Index>(p, p.h, p.w, groups, kWidth);
  for_each_launch(p, all, kThreads, [&](const Geometry<Index>& g, dim3 grid) {
    launch<col2im_pixels<T, Index, kWidth>>(name, grid, dim3(kThreads), 0, stream, g, in, out);
  });
}

// Whether channels can be taken 16 bytes at a time.
bool fits_vectors(const Im2colProblem& p, const Im2colArrays& arrays, int64_t itemsize) {
  return p.layout == Layout::kNHWC && p.c * itemsize % kVectorBytes == 0 &&
         is_vector_aligned(arrays.in) && is_vector_aligned(arrays.out) &&
         !needs_wide_coordinates(p);
}

template <class T>
void run_move(const char* name, const Im2colProblem& p, const Im2colArrays& arrays, void* stream) {
  if (fits_vectors(p, arrays, sizeof(T))) {
    Im2colProblem vectors = p;
    vectors.c = p.c * int64_t(sizeof(T)) / kVectorBytes;
    move_items<Vector16, int32_t>(name, vectors, arrays, stream);
  } else if (needs_wide_coordinates(p)) {
    move_items<T, int64_t>(name, p, arrays, stream);
  } else {
    move_items<T, int32_t>(name, p, arrays, stream);
  }
}

template <class T>
void run_sum(const char* name, const Im2colProblem& p, const Im2colArrays& arrays, void* stream) {
  const T* const in = static_cast<const T*>(arrays.in);
  T* const out = static_cast<T*>(arrays.out);
  if (needs_wide_coordinates(p)) {
    sum_columns<T, int64_t, 1>(name, p, in, out, stream);
  } else if (fits_vectors(p, arrays, sizeof(T))) {
    sum_columns<T, int32_t, kVectorBytes / sizeof(T)>(name, p, in, out, stream);
  } else {
    sum_columns<T, int32_t, 1>(name, p, in, out, stream);
  }
}

void run(const Im2colProblem& p, Direction direction, const Im2colArrays& arrays,
         const Execution& execution) {
  void* const stream = execution.stream;
  if (direction == Direction::kDgrad) {
    return p.dtype == DType::kFloat32
               ? run_sum<float>("im2col.dgrad.gather.f32", p, arrays, stream)
               : run_sum<double>("im2col.dgrad.gather.f64", p, arrays, stream);
  }
  switch (p.itemsize) {
    case 1:
      return run_move<uint8_t>("im2col.fprop.gather.1_byte", p, arrays, stream);
    case 2:
      return run_move<uint16_t>("im2col.fprop.gather.2_bytes", p, arrays, stream);
    case 4:
      return run_move<float>("im2col.fprop.gather.f32", p, arrays, stream);
    case 8:
      return run_move<double>("im2col.fprop.gather.f64", p, arrays, stream);
    default:
      return run_move<Item16>("im2col.fprop.gather.16_bytes", p, arrays, stream);
  }
}

}  // namespace

extern const Im2colKernel im2col_gather;
const Im2colKernel im2col_gather = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
