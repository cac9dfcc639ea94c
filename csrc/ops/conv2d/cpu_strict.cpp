// conv2d.{fprop,dgrad,wgrad}.strict on the CPU: the product of cpu/gemm.h with the tree of
// precision="strict" and gemm_k in the stated order, so that instruction sets, backends and layouts
// give the same bits. Takes every problem.
//
//   fprop   y (K x NPQ)           gemm_k = (c, r, s)
//   dgrad   grad_x (C x pixels)   gemm_k = (k, r, s) of the taps that reach a class of pixels
//   wgrad   grad_w (K x C*R*S)    gemm_k = (n, p, q)
// Taps count as they lie in the window: a flipped filter is turned first. Taps on padding are terms
// of zero, or of the pixel shown there; dgrad of such pixels is made one by one. NHWC is gathered
// element by element, unless filters are 1x1: with few channels in a group that is ten times slower
// than direct.
#include "ops/conv2d/cpu_strict.h"

#include "cpu/tasks.h"
#include "cpu/weights.h"
#include "ops/conv2d/cpu_matrix.h"

namespace ck {
namespace CK_ISA {
namespace {

constexpr int64_t kBlockPixels = 256, kBlockChannels = 512;

// fprop, or one class of the pixels of dgrad: h and w say which pixels and taps.
template <class T>
struct ImagePass {
  const Conv2dProblem& p;
  bool forward;
  Axis h, w;

  ImagePass(const Conv2dProblem& problem, bool is_forward, int64_t class_h, int64_t class_w)
      : p(problem), forward(is_forward) {
    h = axis(forward ? p.h : p.p, p.r, forward ? p.p : p.h, p.stride_h, p.pad_top, p.dilation_h,
             class_h);
    w = axis(forward ? p.w : p.q, p.s, forward ? p.q : p.w, p.stride_w, p.pad_left, p.dilation_w,
             class_w);
  }

  int64_t pixels() const { return p.n * h.count * w.count; }
  int64_t outer() const { return forward ? p.k_per_group : p.c_per_group; }
  int64_t inner() const { return forward ? p.c_per_group : p.k_per_group; }
  int64_t depth() const { return inner() * h.taps * w.taps; }

  StrictStrides source_strides() const {
    return forward ? strict_strides(p.layout, p.c, p.h, p.w)
                   : strict_strides(p.layout, p.k, p.p, p.q);
  }
  StrictStrides out_strides() const {
    return forward ? strict_strides(p.layout, p.k, p.p, p.q)
                   : strict_strides(p.layout, p.c, p.h, p.w);
  }
  TapLines<T> lines(const T* source, int64_t group) const {
    const StrictStrides strides = source_strides();
    TapLines<T> lines = {source + group * inner() * strides.channel, strides, h, w,
                         forward ? p.padding_mode : PaddingMode::kZeros};
    lines.join_rows();
    return lines;
  }
  WeightView<T> weights(const T* at, int64_t group) const {
    const bool nchw = p.layout == Layout::kNCHW;
    const int64_t filter = p.c_per_group * p.r * p.s, channel = nchw ? p.r * p.s : 1;
    return {at + group * p.k_per_group * filter,
            outer(),
            inner(),
            forward ? filter : channel,
            forward ? channel : filter,
            nchw ? 1 : p.c_per_group,
            p.s,
            h,
            w};
  }
  BlockGrid grid(int threads) const {
    return block_grid<T>(outer(), pixels(), kBlockChannels, kBlockPixels, p.groups, threads);
  }

 private:
  Axis axis(int64_t source, int64_t taps, int64_t out, int64_t stride, int64_t pad,
            int64_t dilation, int64_t klass) const {
    if (forward) return forward_axis(source, taps, out, stride, pad, dilation, p.flip_kernel);
    // Offsets ascend there, and so r and s descend.
    return reversed(backward_axis(out, taps, source, stride, pad, dilation, p.flip_kernel, klass));
  }
};

// What a block of the result takes: the product's scratch and a buffer of lines.
template <class T>
struct Worker {
  GemmScratch<T> gemm;
  T* lines;

  static Worker take(Arena& arena, const BlockGrid& grid, int64_t depth, int64_t line_elems) {
    return {
        GemmScratch<T>::template take<StrictTree>(arena, grid.max_rows(), grid.max_cols(), depth),
        arena.take<T>(line_elems)};
  }
};

// The memory of one pass: packed weights of all groups, then the workers'.
template <class T>
struct PassMemory {
  T* packed;
  int64_t group_elems, worker_bytes, line_elems;
  char* workers;

