// conv2d.{fprop,dgrad,wgrad}.direct: the definition, tiled. It accepts every problem with zeros
// around the image. Choose it for few channels per group (depthwise, grouped, first layers), where
// a product has nothing to reuse.
//
// fprop, and dgrad as a correlation of grad_y within each class of x pixels (gpu_implicit_gemm.cu):
// a block takes a tile of pixels of one image and some filters of one or several groups. The tile's
// input with its halo and the weights stand in shared memory, as many channels at a time as fit. A
// thread computes 4 pixels of a column by 8 (4, 1) filters: 4 + 2 shared loads feed 32 FMAs.
// Three-row filters with one filter a thread keep the 6 or 9 rows under the strip in registers.
// Lanes run along pixels in NCHW, along channels in NHWC, so loads and stores are coalesced; NHWC
// patches are copied 16 bytes at a time where channels are whole vectors. Where not even a small
// tile fits 47 KiB (wide dilation, huge filters), the same sums are read from global memory, with
// 64-bit coordinates.
//
// wgrad: a thread sums 1 or 4 filters x 9 filter elements over some pixels of a chunk of 4096 (few
// channels a group, channels last: 512, 32 groups side by side); the block adds its lanes as 8
// runs, then the 8, in order; chunks are added in order, in groups of 16. x is read through L1:
// neighbouring taps and lanes meet the same lines. Workspace: one w per chunk, at most 256 MiB at a
// time, and two where that is not all.
//
// Order: fprop and dgrad (channel, tap) in chains of at most 64 terms, added in the levels of
// gpu/sums.cuh; no atomics.
//
// ptxas, sm_80 and sm_90, no spills: float 1 filter 60-80 registers, 4 filters 86-96, 8 filters
// 121-126; double 98-126; from global memory 128-158; wgrad 78-145. Not run on a GPU.
#include "ops/conv2d/gpu_direct.cuh"
#include "ops/conv2d/gpu_direct_wgrad.cuh"

