// conv2d.{fprop,dgrad,wgrad}.implicit_gemm on the CPU: the matrix product of csrc/cpu/gemm.h, whose
// packing is the im2col. Takes every problem with zeros around the image; the default wherever channels are many enough to fill
// a register tile.
//
//           NCHW                                    NHWC
//   fprop   C (filters x pixels), vectors of pixels   C (pixels x filters), vectors of filters
//   dgrad   the same with grad_y as the source: one product per stride class, over its taps alone
//   wgrad   cpu_implicit_wgrad.h
//
// The column matrix never exists: planes.h and pixels.h gather it straight into the packed operand
// of one block (256 of gemm_k), a private buffer in L2. Weights are packed once per call and
// shared; long rows of them that only a few pixels will use are read where they lie. Pixels run
// over all images of the call, so that 7 x 7 maps fill tiles too. Order of summation: gemm.h;
// (channel, tap) in NCHW, (tap, channel) in NHWC.
#include <cstdint>

#include "cpu/epilogue.h"
#include "cpu/gather.h"
#include "cpu/gemm.h"
#include "cpu/operands.h"
#include "cpu/pixels.h"
#include "cpu/planes.h"
#include "cpu/tasks.h"
#include "cpu/weights.h"
#include "ops/conv2d/cpu_implicit_wgrad.h"
#include "ops/conv2d/cpu_matrix.h"
#include "ops/conv2d/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

// Panels of a block (256 deep) and unfinished sums share the L2 cache with the weights passing
// through.
constexpr int64_t kBlockPixels = 256;
constexpr int64_t kBlockChannels = 512;
// Copies of strided sources are made for so many images at a time that they stay in the outer
// cache.
constexpr int64_t kPhaseBytes = 8 << 20;

// fprop or dgrad as one thing: a source gathered under weights into a result.
template <class T>
struct Pass {
  const Conv2dProblem& problem;
  bool forward;
  int64_t source_channels, source_h, source_w;  // per group
  int64_t out_channels, out_h, out_w;
  int64_t classes_h, classes_w;

  Pass(const Conv2dProblem& p, Direction direction)
      : problem(p), forward(direction == Direction::kFprop) {
    source_channels = forward ? p.c_per_group : p.k_per_group;
    source_h = forward ? p.h : p.p;
    source_w = forward ? p.w : p.q;
    out_channels = forward ? p.k_per_group : p.c_per_group;
    out_h = forward ? p.p : p.h;
    out_w = forward ? p.q : p.w;
    classes_h = forward ? 1 : min_of(p.stride_h, out_h);
    classes_w = forward ? 1 : min_of(p.stride_w, out_w);
  }

  Axis axis_h(int64_t klass) const {
    const Conv2dProblem& p = problem;
    return ordered(
        forward ? forward_axis(p.h, p.r, p.p, p.stride_h, p.pad_top, p.dilation_h, p.flip_kernel)
                : backward_axis(p.h, p.r, p.p, p.stride_h, p.pad_top, p.dilation_h, p.flip_kernel,
                                klass));
  }
  Axis axis_w(int64_t klass) const {
    const Conv2dProblem& p = problem;
    return ordered(
        forward ? forward_axis(p.w, p.s, p.q, p.stride_w, p.pad_left, p.dilation_w, p.flip_kernel)
                : backward_axis(p.w, p.s, p.q, p.stride_w, p.pad_left, p.dilation_w, p.flip_kernel,
                                klass));
  }
  Axis ordered(const Axis& axis) const {
    return problem.layout == Layout::kNCHW ? in_weight_order(axis) : axis;
  }
  int64_t classes() const { return classes_h * classes_w; }
  // The class with the most pixels is class 0, the one with the most taps any.
  int64_t class_pixels() const { return axis_h(0).count * axis_w(0).count; }

  WeightView<T> weights(const T* at, int64_t group, int64_t klass) const {
    const Conv2dProblem& p = problem;
    const bool nchw = p.layout == Layout::kNCHW;
    const int64_t filter = p.c_per_group * p.r * p.s;
    const int64_t channel = nchw ? p.r * p.s : 1;
    WeightView<T> view;
    view.at = at + group * p.k_per_group * filter;
    view.outer = out_channels;
    view.inner = source_channels;
    view.outer_stride = forward ? filter : channel;
    view.inner_stride = forward ? channel : filter;
    view.tap_stride = nchw ? 1 : p.c_per_group;
    view.filter_width = p.s;
    view.h = axis_h(klass / classes_w);
    view.w = axis_w(klass % classes_w);
    return view;
  }
};