  PassMemory(const ImagePass<T>& pass, const BlockGrid& grid, int threads, Arena& arena) {
    group_elems = PackedRows<T>::elems(pass.outer(), pass.depth());
    packed = arena.take<T>(pass.p.groups * group_elems);
    line_elems = round_up(grid.max_cols(), kTileCols<T>);
    Arena counter(nullptr);
    Worker<T>::take(counter, grid, pass.depth(), line_elems);
    worker_bytes = counter.used_bytes();
    workers = arena.take<char>(worker_bytes * threads);
  }
};

template <class T>
void run_pass(const ImagePass<T>& pass, int threads, const T* source, const T* w,
              const Epilogue<T>& epilogue, T* out, void* workspace) {
  const Conv2dProblem& p = pass.p;
  const BlockGrid grid = pass.grid(threads);
  Arena arena(workspace);
  const PassMemory<T> memory(pass, grid, threads, arena);
  const auto packed_rows = [&](int64_t group) {
    return PackedRows<T>{memory.packed + group * memory.group_elems, pass.outer()};
  };
  run_tasks(p.groups * grid.row_parts, threads, [&](int64_t task, int64_t) {
    const int64_t group = task / grid.row_parts;
    const Span rows = grid.row_span(task % grid.row_parts);
    const WeightView<T> view = pass.weights(w, group);
    for (int64_t k = 0; k < view.depth(); k += kDepthBlock) {
      pack_rows(view, rows.begin, rows.size(), k, packed_rows(group));
    }
  });
  const int64_t parts = grid.row_parts * grid.col_parts;
  run_tasks(p.groups * parts, threads, [&](int64_t task, int64_t index) {
    const int64_t group = task / parts;
    const Span rows = grid.row_span(task % grid.row_parts);
    const Span cols = grid.col_span(task / grid.row_parts % grid.col_parts);
    if (rows.size() <= 0 || cols.size() <= 0) return;
    Arena own(memory.workers + index * memory.worker_bytes);
    const Worker<T> worker = Worker<T>::take(own, grid, pass.depth(), memory.line_elems);
    const TapLines<T> lines = pass.lines(source, group);
    const StrictStrides strides = pass.out_strides();
    const Epilogue<T> mine =
        epilogue_at(epilogue, group * pass.outer(), group * pass.outer() * strides.channel);
    const StrictStore<T> store = {out + group * pass.outer() * strides.channel,
                                  mine.bias,
                                  mine.residual,
                                  mine.activation,
                                  strides,
                                  lines.h,
                                  lines.w};
    const Span depth = {0, pass.depth()};
    if (lines.is_matrix()) {
      gemm_block<StrictTree>(rows, cols, depth, packed_rows(group),
                             PanelsOfColumns<T>{lines.at, lines.strides.column}, store,
                             worker.gemm);
    } else {
      gemm_block<StrictTree>(rows, cols, depth, packed_rows(group),
                             PixelsOfLines<T>{&lines, worker.lines}, store, worker.gemm);
    }
  });
}

template <class T>
struct WgradPass {
  const Conv2dProblem& p;
  BlockGrid grid;
  int64_t depth, taps, worker_bytes;

  WgradPass(const Conv2dProblem& problem, int threads) : p(problem) {
    taps = p.r * p.s;
    depth = p.n * p.p * p.q;
    grid = block_grid<T>(p.k_per_group, p.c_per_group * taps, kBlockChannels, kBlockPixels,
                         p.groups, threads);
    Arena counter(nullptr);
    take(counter);
    worker_bytes = counter.used_bytes();
  }
  Worker<T> take(Arena& arena) const {
    return Worker<T>::take(arena, grid, depth, kTileCols<T> * kPackedRow<T>);
  }

