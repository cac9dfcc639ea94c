// conv2d.{fprop,dgrad,wgrad}.im2col: writes the columns of some images (each pixel's window in a
// row) to workspace and multiplies them like a 1x1 convolution with C*R*S channels. What it adds to
// direct: one plain product does all the arithmetic. What implicit_gemm adds to this: the columns
// need not be written. Choose it to compare, or where the product outweighs the traffic (many
// filters).
//
// fprop: lower x, then y = columns * w. wgrad: lower x, then w = y^T * columns. dgrad: columns =
// y * w, then each x pixel gathers its taps in the order of w: no atomics.
//
// Columns are laid out as w is: NCHW (image, c, r, s, pixel), NHWC (image, pixel, group, r, s, c).
// Workspace: columns of as many images as fit 256 MiB, at least one, and wgrad's partials. wgrad
// sums in units of whole images of at most 4096 pixels together (fewer if their columns pass
// 256 MiB; a larger image is its own unit, cut every 4096 pixels), and passes end at units.
//
// Lowering is bound by its writes: NCHW a thread writes the same pixels of all taps of a channel,
// NHWC 16 bytes of channels of one tap, where whole vectors allow; both coalesced. Product:
// gpu_pointwise.cuh.
//
// ptxas, sm_80 and sm_90, no spills: lowering 26-34 registers, gathering 48-56, product as in 1x1.
// Not run on a GPU.
#include "ops/conv2d/gpu_pointwise.cuh"

namespace ck {
namespace CK_GPU {
namespace im2col {
namespace {

constexpr int kThreads = 256;
// Small on the host, so that small problems take several passes there.
#if defined(__CUDACC__)
constexpr int64_t kColumnBytes = int64_t(256) << 20;
#else
constexpr int64_t kColumnBytes = int64_t(256) << 10;
#endif
constexpr int64_t kMaxImageColumns = int64_t(1) << 31;  // elements

constexpr KernelNames kNames = {{{"conv2d.fprop.im2col.f32", "conv2d.fprop.im2col.f64"},
                                 {"conv2d.dgrad.im2col.f32", "conv2d.dgrad.im2col.f64"},
                                 {"conv2d.wgrad.im2col.f32", "conv2d.wgrad.im2col.f64"}}};

// NCHW: x planes (image, channel) to (plane, r, s, pixel). A thread takes kCount pixels in a row of
// its plane.
template <class T, int kCount>
__global__ void __launch_bounds__(kThreads)
    lower_planes(Geometry g, PixelGrid grid, const T* x, T* columns) {
  const PixelRun run(grid, int64_t(blockIdx.x) * kThreads * kCount);
  Pixel pixel[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) pixel[i] = run.at(int(threadIdx.x) * kCount + i);
  if (!pixel[0].inside) return;
  const int64_t plane = pixel[0].n, pixels = grid.by_image.divisor;
  const T* const from = x + plane * g.h * g.w;
  T* to = columns + plane * g.r * g.s * pixels + pixel[0].row * int64_t(g.q) + pixel[0].column;
  for (int r = 0; r < g.r; ++r) {
    const int tap_h = (g.flip_kernel ? g.r - 1 - r : r) * g.dilation_h - g.pad_top;
    for (int s = 0; s < g.s; ++s, to += pixels) {
      const int tap_w = (g.flip_kernel ? g.s - 1 - s : s) * g.dilation_w - g.pad_left;
      Pack<T, kCount> pack;
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const int h = pixel_shown(g.padding_mode, pixel[i].row * g.stride_h + tap_h, g.h);
        const int w = pixel_shown(g.padding_mode, pixel[i].column * g.stride_w + tap_w, g.w);
        pack.value[i] = h >= 0 && w >= 0 ? from[int64_t(h) * g.w + w] : T(0);
      }
      store_pack<T, kCount>(to, pack);
    }
  }
}

// NHWC index of an element of a pixel's columns, counted in packs: (group, tap, channel).
struct ColumnOrder {
  FastDivide by_row, by_group, by_tap, by_tap_row;  // packs of a pixel, of a group, of a tap; S

