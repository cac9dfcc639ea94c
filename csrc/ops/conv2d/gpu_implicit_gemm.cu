// conv2d.{fprop,dgrad,wgrad}.implicit_gemm: each direction as one product whose operands are read
// in place, no copies. Choose it for most problems; direct wins for few channels per group, 1x1
// needs no index maps at all.
//
// fprop: y[k, pixel] = sum over (c, r, s) of w[k, c, r, s] * x under the window of the pixel.
//
// dgrad: x[c, pixel] = sum over (k, taps) of w[k, c, tap] * grad_y where the tap leads. Pixels fall
// into classes by (h + pad) mod stride and (w + pad) mod stride, so that each class meets only the
// taps that reach it. All classes in one launch; a class without taps writes zeros.
//
// wgrad: w[k, c, r, s] = sum over pixels, in chunks of 4096 that are added in order, in groups of
// 16. Workspace: one w per chunk, at most 256 MiB at a time, and two where that is not all.
//
// NCHW puts channels on gemm_m and pixels on gemm_n, NHWC the reverse, so that stores run along
// memory. NHWC loads 16 bytes where C/groups and K/groups are whole vectors and the arrays are
// aligned; NCHW images are read a word a lane, as taps shift them off any alignment. NCHW dgrad
// first turns w into (K, R, S, C) in workspace.
//
// Block tiles: 128 pixels x 64 channels, 256 threads; 64 x 32, 128 threads, for few channels or few
// blocks; double 64 x 64. All give the same bits. Main loop, shared memory and order of sums:
// gpu/gemm_tile.cuh.
//
// ptxas, sm_80 and sm_90, no spills: float large 121-128 registers, 29.8 KB shared; small 104-117,
// 16.0 KB; double 122-128, 20.1 KB: at least two blocks a multiprocessor. Not run on a GPU.
#include "ops/conv2d/gpu_implicit_gemm.cuh"

namespace ck {
namespace CK_GPU {
namespace implicit_gemm {
namespace {

constexpr KernelNames kNames = {
    {{"conv2d.fprop.implicit_gemm.f32", "conv2d.fprop.implicit_gemm.f64"},
     {"conv2d.dgrad.implicit_gemm.f32", "conv2d.dgrad.implicit_gemm.f64"},
     {"conv2d.wgrad.implicit_gemm.f32", "conv2d.wgrad.implicit_gemm.f64"}}};

// The shape of a launch, apart from the tile: what runs along channels, what along pixels (wgrad:
// filter elements), and how many times (dgrad: pixel classes, wgrad: chunks at once).
struct Work {
  int64_t channels, others, groups, repeats, chunks;