  void run(int threads, const T* x, const T* grad_y, T* out, void* workspace) const {
    const bool nchw = p.layout == Layout::kNCHW;
    const int64_t filter = p.c_per_group * taps, parts = grid.row_parts * grid.col_parts;
    // The columns of the result are taps as w holds them, turned or not: their order adds nothing.
    const Axis h = in_weight_order(
        forward_axis(p.h, p.r, p.p, p.stride_h, p.pad_top, p.dilation_h, p.flip_kernel));
    const Axis w = in_weight_order(
        forward_axis(p.w, p.s, p.q, p.stride_w, p.pad_left, p.dilation_w, p.flip_kernel));
    run_tasks(p.groups * parts, threads, [&](int64_t task, int64_t index) {
      const int64_t group = task / parts;
      const Span rows = grid.row_span(task % grid.row_parts);
      const Span cols = grid.col_span(task / grid.row_parts % grid.col_parts);
      if (rows.size() <= 0 || cols.size() <= 0) return;
      Arena own(static_cast<char*>(workspace) + index * worker_bytes);
      const Worker<T> worker = take(own);
      const StrictStrides of_x = strict_strides(p.layout, p.c, p.h, p.w);
      const StrictStrides of_y = strict_strides(p.layout, p.k, p.p, p.q);
      TapLines<T> lines = {x + group * p.c_per_group * of_x.channel, of_x, h, w, p.padding_mode};
      lines.join_rows();
      const ChannelRows<T> gradient = {grad_y + group * p.k_per_group * of_y.channel, of_y,
                                       p.p * p.q};
      const FilterStore<T> store = {out + group * p.k_per_group * filter, filter, nchw ? taps : 1,
                                    nchw ? 1 : p.c_per_group, taps};
      if (lines.is_matrix()) {
        gemm_block<StrictTree>(rows, cols, {0, depth}, gradient,
                               PanelsOfRows<T>{lines.at, lines.strides.column}, store, worker.gemm);
      } else {
        gemm_block<StrictTree>(rows, cols, {0, depth}, gradient,
                               TapsOfLines<T>{&lines, worker.lines}, store, worker.gemm);
      }
    });
  }
};

// Calls body(pass) for each class of pixels that dgrad has, for fprop once.
template <class T, class Body>
void for_each_pass(const Conv2dProblem& p, bool forward, const Body& body) {
  const int64_t classes_h = forward ? 1 : min_of(p.stride_h, p.h);
  const int64_t classes_w = forward ? 1 : min_of(p.stride_w, p.w);
  for (int64_t i = 0; i < classes_h; ++i) {
    for (int64_t j = 0; j < classes_w; ++j) body(ImagePass<T>(p, forward, i, j));
  }
}

// dgrad of the pixels that padding shows too, one by one: they have more terms.
template <class T>
void redo_shown_pixels(const Conv2dProblem& p, const T* w, const T* grad_y, T* out, int threads) {
  const auto gradient = StrictInputGradient<T>::of(p, w, grad_y);
  const StrictStrides strides = strict_strides(p.layout, p.c, p.h, p.w);
  run_tasks(p.n * p.c, threads, [&](int64_t plane, int64_t) {
    const int64_t image = plane / p.c, channel = plane % p.c;
    T* const to = out + image * strides.outer + channel * strides.channel;
    for (int64_t i = 0; i < p.h; ++i) {
      const bool row = is_shown_around(p.padding_mode, i, p.h, p.pad_top, p.pad_bottom);
      for (int64_t j = 0; j < p.w; ++j) {
        if (row || is_shown_around(p.padding_mode, j, p.w, p.pad_left, p.pad_right))
          to[i * strides.row + j * strides.column] = gradient.at(image, channel, i, j);
      }
    }
  });
}

template <class T>
void run_in_layout(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
                   int threads, void* workspace) {
  T* const out = static_cast<T*>(arrays.out);
  if (direction == Direction::kWgrad) {
    WgradPass<T>(p, threads)
        .run(threads, static_cast<const T*>(arrays.x), static_cast<const T*>(arrays.y), out,
             workspace);
    return;
  }
  const bool forward = direction == Direction::kFprop;
  const Epilogue<T> epilogue = forward ? epilogue_of<T>(p, arrays) : Epilogue<T>{};
  for_each_pass<T>(p, forward, [&](const ImagePass<T>& pass) {
    run_pass(pass, threads, static_cast<const T*>(forward ? arrays.x : arrays.y),
             static_cast<const T*>(arrays.w), epilogue, out, workspace);
  });
  if (!forward && p.padding_mode != PaddingMode::kZeros) {
    redo_shown_pixels(p, static_cast<const T*>(arrays.w), static_cast<const T*>(arrays.y), out,
                      threads);
  }
}

template <class T>
int64_t pass_bytes(const Conv2dProblem& p, Direction direction, int threads) {
  if (direction == Direction::kWgrad) return WgradPass<T>(p, threads).worker_bytes * threads;
  int64_t most = 0;
  for_each_pass<T>(p, direction == Direction::kFprop, [&](const ImagePass<T>& pass) {
    Arena arena(nullptr);
    PassMemory<T>(pass, pass.grid(threads), threads, arena);
    most = max_of(most, arena.used_bytes());
  });
  return most;
}

// NHWC arrays as NCHW ones in the workspace. Gathering NHWC takes an element at a time: where few
// channels of the result share what was gathered, it pays to turn the arrays first.
template <class T>
struct TurnedArrays {
  static constexpr int64_t kFewChannels = 16;