// What run() needs from the workspace; laid out once, by the constructor, for workspace_bytes()
// too.
template <class T>
struct Plan {
  Pass<T> pass;
  Arena arena;
  int threads;
  bool nchw, in_place;
  int64_t images;  // per chunk
  PhaseCopy<T> phases;
  T* phase_copy;
  BlockGrid grid;  // of the largest class
  int64_t* packed_start;
  T* packed;
  char* scratch;
  int64_t scratch_bytes;

  Plan(const Conv2dProblem& problem, Direction direction, int thread_count, void* workspace)
      : pass(problem, direction), arena(workspace), threads(threads_for(problem, thread_count)) {
    nchw = problem.layout == Layout::kNCHW;
    images = problem.n;
    phases = {pass.axis_h(0), pass.axis_w(0)};
    if (nchw && phases.needed()) {
      const int64_t image_elems = problem.c * phases.channel_elems();
      const int64_t fitting = kPhaseBytes / int64_t(sizeof(T)) / max_of(1, image_elems);
      images = min_of(problem.n, max_of(1, fitting));
      phase_copy = arena.take<T>(images * image_elems);
    }
    const int64_t pixels = images * pass.class_pixels();
    const int64_t copies = pass.classes() * problem.groups;
    grid = nchw ? block_grid<T>(pass.out_channels, pixels, kBlockChannels, kBlockPixels, copies,
                                threads)
                : block_grid<T>(pixels, pass.out_channels, kBlockPixels, kBlockPixels, copies,
                                threads);

    in_place = nchw && rows_in_place(problem.n * pass.class_pixels());
    packed_start = arena.take<int64_t>(pass.classes() + 1);
    packed = arena.take<T>(in_place ? 0 : problem.groups * packed_elems());

    Arena counter(nullptr);
    Worker(*this, counter);
    scratch_bytes = counter.used_bytes();
    scratch = arena.take<char>(scratch_bytes * threads);
  }

  // Scratch of one worker.
  struct Worker {
    GemmScratch<T> gemm;
    TapTable<T> table;
    PlaneStore<T> store = {};

    Worker(const Plan& plan, Arena& memory) {
      const int64_t depth = plan.pass.source_channels * plan.pass.problem.r * plan.pass.problem.s;
      gemm = GemmScratch<T>::take(memory, plan.grid.max_rows(), plan.grid.max_cols(), depth);
      if (!plan.nchw) return;
      // Classes differ in taps by one row and column at most; r x s covers all of them.
      Axis h = plan.pass.axis_h(0), w = plan.pass.axis_w(0);
      h.taps = plan.pass.problem.r;
      w.taps = plan.pass.problem.s;
      // Odd classes may have shorter rows: a vector has more pieces then.
      w.count = max_of(1, w.count - 1);
      table = TapTable<T>::take(memory, h, w, plan.grid.max_cols());
      store = PlaneStore<T>::take(memory, plan.grid.max_cols(), w.count);
    }
  };

  // Packing pays for itself when many pixels share it. Rows whole pages apart, though, would sit on
  // each other in the L1 cache.
  bool rows_in_place(int64_t pixels) const {
    const WeightView<T> view = pass.weights(nullptr, 0, 0);
    return view.rows_are_contiguous() && pixels <= 4 * kBlockPixels &&
           view.outer_stride * int64_t(sizeof(T)) % 4096 != 0;
  }

  // Elements of packed weights of one class, or of all of them.
  int64_t packed_elems(int64_t klass) const {
    const int64_t depth = pass.weights(nullptr, 0, klass).depth();
    return nchw ? PackedRows<T>::elems(pass.out_channels, depth)
                : PackedPanels<T>::elems(pass.out_channels, depth);
  }
  int64_t packed_elems() const {
    int64_t sum = 0;
    for (int64_t klass = 0; klass < pass.classes(); ++klass) sum += packed_elems(klass);
    return sum;
  }
  T* packed_at(int64_t group, int64_t klass) const {
    return packed + group * packed_start[pass.classes()] + packed_start[klass];
  }