  struct Column {
    int32_t channel_pack, r, s;  // packs from the pixel's first channel
  };
  __device__ __forceinline__ Column at(uint32_t i) const {
    const uint32_t group = by_group.quotient(i), in_group = by_group.remainder(i, group);
    const uint32_t tap = by_tap.quotient(in_group), r = by_tap_row.quotient(tap);
    return {int32_t(group * by_tap.divisor + by_tap.remainder(in_group, tap)), int32_t(r),
            int32_t(by_tap_row.remainder(tap, r))};
  }
};

// NHWC: x to (pixel, group, r, s, c). A thread takes one pack of channels of one tap.
template <class T, int kCount>
__global__ void __launch_bounds__(kThreads)
    lower_pixels(Geometry g, PixelGrid grid, ColumnOrder order, const T* x, T* columns) {
  const int64_t start = int64_t(blockIdx.x) * kThreads, first_pixel = start / order.by_row.divisor;
  const uint32_t index = uint32_t(start - first_pixel * order.by_row.divisor) + threadIdx.x;
  const uint32_t row = order.by_row.quotient(index);
  const Pixel pixel = PixelRun(grid, first_pixel).at(int(row));
  if (!pixel.inside) return;
  const ColumnOrder::Column column = order.at(order.by_row.remainder(index, row));
  const Place window = window_on_x(g, pixel), tap = tap_on_x(g, 0, column.r, column.s);
  const int32_t h = pixel_shown(g.padding_mode, int32_t(window.h + tap.h), g.h);
  const int32_t w = pixel_shown(g.padding_mode, int32_t(window.w + tap.w), g.w);
  const T* const from = x + pixel.n * g.x_n + h * g.x_h + w * g.x_w;
  store_pack<T, kCount>(columns + (start + threadIdx.x) * kCount,
                        h >= 0 && w >= 0
                            ? load_pack<T, kCount>(from + column.channel_pack * int64_t(kCount))
                            : zero_pack<T, kCount>());
}

// Sum of the columns an x pixel appears in. offset_of(r, s, p, q): where tap (r, s) of output pixel
// (p, q) lies.
struct Strides {
  FastDivide h, w;
};

// The output indices that read positions of a run under a tap.
__device__ __forceinline__ PositionRun<int32_t> readers(const PositionRun<int32_t>& run,
                                                        int32_t start, const FastDivide& stride,
                                                        int32_t outputs) {
  if (run.begin == run.end || run.end <= start) return {0, 0};
  const uint32_t first = uint32_t(larger(run.begin - start, 0)) + stride.divisor - 1;
  const uint32_t last = stride.quotient(uint32_t(run.end - 1 - start));
  return {int32_t(stride.quotient(first)), smaller(int32_t(last) + 1, outputs)};
}

// The same where padding shows pixels: they are read around the image too.
template <class T, int kCount, class OffsetOf>
__device__ Pack<T, kCount> gather_shown(const Geometry& g, const Strides& strides, int32_t h,
                                        int32_t w, const T* columns, const OffsetOf& offset_of) {
  LongSum<T, kCount> sum;
  typename LongSum<T, kCount>::Carried carried;
  for (int part_h = 0; part_h < 3; ++part_h) {
    const auto rows =
        positions_showing(g.padding_mode, h, g.h, g.pad_top, g.pad_bottom, part_h);
    for (int r = 0; r < g.r && rows.begin < rows.end; ++r) {
      const int32_t row_start = (g.flip_kernel ? g.r - 1 - r : r) * g.dilation_h - g.pad_top;
      const auto ps = readers(rows, row_start, strides.h, g.p);
      for (int32_t p = ps.begin; p < ps.end; ++p) {
        for (int part_w = 0; part_w < 3; ++part_w) {
          const auto cols =
              positions_showing(g.padding_mode, w, g.w, g.pad_left, g.pad_right, part_w);
          for (int s = 0; s < g.s && cols.begin < cols.end; ++s) {
            const int32_t start = (g.flip_kernel ? g.s - 1 - s : s) * g.dilation_w - g.pad_left;
            const auto qs = readers(cols, start, strides.w, g.q);
            for (int32_t q = qs.begin; q < qs.end; ++q) {
              sum.expect(1, carried);
              sum.add(load_pack<T, kCount>(columns + offset_of(r, s, p, q)));
            }
          }
        }
      }
    }
  }
  return sum.finish(carried);
}

template <class T, int kCount, bool kZeros, class OffsetOf>
__device__ __forceinline__ Pack<T, kCount> gather_taps(const Geometry& g, const Strides& strides,
                                                       int32_t h, int32_t w, const T* columns,
                                                       const OffsetOf& offset_of) {
  if constexpr (!kZeros) return gather_shown<T, kCount>(g, strides, h, w, columns, offset_of);
  LongSum<T, kCount> sum;
  typename LongSum<T, kCount>::Carried carried;
  for (int r = 0; r < g.r; ++r) {
    const int32_t reach_h = h + g.pad_top - (g.flip_kernel ? g.r - 1 - r : r) * g.dilation_h;
    const uint32_t p = strides.h.quotient(uint32_t(larger(reach_h, 0)));
    if (reach_h < 0 || int32_t(p * strides.h.divisor) != reach_h || p >= uint32_t(g.p)) continue;
    for (int part = 0; part < g.s; part += kSumBlock) {
      const int end = smaller(part + kSumBlock, g.s);
      sum.expect(end - part, carried);
      for (int s = part; s < end; ++s) {
        const int32_t reach_w = w + g.pad_left - (g.flip_kernel ? g.s - 1 - s : s) * g.dilation_w;
        const uint32_t q = strides.w.quotient(uint32_t(larger(reach_w, 0)));
        if (reach_w < 0 || int32_t(q * strides.w.divisor) != reach_w || q >= uint32_t(g.q))
          continue;
        sum.add(load_pack<T, kCount>(columns + offset_of(r, s, int32_t(p), int32_t(q))));
      }
    }
  }
  return sum.finish(carried);
}

template <class T, bool kZeros>
__global__ void __launch_bounds__(kThreads, 4)
    gather_planes(Geometry g, PixelGrid grid, Strides strides, const T* columns, T* x) {
  const Pixel pixel = PixelRun(grid, int64_t(blockIdx.x) * kThreads).at(int(threadIdx.x));
  if (!pixel.inside) return;
  const int64_t pixels = int64_t(g.p) * g.q;
  const T* const from = columns + pixel.n * g.r * g.s * pixels;
  const Pack<T, 1> total = gather_taps<T, 1, kZeros>(
      g, strides, pixel.row, pixel.column, from, [&](int r, int s, int p, int q) {
        return (int64_t(r) * g.s + s) * pixels + int64_t(p) * g.q + q;
      });
  x[(pixel.n * g.h + pixel.row) * g.w + pixel.column] = total.value[0];
}

// A thread takes one pack of channels of an x pixel; packs.quotient: pack of the pixel to (group,
// pack in group).
template <class T, int kCount, bool kZeros>
__global__ void __launch_bounds__(kThreads, 4)
    gather_pixels(Geometry g, PixelGrid grid, Strides strides, FastDivide by_pixel,
                  FastDivide by_group, const T* columns, T* x) {
  const int64_t start = int64_t(blockIdx.x) * kThreads, first_pixel = start / by_pixel.divisor;
  const uint32_t index = uint32_t(start - first_pixel * by_pixel.divisor) + threadIdx.x;
  const uint32_t row = by_pixel.quotient(index), pack = by_pixel.remainder(index, row);
  const Pixel pixel = PixelRun(grid, first_pixel).at(int(row));
  if (!pixel.inside) return;
  const int64_t taps = int64_t(g.r) * g.s, row_elements = taps * by_pixel.divisor * kCount;
  const uint32_t group = by_group.quotient(pack);
  const T* const from = columns + pixel.n * g.p * g.q * row_elements +
                        group * taps * by_group.divisor * kCount +
                        by_group.remainder(pack, group) * int64_t(kCount);
  const Pack<T, kCount> total = gather_taps<T, kCount, kZeros>(
      g, strides, pixel.row, pixel.column, from, [&](int r, int s, int p, int q) {
        return (int64_t(p) * g.q + q) * row_elements +
               (int64_t(r) * g.s + s) * by_group.divisor * kCount;
      });
  store_pack<T, kCount>(x + (start + threadIdx.x) * kCount, total);
}

// The host's side ---------------------------------------------

int64_t image_columns(const Conv2dProblem& problem) {
  return problem.c * problem.r * problem.s * problem.p * problem.q;
}

struct Passes {
  int64_t unit_images, images;  // images of a wgrad unit, of a pass
};

Passes passes_of(const Conv2dProblem& problem, Direction direction) {
  const int64_t fit =
      larger(kColumnBytes / (image_columns(problem) * size_of(problem.dtype)), int64_t(1));
  Passes passes = {1, larger(smaller(fit, problem.n), int64_t(1))};
  if (direction == Direction::kWgrad) {
    passes.unit_images = larger(smaller(fit, kChunkPixels / (problem.p * problem.q)), int64_t(1));
    passes.images =
        larger(smaller(fit / passes.unit_images * passes.unit_images, problem.n), int64_t(1));
  }
  return passes;
}

pointwise::Shape shape_of(const Conv2dProblem& problem, Direction direction, int64_t images) {
  return {direction,
          problem.layout == Layout::kNHWC,
          images,
          problem.p * problem.q,
          problem.c_per_group * problem.r * problem.s,
          problem.k_per_group,
          problem.groups,
          passes_of(problem, direction).unit_images};
}

int64_t column_bytes(const Conv2dProblem& problem, Direction direction) {
  return ceil_div(
             passes_of(problem, direction).images * image_columns(problem) * size_of(problem.dtype),
             256) *
         256;
}

Reason supports(const Conv2dProblem& problem, Direction direction) {
  const Reason reason = check_coordinates(problem);
  if (reason.refused) return reason;
  if (problem.c * problem.r * problem.s >= kMaxImageColumns / (problem.p * problem.q) ||
      problem.c * problem.h * problem.w >= kMaxImageColumns)
    return refused("one image has %lld columns of %lld values, needs under %lld in all",
                   (long long)(problem.p * problem.q),
                   (long long)(problem.c * problem.r * problem.s), (long long)kMaxImageColumns);
  return pointwise::check_grid(shape_of(problem, direction, passes_of(problem, direction).images));
}

int64_t workspace_bytes(const Conv2dProblem& problem, Direction direction, int) {
  if (problem.n == 0) return 0;
  const int64_t columns = column_bytes(problem, direction);
  if (direction != Direction::kWgrad) return columns;
  const int64_t chunks = pointwise::chunks_of(shape_of(problem, direction, problem.n));
  return columns + pointwise::partial_bytes(
                       shape_of(problem, direction, passes_of(problem, direction).images), chunks,
                       size_of(problem.dtype));
}

template <class T>
struct Lowering {
  const Conv2dProblem& problem;
  Geometry g;
  const char* name;
  void* stream;