  Conv2dProblem p;  // of the turned arrays
  Direction direction;
  T *x, *w, *y, *residual;
  char* rest;  // of the workspace
  Arena arena;

  static bool wanted(const Conv2dProblem& p, Direction direction) {
    const bool pointwise = p.r * p.s == 1 && p.stride_h * p.stride_w == 1;
    const int64_t sharing = direction == Direction::kDgrad ? p.c_per_group : p.k_per_group;
    return p.layout == Layout::kNHWC && sharing < kFewChannels && !pointwise;
  }

  TurnedArrays(const Conv2dProblem& problem, Direction which, void* workspace)
      : p(problem), direction(which), arena(workspace) {
    p.layout = Layout::kNCHW;
    const bool forward = direction == Direction::kFprop;
    x = arena.take<T>(p.n * p.c * p.h * p.w);
    w = arena.take<T>(p.k * p.c_per_group * p.r * p.s);
    y = arena.take<T>(p.n * p.k * p.p * p.q);
    residual = arena.take<T>(forward && p.has_residual ? p.n * p.k * p.p * p.q : 0);
    rest = arena.take<char>(0);
  }

  void run(const Conv2dArrays& arrays, int threads) const {
    const int64_t inputs = p.h * p.w, outputs = p.p * p.q, taps = p.r * p.s;
    Conv2dArrays turned{x, w, y, arrays.bias, nullptr, nullptr};
    if (direction != Direction::kDgrad) turn(arrays.x, p.n, inputs, p.c, x, threads);
    if (direction != Direction::kWgrad) turn(arrays.w, p.k, taps, p.c_per_group, w, threads);
    if (direction != Direction::kFprop) turn(arrays.y, p.n, outputs, p.k, y, threads);
    if (direction == Direction::kFprop && p.has_residual) {
      turn(arrays.residual, p.n, outputs, p.k, residual, threads);
      turned.residual = residual;
    }
    turned.out = direction == Direction::kFprop ? y : direction == Direction::kDgrad ? x : w;
    run_in_layout<T>(p, direction, turned, threads, rest);
    if (direction == Direction::kFprop) turn(y, p.n, p.k, outputs, arrays.out, threads);
    if (direction == Direction::kDgrad) turn(x, p.n, p.c, inputs, arrays.out, threads);
    if (direction == Direction::kWgrad) turn(w, p.k, p.c_per_group, taps, arrays.out, threads);
  }

 private:
  // `count` matrices (rows x columns) become (columns x rows).
  static void turn(const void* from, int64_t count, int64_t rows, int64_t columns, void* to,
                   int threads) {
    constexpr int64_t kBlock = 256;  // rows of a task
    const int64_t blocks = ceil_div(rows, kBlock);
    run_tasks(count * blocks, threads, [&](int64_t task, int64_t) {
      const int64_t first = task % blocks * kBlock, at = task / blocks * rows * columns;
      transpose(static_cast<const T*>(from) + at + first * columns, columns,
                min_of(kBlock, rows - first), columns, static_cast<T*>(to) + at + first, rows);
    });
  }
};

template <class T>
void run_typed(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
               const Execution& execution) {
  const int threads = threads_for(p, execution.threads);
  if (TurnedArrays<T>::wanted(p, direction)) {
    TurnedArrays<T>(p, direction, execution.workspace).run(arrays, threads);
  } else {
    run_in_layout<T>(p, direction, arrays, threads, execution.workspace);
  }
}

template <class T>
int64_t workspace_typed(const Conv2dProblem& p, Direction direction, int thread_count) {
  const int threads = threads_for(p, thread_count);
  if (!TurnedArrays<T>::wanted(p, direction)) return pass_bytes<T>(p, direction, threads);
  const TurnedArrays<T> turned(p, direction, nullptr);
  return turned.arena.used_bytes() + pass_bytes<T>(turned.p, direction, threads);
}

Reason supports(const Conv2dProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const Conv2dProblem& p, Direction direction, int threads) {
  return p.dtype == DType::kFloat32 ? workspace_typed<float>(p, direction, threads)
                                    : workspace_typed<double>(p, direction, threads);
}

void run(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace

extern const Conv2dKernel conv2d_strict;
const Conv2dKernel conv2d_strict = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