  void pack_weights(const T* w) const {
    if (in_place) return;
    packed_start[0] = 0;
    for (int64_t klass = 0; klass < pass.classes(); ++klass) {
      packed_start[klass + 1] = packed_start[klass] + packed_elems(klass);
    }
    // Rows or columns per task. The rows' weights lie side by side, so a long stretch of them is
    // read at memory speed.
    const int64_t rows = max_of(32, ceil_div(pass.out_channels, threads));
    const int64_t unit = nchw ? rows : kTileCols<T>;
    const int64_t units = ceil_div(pass.out_channels, unit);
    run_tasks(pass.classes() * pass.problem.groups * units, threads, [&](int64_t task, int64_t) {
      const int64_t klass = task % pass.classes();
      const int64_t first = task / pass.classes() % units * unit;
      const int64_t group = task / pass.classes() / units;
      const WeightView<T> view = pass.weights(w, group, klass);
      T* to = packed_at(group, klass);
      for (int64_t k = 0; k < view.depth(); k += kDepthBlock) {
        if (nchw) {
          const int64_t count = min_of(unit, view.outer - first);
          pack_rows(view, first, count, k, PackedRows<T>{to, view.outer});
        } else {
          pack_panel(view, first, k, PackedPanels<T>{to, view.outer});
        }
      }
    });
  }

  void copy_phases(const T* source, int64_t first_image, int64_t count) const {
    const int64_t channels = pass.problem.c;
    const int64_t plane = pass.source_h * pass.source_w;
    run_tasks(count * channels, threads, [&](int64_t task, int64_t) {
      phases.copy_channel(source + (first_image * channels + task) * plane,
                          phase_copy + task * phases.channel_elems());
    });
  }

  // Where a task's block of C lies.
  struct Block {
    int64_t group, klass;
    Span rows, cols;
  };
  bool find_block(int64_t task, int64_t chunk_images, Block* block) const {
    block->klass = task % pass.classes();
    task /= pass.classes();
    BlockGrid class_grid = grid;
    const int64_t pixels = chunk_images * pass.axis_h(block->klass / pass.classes_w).count *
                           pass.axis_w(block->klass % pass.classes_w).count;
    (nchw ? class_grid.cols : class_grid.rows) = pixels;
    block->rows = class_grid.row_span(task % grid.row_parts);
    task /= grid.row_parts;
    block->cols = class_grid.col_span(task % grid.col_parts);
    block->group = task / grid.col_parts;
    return block->rows.size() > 0 && block->cols.size() > 0;
  }
  int64_t task_count() const {
    return pass.classes() * grid.row_parts * grid.col_parts * pass.problem.groups;
  }

  void run_planes(const T* source, const T* w, Epilogue<T> epilogue, T* out) const {
    const Conv2dProblem& p = pass.problem;
    const int64_t source_plane = pass.source_h * pass.source_w, out_plane = pass.out_h * pass.out_w;
    for (int64_t first = 0; first < p.n; first += images) {
      const int64_t count = min_of(images, p.n - first);
      if (phases.needed()) copy_phases(source, first, count);
      run_tasks(task_count(), threads, [&](int64_t task, int64_t worker_index) {
        Block block;
        if (!find_block(task, count, &block)) return;
        Arena memory(scratch + worker_index * scratch_bytes);
        Worker worker(*this, memory);
        const WeightView<T> view = pass.weights(w, block.group, block.klass);

        TapTable<T>& table = worker.table;
        table.h = view.h;
        table.w = view.w;
        if (phases.needed()) {
          table.planes = {phase_copy, p.c * phases.channel_elems(), phases.channel_elems(),
                          phases.h.phase_size(), phases.w.phase_size()};
        } else {
          const int64_t stride = p.groups * pass.source_channels * source_plane;
          table.planes = {source + first * stride, stride, source_plane, pass.source_h,
                          pass.source_w};
        }
        table.set_pixels(block.cols);
        const PlanePanels<T> panels = {
            &table,
            table.planes.at + block.group * pass.source_channels * table.planes.channel_stride};

        PlaneStore<T>& store = worker.store;
        store.plane = out_plane;
        store.image_stride = p.groups * pass.out_channels * out_plane;
        const int64_t base =
            first * store.image_stride + block.group * pass.out_channels * out_plane;
        store.out = out + base;
        store.epilogue = epilogue_at(epilogue, block.group * pass.out_channels, base);
        store.set_pixels(block.cols, view.h, view.w, pass.out_w);

        const Span depth = {0, view.depth()};
        if (in_place) {
          gemm_block(block.rows, block.cols, depth, RowsInPlace<T>{view.at, view.outer_stride},
                     panels, store, worker.gemm);
        } else {
          gemm_block(block.rows, block.cols, depth,
                     PackedRows<T>{packed_at(block.group, block.klass), view.outer}, panels, store,
                     worker.gemm);
        }
      });
    }
  }