  static constexpr int kVector = kVectorBytes / int(sizeof(T));
  static dim3 blocks(int64_t threads) { return dim3(unsigned(ceil_div(threads, kThreads))); }

  void lower(const T* x, int64_t images, T* columns) const {
    const int64_t pixels = problem.p * problem.q;
    if (!g.channels_last) {
      const PixelGrid grid = pixel_grid(images * problem.c, problem.p, problem.q);
      if (pixels % kVector == 0)
        launch<lower_planes<T, kVector>>(name, blocks(grid.count / kVector), dim3(kThreads), 0,
                                         stream, g, grid, x, columns);
      else
        launch<lower_planes<T, 1>>(name, blocks(grid.count), dim3(kThreads), 0, stream, g, grid, x,
                                   columns);
      return;
    }
    const bool whole = problem.c_per_group % kVector == 0 && is_vector_aligned(x);
    const int64_t packs = problem.c_per_group / (whole ? kVector : 1), taps = problem.r * problem.s;
    const PixelGrid grid = pixel_grid(images, problem.p, problem.q);
    const ColumnOrder order = {fast_divide(packs * taps * problem.groups),
                               fast_divide(packs * taps), fast_divide(packs),
                               fast_divide(problem.s)};
    const dim3 threads = blocks(grid.count * packs * taps * problem.groups);
    if (whole)
      launch<lower_pixels<T, kVector>>(name, threads, dim3(kThreads), 0, stream, g, grid, order, x,
                                       columns);
    else
      launch<lower_pixels<T, 1>>(name, threads, dim3(kThreads), 0, stream, g, grid, order, x,
                                 columns);
  }

