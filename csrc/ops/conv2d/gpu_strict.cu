// conv2d.{fprop,dgrad,wgrad}.strict: implicit_gemm's kernels with gemm_k in the stated order of
// precision="strict", whatever the layout, so that backends and layouts give the same bits. Their
// chains of 64 and levels of 16 (gpu/sums.cuh) are the stated tree.
//
//   fprop   gemm_k = (c, r, s): w goes to the workspace as (K, C, R, S), a flipped filter turned
//   dgrad   gemm_k = (k, r, s) of the taps that reach a class of pixels; w as (K, R, S, C)
//   wgrad   gemm_k = (n, p, q), cut at whole sections (core/strict_sum.h), whose sums are added in
//           order: the tree of the uncut sum
//
// Channels lie on gemm_m and pixels on gemm_n in both layouts, loads are a word a lane: in NHWC
// one word of each 32 bytes that it touches.
// What does not fit these tiles a thread sums alone, in the same order (gpu_strict_direct.cuh):
// depthwise convolutions, weight gradients of a single chain, padding of other than zeros, and
// coordinates beyond 32 bits. Takes every problem. ptxas sm_80: tiles 104-126 registers, no spills;
// alone 40-64, spills of 76 and (double) 88 bytes in dgrad. Not run on a GPU.
#include "core/strict_sum.h"
#include "ops/conv2d/gpu_implicit_gemm.cuh"
#include "ops/conv2d/gpu_strict_direct.cuh"

namespace ck {
namespace CK_GPU {
namespace implicit_gemm {
namespace {

static_assert(kSumBlock == kStrictChain && kSumGroup == kStrictGroup && kSumLevels == 2);

constexpr KernelNames kNames = {{{"conv2d.fprop.strict.f32", "conv2d.fprop.strict.f64"},
                                 {"conv2d.dgrad.strict.f32", "conv2d.dgrad.strict.f64"},
                                 {"conv2d.wgrad.strict.f32", "conv2d.wgrad.strict.f64"}}};
constexpr int kThreads = 256;

// Strides of a filter element (k, c, r, s) in the array read; where `taps_last`, the array written
// is (K, C, R, S), else (K, R, S, C).
struct FilterCopy {
  int64_t elems, k, c, r, s;
  int32_t channels, rows, columns;
  bool turned, taps_last;
};

template <class T>
__global__ void __launch_bounds__(kThreads) copy_filters(FilterCopy f, T* out, const T* w) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= f.elems) return;
  const int64_t taps = int64_t(f.rows) * f.columns, filter = taps * f.channels;
  const int64_t in_filter = i % filter;
  const int64_t channel = f.taps_last ? in_filter / taps : in_filter % f.channels;
  const int64_t tap = f.taps_last ? in_filter % taps : in_filter / f.channels;
  int64_t r = tap / f.columns, s = tap % f.columns;
  if (f.turned) r = f.rows - 1 - r, s = f.columns - 1 - s;
  out[i] = w[i / filter * f.k + channel * f.c + r * f.r + s * f.s];
}

// out = the sums of sections, in their order; where `first` is not 0, on top of what out holds.
template <class T>
__global__ void __launch_bounds__(kThreads)
    add_sections(T* out, const T* sections, int64_t size, int64_t first, int count) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= size) return;
  T total = first == 0 ? T(0) : out[i];
  for (int j = 0; j < count; ++j) total += sections[j * size + i];
  out[i] = total;
}

struct Work {
  int64_t channels, others, repeats, sections;  // of a group; dgrad: classes, wgrad: at once
};

Work work_of(const Conv2dProblem& p, Direction direction) {
  const int64_t pixels = p.n * p.p * p.q;
  if (direction == Direction::kFprop) return {p.k_per_group, pixels, 1, 1};
  if (direction == Direction::kDgrad) {
    const int64_t rows = smaller(p.stride_h, p.h), columns = smaller(p.stride_w, p.w);
    return {p.c_per_group, p.n * ceil_div(p.h, rows) * ceil_div(p.w, columns), rows * columns, 1};
  }
  const int64_t elements = p.c_per_group * p.r * p.s;
  const int64_t sections = larger(ceil_div(pixels, kStrictSection), int64_t(1));
  const int64_t fit = kPartialBytes / (p.k * elements * size_of(p.dtype));
  return {p.k_per_group, elements, smaller(sections, larger(fit, int64_t(1))), sections};
}

template <class Tile>
int64_t blocks_of(const Conv2dProblem& p, const Work& work) {
  return ceil_div(work.channels, Tile::kM) * ceil_div(work.others, Tile::kN) * p.groups *
         work.repeats;
}

Reason supports(const Conv2dProblem&, Direction) { return accepted(); }

bool fits_tiles(const Conv2dProblem& p, Direction direction) {
  if (check_coordinates(p).refused) return false;
  using Small = Tiles<float, false>::Small;
  const int64_t copied = ceil_div(p.k * p.c_per_group * p.r * p.s, kThreads);
  return larger(blocks_of<Small>(p, work_of(p, direction)), copied) <= kGridLimit;
}

// One channel of a group makes a row of a tile: the others would stay empty.
bool sums_alone(const Conv2dProblem& p, Direction direction) {
  if (p.padding_mode != PaddingMode::kZeros) return true;
  if (direction == Direction::kWgrad && p.n * p.p * p.q <= kStrictChain) return true;
  const int64_t rows = direction == Direction::kDgrad ? p.c_per_group : p.k_per_group;
  if (direction != Direction::kWgrad && p.groups > 1 && rows == 1) return true;
  return !fits_tiles(p, direction);
}