  int64_t blocks(int64_t tile_channels, int64_t tile_others) const {
    return ceil_div(channels, tile_channels) * ceil_div(others, tile_others) * groups * repeats;
  }
};

Work work_of(const Conv2dProblem& problem, Direction direction) {
  Work work = {problem.k_per_group, problem.n * problem.p * problem.q, problem.groups, 1, 1};
  if (direction == Direction::kDgrad) {
    const int64_t class_rows = smaller(problem.stride_h, problem.h),
                  class_columns = smaller(problem.stride_w, problem.w);
    work.channels = problem.c_per_group;
    work.others = problem.n * ceil_div(problem.h, class_rows) * ceil_div(problem.w, class_columns);
    work.repeats = class_rows * class_columns;
  }
  if (direction == Direction::kWgrad) {
    work.chunks = larger(ceil_div(work.others, kChunkPixels), int64_t(1));
    work.others = problem.c_per_group * problem.r * problem.s;
    const int64_t partial = problem.k * work.others * size_of(problem.dtype);
    const int64_t fit = smaller(kPartialBytes / partial, kGridLimit / work.blocks(32, 64));
    work.repeats = smaller(work.chunks, larger(fit, int64_t(1)));
  }
  return work;
}

Reason supports(const Conv2dProblem& problem, Direction direction) {
  const Reason padded = needs_zeros_around(problem.padding_mode);
  if (padded.refused) return padded;
  const Reason reason = check_coordinates(problem);
  if (reason.refused) return reason;
  const Work work = work_of(problem, direction);
  if (work.blocks(32, 64) > kGridLimit)
    return refused("the problem makes %lld blocks, a grid holds %lld",
                   (long long)work.blocks(32, 64), (long long)kGridLimit);
  return accepted();
}

bool repacks(const Conv2dProblem& problem, Direction direction) {
  return direction == Direction::kDgrad && problem.layout == Layout::kNCHW &&
         problem.r * problem.s > 1;
}

int64_t workspace_bytes(const Conv2dProblem& problem, Direction direction, int) {
  const int64_t filter_bytes =
      problem.k * problem.c_per_group * problem.r * problem.s * size_of(problem.dtype);
  if (repacks(problem, direction)) return filter_bytes;
  const Work work = work_of(problem, direction);
  return partial_places(work.chunks, work.repeats) * filter_bytes;
}

template <class T>
struct Call {
  const Conv2dProblem& problem;
  const Conv2dArrays& arrays;
  const Execution& execution;
  Work work;
  Arguments<T> args;
};

template <class Tile, bool kChannelsLast, bool kVectorized, Direction kDirection>
void launch_tile(Call<typename Tile::T>& call) {
  using T = typename Tile::T;
  constexpr bool kChannelsOnN = kChannelsLast && kDirection != Direction::kWgrad;
  constexpr int kChannels = kChannelsOnN ? Tile::kN : Tile::kM,
                kOthers = kChannelsOnN ? Tile::kM : Tile::kN;
  Arguments<T>& args = call.args;
  const Work& work = call.work;
  args.channel_tiles = uint32_t(ceil_div(work.channels, kChannels));
  args.other_tiles = uint32_t(ceil_div(work.others, kOthers));
  const int64_t once = int64_t(args.channel_tiles) * args.other_tiles * work.groups;
  args.group_blocks = uint32_t(once);
  const char* const name = name_of<T>(kNames, kDirection);
  void* const stream = call.execution.stream;
  const auto grid_of = [&](int64_t repeats) { return dim3(unsigned(once * repeats)); };
  if constexpr (kDirection == Direction::kFprop) {
    launch<fprop<Tile, kChannelsLast, kVectorized>>(name, grid_of(1), dim3(Tile::kThreads), 0,
                                                    stream, args);
  } else if constexpr (kDirection == Direction::kDgrad) {
    launch<dgrad<Tile, kChannelsLast, kVectorized>>(name, grid_of(work.repeats),
                                                    dim3(Tile::kThreads), 0, stream, args);
  } else {
    T* const out = args.out.data;
    T* const partials = work.chunks > 1 ? static_cast<T*>(call.execution.workspace) : out;
    const int64_t size = call.problem.k * args.g.w_k;
    args.out.data = partials;
    for (int64_t chunk = 0; chunk < work.chunks; chunk += work.repeats) {
      const int64_t count = smaller(work.repeats, work.chunks - chunk);
      args.first_chunk = chunk;
      launch<wgrad<Tile, kChannelsLast, kVectorized>>(name, grid_of(count), dim3(Tile::kThreads), 0,
                                                      stream, args);
      if (work.chunks > 1)
        launch_add_partials(name, stream, out, partials, size, work.repeats,
                            {chunk, int(count), chunk + count == work.chunks});
    }
  }
}

template <class T, bool kChannelsLast, bool kVectorized, Direction kDirection>
void choose_tile(Call<T>& call) {
  using Large = typename Tiles<T, kChannelsLast && kDirection != Direction::kWgrad>::Large;
  using Small = typename Tiles<T, kChannelsLast && kDirection != Direction::kWgrad>::Small;
  if (call.work.channels <= kSmallChannels || call.work.blocks(64, 128) < kFewBlocks)
    launch_tile<Small, kChannelsLast, kVectorized, kDirection>(call);
  else
    launch_tile<Large, kChannelsLast, kVectorized, kDirection>(call);
}

template <class T, Direction kDirection>
void choose_loads(Call<T>& call) {
  constexpr int kVector = kVectorBytes / int(sizeof(T));
  const Conv2dProblem& problem = call.problem;
  Arguments<T>& args = call.args;
  const bool whole_c = problem.c_per_group % kVector == 0,
             whole_k = problem.k_per_group % kVector == 0;
  const bool aligned_out = is_vector_aligned(args.out.data);
  if (problem.layout == Layout::kNHWC) {
    // Which axis lies along memory in the operands and in the output depends on the direction.
    const bool vectorized = whole_c && (whole_k || kDirection == Direction::kFprop) &&
                            is_vector_aligned(args.x) && is_vector_aligned(args.w) &&
                            is_vector_aligned(args.y);
    args.out.vectorized = aligned_out && is_vector_aligned(args.out.residual) &&
                          (kDirection == Direction::kFprop ? whole_k : whole_c);
    if (vectorized)
      choose_tile<T, true, true, kDirection>(call);
    else
      choose_tile<T, true, false, kDirection>(call);
  } else {
    args.out.vectorized = aligned_out && is_vector_aligned(args.out.residual) &&
                          (kDirection == Direction::kFprop ? problem.p * problem.q % kVector == 0
                                                           : args.g.w_k % kVector == 0);
    if (kDirection == Direction::kDgrad && whole_c && is_vector_aligned(args.w))
      choose_tile<T, false, kDirection == Direction::kDgrad, kDirection>(call);
    else
      choose_tile<T, false, false, kDirection>(call);
  }
}

template <class T>
void run_type(const Conv2dProblem& problem, Direction direction, const Conv2dArrays& arrays,
              const Execution& execution) {
  Call<T> call = {problem, arrays, execution, work_of(problem, direction), {}};
  Arguments<T>& args = call.args;
  args.g = geometry_of(problem);
  args.x = static_cast<const T*>(arrays.x);
  args.w = static_cast<const T*>(arrays.w);
  args.y = static_cast<const T*>(arrays.y);
  args.out = {static_cast<T*>(arrays.out), static_cast<const T*>(arrays.bias),
              static_cast<const T*>(arrays.residual), problem.activation, false};
  args.pixels = pixel_grid(problem.n, problem.p, problem.q);
  args.order = filter_order(args.g);
  args.chunk_pixels = kChunkPixels;
  if (direction == Direction::kFprop) return choose_loads<T, Direction::kFprop>(call);
  if (direction == Direction::kWgrad) return choose_loads<T, Direction::kWgrad>(call);
  args.class_columns = int32_t(smaller(problem.stride_w, problem.w));
  args.tap_step_h =
      int32_t(problem.stride_h / greatest_common_divisor(problem.stride_h, problem.dilation_h));
  args.tap_step_w =
      int32_t(problem.stride_w / greatest_common_divisor(problem.stride_w, problem.dilation_w));
  if (repacks(problem, direction)) {
    T* const packed = static_cast<T*>(execution.workspace);
    const int64_t taps = problem.r * problem.s;
    const int64_t blocks =
        problem.k * ceil_div(problem.c_per_group, kRepackChannels) * ceil_div(taps, kRepackTaps);
    launch<repack_filters<T>>("conv2d.dgrad.implicit_gemm.repack", dim3(unsigned(blocks)),
                              dim3(kRepackThreads), 0, execution.stream, packed, args.w,
                              int(problem.c_per_group), int(taps));
    args.w = packed;
  }
  choose_loads<T, Direction::kDgrad>(call);
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
}  // namespace implicit_gemm

extern const Conv2dKernel conv2d_implicit_gemm;
const Conv2dKernel conv2d_implicit_gemm = {implicit_gemm::supports, implicit_gemm::workspace_bytes,
                                           implicit_gemm::run};

}  // namespace CK_GPU
}  // namespace ck