namespace ck {
namespace CK_GPU {
namespace direct {
namespace {

constexpr int64_t kSharedBytes = 48 << 10;
constexpr int64_t kTargetBytes = 24 << 10;  // four blocks or more on a multiprocessor
constexpr int64_t kMaxPatchSide = 1 << 14;
constexpr int64_t kLaunchBlocks = int64_t(1) << 30;
constexpr int kMaxColumns = 32, kMaxFilters = 32, kMaxLastSlots = 32;

constexpr KernelNames kNames = {{{"conv2d.fprop.direct.f32", "conv2d.fprop.direct.f64"},
                                 {"conv2d.dgrad.direct.f32", "conv2d.dgrad.direct.f64"},
                                 {"conv2d.wgrad.direct.f32", "conv2d.wgrad.direct.f64"}}};

Reason supports(const Conv2dProblem& problem, Direction) {
  return needs_zeros_around(problem.padding_mode);
}

int64_t power_of_two_above(int64_t value, int64_t most) {
  int64_t power = 1;
  while (power < value && power < most) power *= 2;
  return power;
}

Correlation correlation_of(const Conv2dProblem& problem, Direction direction) {
  const bool last = problem.layout == Layout::kNHWC, dgrad = direction == Direction::kDgrad;
  Correlation c = {};
  c.n = problem.n;
  c.groups = problem.groups;
  const int64_t x_y = last ? problem.w * problem.c : problem.w, x_x = last ? problem.c : 1;
  const int64_t x_n = problem.c * problem.h * problem.w, x_c = last ? 1 : problem.h * problem.w;
  const int64_t y_y = last ? problem.q * problem.k : problem.q, y_x = last ? problem.k : 1;
  const int64_t y_n = problem.k * problem.p * problem.q, y_k = last ? 1 : problem.p * problem.q;
  const int64_t w_k = problem.c_per_group * problem.r * problem.s,
                w_c = last ? 1 : problem.r * problem.s;
  c.w_s = last ? problem.c_per_group : 1;
  c.w_r = c.w_s * problem.s;
  c.w_group = problem.k_per_group * w_k;
  c.r = problem.r;
  c.s = problem.s;
  c.stride_h = problem.stride_h;
  c.stride_w = problem.stride_w;
  c.pad_top = problem.pad_top;
  c.pad_left = problem.pad_left;
  c.dilation_h = problem.dilation_h;
  c.dilation_w = problem.dilation_w;
  c.flip_kernel = problem.flip_kernel;
  c.dgrad = dgrad;
  c.class_rows = c.class_columns = c.tap_step_h = c.tap_step_w = 1;
  if (!dgrad) {
    c.in_channels = problem.c_per_group;
    c.out_channels = problem.k_per_group;
    c.in_h = problem.h, c.in_w = problem.w, c.out_h = problem.p, c.out_w = problem.q;
    c.in_n = x_n, c.in_c = x_c, c.in_y = x_y, c.in_x = x_x;
    c.out_n = y_n, c.out_c = y_k, c.out_y = y_y, c.out_x = y_x;
    c.w_out = w_k, c.w_in = w_c;
    return c;
  }
  c.in_channels = problem.k_per_group;
  c.out_channels = problem.c_per_group;
  c.in_h = problem.p, c.in_w = problem.q, c.out_h = problem.h, c.out_w = problem.w;
  c.in_n = y_n, c.in_c = y_k, c.in_y = y_y, c.in_x = y_x;
  c.out_n = x_n, c.out_c = x_c, c.out_y = x_y, c.out_x = x_x;
  c.w_out = w_c, c.w_in = w_k;
  c.class_rows = smaller(problem.stride_h, problem.h);
  c.class_columns = smaller(problem.stride_w, problem.w);
  c.tap_step_h = problem.stride_h / greatest_common_divisor(problem.stride_h, problem.dilation_h);
  c.tap_step_w = problem.stride_w / greatest_common_divisor(problem.stride_w, problem.dilation_w);
  return c;
}

// Fills the block's shape for `filters` out channels a thread. Returns the shared bytes, or 0 if no
// tile fits.
template <class T>
int64_t choose_block(Correlation& c, int filters, bool last, bool staged) {
  constexpr int kVector = kVectorBytes / int(sizeof(T));
  const int64_t rows = ceil_div(c.out_h, c.class_rows),
                columns = ceil_div(c.out_w, c.class_columns);
  // Slots first: threads that share a patch. Channels last they are also what lanes run along.
  const int64_t wanted =
      last ? larger(int64_t(kMaxLastSlots) / filters, int64_t(kMaxFilters / filters)) * filters
           : int64_t(filters) * (filters > 1 ? kMaxFilters / filters : 1);
  const bool several_groups = c.out_channels < wanted && c.out_channels % filters == 0 && staged;
  c.groups_per_block = several_groups ? int32_t(smaller(wanted / c.out_channels, c.groups)) : 1;
  c.filters_per_group = int32_t(smaller(wanted, ceil_div(c.out_channels, filters) * filters));
  c.columns = int32_t(power_of_two_above(columns, last ? 8 : kMaxColumns));
  const auto slots_of = [&] {
    return int64_t(c.groups_per_block) * (c.filters_per_group / filters);
  };
  c.strips = int32_t(
      larger(smaller(ceil_div(rows, kStrip), kThreads / (slots_of() * c.columns)), int64_t(1)));
  // A small image leaves threads over: give them more groups.
  if (!last && staged && c.out_channels == c.filters_per_group) {
    const int64_t more = kThreads / (c.columns * c.strips * (c.filters_per_group / filters));
    if (more > c.groups_per_block && (several_groups || c.groups_per_block == 1))
      c.groups_per_block = int32_t(smaller(more, c.groups));
  }
  const int64_t taps_h = ceil_div(c.r, c.tap_step_h), taps_w = ceil_div(c.s, c.tap_step_w);
  const int64_t stride_h = c.dgrad ? 1 : c.stride_h, stride_w = c.dgrad ? 1 : c.stride_w;
  const int64_t step_h = c.dgrad ? c.dilation_h / (c.stride_h / c.tap_step_h) : c.dilation_h;
  const int64_t step_w = c.dgrad ? c.dilation_w / (c.stride_w / c.tap_step_w) : c.dilation_w;
  int64_t bytes = 0;
  while (staged) {
    const int64_t patch_h = (c.strips * kStrip - 1) * stride_h + (taps_h - 1) * step_h + 1;
    const int64_t patch_w = (c.columns - 1) * stride_w + (taps_w - 1) * step_w + 1;
    const int64_t out_channels = int64_t(c.groups_per_block) * c.filters_per_group;
    const int64_t pitch = ceil_div(out_channels, kVector) * kVector + (filters == 1 ? 1 : kVector);
    const bool sane =
        patch_h < kMaxPatchSide && patch_w < kMaxPatchSide && taps_h * taps_w < kMaxPatchSide;
    const auto bytes_of = [&](int64_t chunk) {
      const int64_t weights = ceil_div(chunk * taps_h * taps_w * pitch, kVector) * kVector;
      return (weights + chunk * c.groups_per_block * patch_h * patch_w) * int64_t(sizeof(T));
    };
    if (sane && bytes_of(1) <= kSharedBytes - 1024) {
      int64_t chunk = 1;
      while (chunk < c.in_channels && bytes_of(chunk + 1) <= kTargetBytes) ++chunk;
      if (last && chunk > kVector && chunk < c.in_channels) chunk -= chunk % kVector;
      c.chunk = int32_t(chunk);
      c.patch_h = int32_t(patch_h);
      c.patch_w = int32_t(patch_w);
      c.weight_pitch = int32_t(pitch);
      c.weight_elements = int32_t(ceil_div(chunk * taps_h * taps_w * pitch, kVector) * kVector);
      bytes = bytes_of(chunk);
      break;
    }
    if (c.strips > 1)
      c.strips = (c.strips + 1) / 2;
    else if (c.groups_per_block > 1)
      c.groups_per_block = (c.groups_per_block + 1) / 2;
    else if (c.columns > 4)
      c.columns /= 2;
    else if (c.filters_per_group > filters)
      c.filters_per_group = int32_t(ceil_div(c.filters_per_group / filters, 2) * filters);
    else
      return 0;
  }
  c.slots = int32_t(slots_of());
  c.filter_tiles = ceil_div(c.out_channels, c.filters_per_group);
  c.group_tiles = ceil_div(c.groups, c.groups_per_block);
  c.row_tiles = ceil_div(rows, c.strips * kStrip);
  c.column_tiles = ceil_div(columns, c.columns);
  return bytes;
}

template <class T>
struct Call {
  const char* name;
  void* stream;
  Correlation c;
  const T *in, *w;
  Output<T> out;
  int64_t shared_bytes;
};

template <class T, int kFilters, int kWindow, bool kChannelsLast, bool kStaged>
void launch_correlate(Call<T>& call) {
  Correlation& c = call.c;
  const int64_t blocks = c.n * c.class_rows * c.class_columns * c.group_tiles * c.row_tiles *
                         c.column_tiles * c.filter_tiles;
  for (c.first_block = 0; c.first_block < blocks; c.first_block += kLaunchBlocks)
    launch<correlate<T, kFilters, kWindow, kChannelsLast, kStaged>>(
        call.name, dim3(unsigned(smaller(kLaunchBlocks, blocks - c.first_block))), dim3(kThreads),
        size_t(call.shared_bytes), call.stream, c, call.in, call.w, call.out);
}

template <class T, bool kChannelsLast>
void run_correlation(Call<T>& call) {
  constexpr int kVector = kVectorBytes / int(sizeof(T)), kMany = 32 / int(sizeof(T));
  Correlation& c = call.c;
  const int filters = c.out_channels >= kMany ? kMany : c.out_channels >= 4 ? 4 : 1;
  call.shared_bytes = choose_block<T>(c, filters, kChannelsLast, true);
  call.out.vectorized = kChannelsLast && c.out_channels % kVector == 0 &&
                        is_vector_aligned(call.out.data) && is_vector_aligned(call.out.residual);
  if (call.shared_bytes == 0) {
    choose_block<T>(c, 4, kChannelsLast, false);
    return launch_correlate<T, 4, 0, kChannelsLast, false>(call);
  }
  c.in_vectorized =
      is_vector_aligned(call.in) && c.in_channels * c.groups % kVector == 0 &&
      (c.groups_per_block == 1 ? c.in_channels % kVector == 0 && c.chunk % kVector == 0
                               : c.in_channels == 1 && c.groups_per_block % kVector == 0);
  if (filters == kMany) return launch_correlate<T, kMany, 0, kChannelsLast, true>(call);
  if (filters == 4) return launch_correlate<T, 4, 0, kChannelsLast, true>(call);
  const bool three_rows = c.r == 3 && c.dilation_h == 1 && sizeof(T) == sizeof(float);
  if constexpr (sizeof(T) == sizeof(float)) {
    if (three_rows && c.stride_h == 1) return launch_correlate<T, 1, 1, kChannelsLast, true>(call);
    if (three_rows && c.stride_h == 2 && !c.dgrad)
      return launch_correlate<T, 1, 2, kChannelsLast, true>(call);
  }
  launch_correlate<T, 1, 0, kChannelsLast, true>(call);
}

// wgrad -------------------------------------------------------

struct WgradWork {
  int64_t chunk_pixels, chunks, at_once;
  bool side_by_side;  // kWgradGroups groups in a block
};

WgradWork wgrad_work(const Conv2dProblem& problem) {
  WgradWork work = {};
  work.side_by_side =
      problem.layout == Layout::kNHWC && problem.groups > 1 && problem.c_per_group <= 4;
  work.chunk_pixels = work.side_by_side ? kSumBlock * (kWgradThreads / kWgradGroups) : kChunkPixels;
  work.chunks = larger(ceil_div(problem.n * problem.p * problem.q, work.chunk_pixels), int64_t(1));
  const int64_t partial =
      problem.k * problem.c_per_group * problem.r * problem.s * size_of(problem.dtype);
  work.at_once = smaller(work.chunks, larger(kPartialBytes / partial, int64_t(1)));
  return work;
}

int64_t workspace_bytes(const Conv2dProblem& problem, Direction direction, int) {
  if (direction != Direction::kWgrad) return 0;
  const WgradWork work = wgrad_work(problem);
  return partial_places(work.chunks, work.at_once) * problem.k * problem.c_per_group * problem.r *
         problem.s * size_of(problem.dtype);
}

template <class T, class Index, int kFilters, int kGroups>
void launch_wgrad(const WgradWork& work, WgradArguments& args, const Conv2dArrays& arrays,
                  const Execution& execution) {
  const Conv2dProblem& problem = args.problem;
  const char* const name = name_of<T>(kNames, Direction::kWgrad);
  args.filter_tiles = ceil_div(problem.k_per_group, kFilters);
  args.element_tiles = ceil_div(args.elements, kWgradElements);
  args.group_tiles = ceil_div(problem.groups, kGroups);
  const PixelGrid grid =
      sizeof(Index) == 4 ? pixel_grid(problem.n, problem.p, problem.q) : pixel_grid(1, 1, 1);
  T* const out = static_cast<T*>(arrays.out);
  T* const partials = work.chunks > 1 ? static_cast<T*>(execution.workspace) : out;
  for (int64_t chunk = 0; chunk < work.chunks; chunk += work.at_once) {
    const int64_t count = smaller(work.at_once, work.chunks - chunk);
    args.first_chunk = chunk;
    const int64_t blocks = args.filter_tiles * args.element_tiles * args.group_tiles * count;
    for (args.first_block = 0; args.first_block < blocks; args.first_block += kLaunchBlocks)
      launch<correlate_filters<T, Index, kFilters, kGroups>>(
          name, dim3(unsigned(smaller(kLaunchBlocks, blocks - args.first_block))),
          dim3(kWgradThreads), 0, execution.stream, args, grid, static_cast<const T*>(arrays.x),
          static_cast<const T*>(arrays.y), partials);
    if (work.chunks > 1)
      launch_add_partials(name, execution.stream, out, partials, problem.k * args.elements,
                          work.at_once, {chunk, int(count), chunk + count == work.chunks});
  }
}

template <class T>
void run_wgrad(const Conv2dProblem& problem, const Conv2dArrays& arrays,
               const Execution& execution) {
  const Correlation c = correlation_of(problem, Direction::kFprop);
  WgradArguments args = {};
  args.problem = problem;
  args.x_n = c.in_n, args.x_c = c.in_c, args.x_h = c.in_y, args.x_w = c.in_x;
  args.y_n = c.out_n, args.y_k = c.out_c, args.y_p = c.out_y, args.y_q = c.out_x;
  args.elements = problem.c_per_group * problem.r * problem.s;
  args.pixels = problem.n * problem.p * problem.q;
  const WgradWork work = wgrad_work(problem);
  args.chunk_pixels = work.chunk_pixels;
  constexpr int kMany = 16 / int(sizeof(T));
  if (check_coordinates(problem).refused)
    return launch_wgrad<T, int64_t, kMany, 1>(work, args, arrays, execution);
  if (work.side_by_side)
    return launch_wgrad<T, int32_t, 1, kWgradGroups>(work, args, arrays, execution);
  if (problem.k_per_group == 1)
    return launch_wgrad<T, int32_t, 1, 1>(work, args, arrays, execution);
  launch_wgrad<T, int32_t, kMany, 1>(work, args, arrays, execution);
}

template <class T>
void run_type(const Conv2dProblem& problem, Direction direction, const Conv2dArrays& arrays,
              const Execution& execution) {
  if (direction == Direction::kWgrad) return run_wgrad<T>(problem, arrays, execution);
  if (problem.n == 0) return;
  Call<T> call = {name_of<T>(kNames, direction),
                  execution.stream,
                  correlation_of(problem, direction),
                  static_cast<const T*>(direction == Direction::kFprop ? arrays.x : arrays.y),
                  static_cast<const T*>(arrays.w),
                  {static_cast<T*>(arrays.out), static_cast<const T*>(arrays.bias),
                   static_cast<const T*>(arrays.residual), problem.activation, false},
                  0};
  if (problem.layout == Layout::kNHWC)
    run_correlation<T, true>(call);
  else
    run_correlation<T, false>(call);
}

void run(const Conv2dProblem& problem, Direction direction, const Conv2dArrays& arrays,
         const Execution& execution) {
  if (problem.dtype == DType::kFloat32)
    run_type<float>(problem, direction, arrays, execution);
  else
    run_type<double>(problem, direction, arrays, execution);
}

}  // namespace
}  // namespace direct

extern const Conv2dKernel conv2d_direct;
const Conv2dKernel conv2d_direct = {direct::supports, direct::workspace_bytes, direct::run};

}  // namespace CK_GPU
}  // namespace ck