// Whether w does not lie as the direction's kernel reads it.
bool copies_filters(const Conv2dProblem& p, Direction direction) {
  const bool nchw = p.layout == Layout::kNCHW, one_tap = p.r * p.s == 1;
  if (direction == Direction::kFprop)
    return !one_tap && (p.flip_kernel || (!nchw && p.c_per_group > 1));
  return direction == Direction::kDgrad && !one_tap && nchw && p.c_per_group > 1;
}

int64_t workspace_bytes(const Conv2dProblem& p, Direction direction, int) {
  if (sums_alone(p, direction)) return 0;
  const int64_t filters = p.k * p.c_per_group * p.r * p.s * size_of(p.dtype);
  if (direction != Direction::kWgrad) return copies_filters(p, direction) ? filters : 0;
  const Work work = work_of(p, direction);
  return work.sections > 1 ? work.repeats * filters : 0;
}

template <class Tile, Direction kDirection>
void launch_tile(const Conv2dProblem& p, const Work& work, Arguments<typename Tile::T> args,
                 const Execution& execution) {
  using T = typename Tile::T;
  args.channel_tiles = uint32_t(ceil_div(work.channels, Tile::kM));
  args.other_tiles = uint32_t(ceil_div(work.others, Tile::kN));
  const int64_t once = int64_t(args.channel_tiles) * args.other_tiles * p.groups;
  args.group_blocks = uint32_t(once);
  const char* const name = name_of<T>(kNames, kDirection);
  void* const stream = execution.stream;
  const dim3 block(Tile::kThreads), grid(unsigned(once * work.repeats));
  if constexpr (kDirection == Direction::kFprop) {
    launch<fprop<Tile, false, false>>(name, grid, block, 0, stream, args);
  } else if constexpr (kDirection == Direction::kDgrad) {
    launch<dgrad<Tile, false, false>>(name, grid, block, 0, stream, args);
  } else {
    T* const out = args.out.data;
    T* const sums = work.sections > 1 ? static_cast<T*>(execution.workspace) : out;
    const int64_t size = p.k * args.g.w_k;
    args.out.data = sums;
    for (args.first_chunk = 0; args.first_chunk < work.sections; args.first_chunk += work.repeats) {
      const int64_t count = smaller(work.repeats, work.sections - args.first_chunk);
      launch<wgrad<Tile, false, false>>(name, dim3(unsigned(once * count)), block, 0, stream, args);
      if (work.sections > 1)
        launch<add_sections<T>>(name, dim3(unsigned(ceil_div(size, kThreads))), dim3(kThreads), 0,
                                stream, out, sums, size, args.first_chunk, int(count));
    }
  }
}

template <class T, Direction kDirection>
void choose_tile(const Conv2dProblem& p, const Arguments<T>& args, const Execution& execution) {
  using Large = typename Tiles<T, false>::Large;
  using Small = typename Tiles<T, false>::Small;
  const Work work = work_of(p, kDirection);
  if (work.channels <= kSmallChannels || blocks_of<Large>(p, work) < kFewBlocks)
    launch_tile<Small, kDirection>(p, work, args, execution);
  else
    launch_tile<Large, kDirection>(p, work, args, execution);
}

template <class T>
void run_type(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
              const Execution& execution) {
  if (sums_alone(p, direction))
    return strict_direct::run<T>(name_of<T>(kNames, direction), p, direction, arrays,
                                 execution.stream);
  Arguments<T> args = {};
  Geometry& g = args.g;
  g = geometry_of(p);
  args.x = static_cast<const T*>(arrays.x);
  args.w = static_cast<const T*>(arrays.w);
  args.y = static_cast<const T*>(arrays.y);
  args.out = {static_cast<T*>(arrays.out), static_cast<const T*>(arrays.bias),
              static_cast<const T*>(arrays.residual), p.activation, false};
  args.pixels = pixel_grid(p.n, p.p, p.q);
  args.chunk_pixels = int32_t(kStrictSection);
  if (direction == Direction::kWgrad) {
    args.order = filter_order(g);
    return choose_tile<T, Direction::kWgrad>(p, args, execution);
  }
  if (copies_filters(p, direction)) {
    const bool forward = direction == Direction::kFprop;
    const FilterCopy copy = {
        p.k * g.w_k, g.w_k, g.w_c, g.w_r, g.w_s, g.c_per_group, g.r, g.s, forward && g.flip_kernel,
        forward};
    T* const copied = static_cast<T*>(execution.workspace);
    launch<copy_filters<T>>(name_of<T>(kNames, direction),
                            dim3(unsigned(ceil_div(copy.elems, kThreads))), dim3(kThreads), 0,
                            execution.stream, copy, copied, args.w);
    args.w = copied;
    if (forward) g.flip_kernel = false;
  }
  g.channels_last = false;  // of gemm_k
  args.order = filter_order(g);
  if (direction == Direction::kFprop) return choose_tile<T, Direction::kFprop>(p, args, execution);
  args.class_columns = int32_t(smaller(p.stride_w, p.w));
  args.tap_step_h = int32_t(p.stride_h / greatest_common_divisor(p.stride_h, p.dilation_h));
  args.tap_step_w = int32_t(p.stride_w / greatest_common_divisor(p.stride_w, p.dilation_w));
  choose_tile<T, Direction::kDgrad>(p, args, execution);
}

void run(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
         const Execution& execution) {
  if (p.n == 0 && direction != Direction::kWgrad) return;
  if (p.dtype == DType::kFloat32)
    run_type<float>(p, direction, arrays, execution);
  else
    run_type<double>(p, direction, arrays, execution);
}

}  // namespace
}  // namespace implicit_gemm

extern const Conv2dKernel conv2d_strict;
const Conv2dKernel conv2d_strict = {implicit_gemm::supports, implicit_gemm::workspace_bytes,
                                    implicit_gemm::run};

}  // namespace CK_GPU
}  // namespace ck