  void run_pixels(const T* source, const T* w, Epilogue<T> epilogue, T* out) const {
    const Conv2dProblem& p = pass.problem;
    run_tasks(task_count(), threads, [&](int64_t task, int64_t worker_index) {
      Block block;
      if (!find_block(task, p.n, &block)) return;
      Arena memory(scratch + worker_index * scratch_bytes);
      Worker worker(*this, memory);
      const WeightView<T> view = pass.weights(w, block.group, block.klass);
      const PixelGather<T> gather = {source + block.group * pass.source_channels,
                                     pass.source_channels, p.groups * pass.source_channels, view.h,
                                     view.w};
      const int64_t base = block.group * pass.out_channels;
      const PixelStore<T> store = {out + base,
                                   epilogue_at(epilogue, base, base),
                                   p.groups * pass.out_channels,
                                   pass.out_h,
                                   pass.out_w,
                                   view.h,
                                   view.w};
      gemm_block(block.rows, block.cols, {0, view.depth()}, PixelRows<T>{&gather},
                 PackedPanels<T>{packed_at(block.group, block.klass), view.outer}, store,
                 worker.gemm);
    });
  }
};

template <class T>
void run_typed(const Conv2dProblem& problem, Direction direction, const Conv2dArrays& arrays,
               const Execution& execution) {
  if (direction == Direction::kWgrad) {
    WgradPlan<T> plan(problem, execution.threads, execution.workspace);
    plan.run(static_cast<const T*>(arrays.x), static_cast<const T*>(arrays.y),
             static_cast<T*>(arrays.out));
    return;
  }
  const bool forward = direction == Direction::kFprop;
  Plan<T> plan(problem, direction, execution.threads, execution.workspace);
  const T* source = static_cast<const T*>(forward ? arrays.x : arrays.y);
  const T* w = static_cast<const T*>(arrays.w);
  T* out = static_cast<T*>(arrays.out);
  const Epilogue<T> epilogue = forward ? epilogue_of<T>(problem, arrays) : Epilogue<T>{};
  plan.pack_weights(w);
  if (plan.nchw) {
    plan.run_planes(source, w, epilogue, out);
  } else {
    plan.run_pixels(source, w, epilogue, out);
  }
}

template <class T>
int64_t workspace_typed(const Conv2dProblem& problem, Direction direction, int threads) {
  if (direction == Direction::kWgrad) {
    return WgradPlan<T>(problem, threads, nullptr).arena.used_bytes();
  }
  return Plan<T>(problem, direction, threads, nullptr).arena.used_bytes();
}

Reason supports(const Conv2dProblem& problem, Direction) {
  return needs_zeros_around(problem.padding_mode);
}

int64_t workspace_bytes(const Conv2dProblem& problem, Direction direction, int threads) {
  return problem.dtype == DType::kFloat32 ? workspace_typed<float>(problem, direction, threads)
                                          : workspace_typed<double>(problem, direction, threads);
}

void run(const Conv2dProblem& problem, Direction direction, const Conv2dArrays& arrays,
         const Execution& execution) {
  if (problem.dtype == DType::kFloat32) {
    run_typed<float>(problem, direction, arrays, execution);
  } else {
    run_typed<double>(problem, direction, arrays, execution);
  }
}

}  // namespace

extern const Conv2dKernel conv2d_implicit_gemm;
const Conv2dKernel conv2d_implicit_gemm = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