  template <bool kZeros>
  void gather(const T* columns, int64_t images, T* x) const {
    const Strides strides = {fast_divide(problem.stride_h), fast_divide(problem.stride_w)};
    if (!g.channels_last) {
      const PixelGrid grid = pixel_grid(images * problem.c, problem.h, problem.w);
      launch<gather_planes<T, kZeros>>(name, blocks(grid.count), dim3(kThreads), 0, stream, g, grid,
                               strides, columns, x);
      return;
    }
    const bool whole = problem.c_per_group % kVector == 0 && is_vector_aligned(x);
    const int64_t packs = problem.c_per_group / (whole ? kVector : 1);
    const PixelGrid grid = pixel_grid(images, problem.h, problem.w);
    const FastDivide by_pixel = fast_divide(packs * problem.groups), by_group = fast_divide(packs);
    const dim3 threads = blocks(grid.count * packs * problem.groups);
    if (whole)
      launch<gather_pixels<T, kVector, kZeros>>(name, threads, dim3(kThreads), 0, stream, g, grid, strides,
                                        by_pixel, by_group, columns, x);
    else
      launch<gather_pixels<T, 1, kZeros>>(name, threads, dim3(kThreads), 0, stream, g, grid, strides,
                                  by_pixel, by_group, columns, x);
  }
};

template <class T>
void run_type(const Conv2dProblem& problem, Direction direction, const Conv2dArrays& arrays,
              const Execution& execution) {
  const Lowering<T> lowering = {problem, geometry_of(problem), name_of<T>(kNames, direction),
                                execution.stream};
  const T* const x = static_cast<const T*>(arrays.x);
  const T* const y = static_cast<const T*>(arrays.y);
  const T* const residual = static_cast<const T*>(arrays.residual);
  T* const out = static_cast<T*>(arrays.out);
  T* const columns = static_cast<T*>(execution.workspace);
  const int64_t at_once = passes_of(problem, direction).images;
  pointwise::Call<T> call = {
      lowering.name,
      execution.stream,
      {},
      nullptr,
      static_cast<const T*>(arrays.w),
      nullptr,
      {},
      nullptr,
      0,
      pointwise::chunks_of(shape_of(problem, direction, problem.n)),
      pointwise::chunks_at_once(shape_of(problem, direction, at_once), sizeof(T))};
  for (int64_t first = 0; first == 0 || first < problem.n; first += at_once) {
    const int64_t images = smaller(at_once, problem.n - first);
    const int64_t x_offset = first * lowering.g.x_n, y_offset = first * lowering.g.y_n;
    call.shape = shape_of(problem, direction, images);
    if (direction == Direction::kFprop) {
      lowering.lower(x + x_offset, images, columns);
      call.x = columns;
      call.out = {out + y_offset, static_cast<const T*>(arrays.bias),
                  residual ? residual + y_offset : nullptr, problem.activation, false};
      pointwise::run(call);
    } else if (direction == Direction::kDgrad) {
      call.y = y + y_offset;
      call.out = {columns, nullptr, nullptr, Activation::kNone, false};
      pointwise::run(call);
      if (problem.padding_mode == PaddingMode::kZeros)
        lowering.template gather<true>(columns, images, out + x_offset);
      else
        lowering.template gather<false>(columns, images, out + x_offset);
    } else {
      if (images > 0) lowering.lower(x + x_offset, images, columns);
      call.x = columns;
      call.y = y + y_offset;
      call.out = {out, nullptr, nullptr, Activation::kNone, false};
      if (images > 0)
        call.partials = columns + column_bytes(problem, direction) / int64_t(sizeof(T));
      pointwise::run(call);
      call.chunks_before += pointwise::chunks_of(call.shape);
    }
  }
}

void run(const Conv2dProblem& problem, Direction direction, const Conv2dArrays& arrays,
         const Execution& execution) {
  if (problem.n == 0 && direction != Direction::kWgrad) return;
  if (problem.dtype == DType::kFloat32)
    run_type<float>(problem, direction, arrays, execution);
  else
    run_type<double>(problem, direction, arrays, execution);
}

}  // namespace
}  // namespace im2col

extern const Conv2dKernel conv2d_im2col;
const Conv2dKernel conv2d_im2col = {im2col::supports, im2col::workspace_bytes, im2col::run};

}  // namespace CK_GPU
}  // namespace ck
