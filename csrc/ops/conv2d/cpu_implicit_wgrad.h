// conv2d.wgrad.implicit_gemm on the CPU:
// grad_w[k, (c, r, s)] = sum over pixels of grad_y[pixel, k] * x[pixel under (c, r, s)].
//
// gemm_k are the pixels of all images: hundreds of thousands, against a small result. Vectors lie
// along the axis that one of the two arrays already has contiguous, so that only grad_y, R * S
// times smaller than the im2col rows, is transposed:
//   NCHW   C ((r, s, c) x filters): A = gathered planes as they are, B = grad_y transposed
//   NHWC   C (filters x (r, s, c)): A = grad_y transposed, B = gathered pixels as they are
//
// Summation tree: pieces of 4096 pixels, each as in gemm.h, added in the levels of cpu/sums.h. A
// piece begins at an image; small images share one. Nothing of this depends on threads, which share
// out tiles of C.
#pragma once

#include <cstdint>

#include "cpu/gather.h"
#include "cpu/gemm.h"
#include "cpu/operands.h"
#include "cpu/pixels.h"
#include "cpu/planes.h"
#include "cpu/tasks.h"
#include "ops/conv2d/cpu_matrix.h"
#include "ops/conv2d/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

// Adds finished tiles of (tap, channel) rows to totals whose rows are (channel, tap).
template <class T>
struct TotalsStore {
  PieceStore<T> totals;
  int64_t channels, taps;

  void tile(int64_t i, int rows, int64_t j, int cols, const T* sums) const {
    for (int r = 0; r < rows; ++r, sums += kTileCols<T>) {
      const int64_t row = (i + r) % channels * taps + (i + r) / channels;
      totals.tile(row, 1, j, cols, sums);
    }
  }
};

template <class T>
struct WgradPlan {
  static constexpr int64_t kBlockRows = 512, kBlockCols = 256;

  const Conv2dProblem& problem;
  Arena arena;
  int threads;
  bool nchw;
  Axis h, w;
  PhaseCopy<T> phases;
  int64_t images;  // per step
  int64_t filter;  // elements of a filter
  T* phase_copy;
  T* totals;
  PieceLevels<T> levels;
  BlockGrid grid;
  char* scratch;
  int64_t scratch_bytes;

  WgradPlan(const Conv2dProblem& p, int thread_count, void* workspace)
      : problem(p), arena(workspace), threads(threads_for(p, thread_count)) {
    nchw = p.layout == Layout::kNCHW;
    h = in_weight_order(
        forward_axis(p.h, p.r, p.p, p.stride_h, p.pad_top, p.dilation_h, p.flip_kernel));
    w = in_weight_order(
        forward_axis(p.w, p.s, p.q, p.stride_w, p.pad_left, p.dilation_w, p.flip_kernel));
    phases = {h, w};
    images = min_of(p.n, max_of(1, kPiecePixels / max_of(1, p.p * p.q)));
    filter = p.c_per_group * p.r * p.s;
    phase_copy = arena.take<T>(needs_copy() ? images * p.c * phases.channel_elems() : 0);
    totals = arena.take<T>(nchw ? p.k * filter : 0);
    levels = PieceLevels<T>::take(arena, pieces_before(p.n), p.k * filter);
    grid = nchw ? block_grid<T>(filter, p.k_per_group, kBlockRows, kBlockCols, p.groups, threads)
                : block_grid<T>(p.k_per_group, filter, kBlockRows, kBlockCols, p.groups, threads);
    Arena counter(nullptr);
    Worker(*this, counter);
    scratch_bytes = counter.used_bytes();
    scratch = arena.take<char>(scratch_bytes * threads);
  }

  struct Worker {
    GemmScratch<T> gemm;
    TapTable<T> table;

    Worker(const WgradPlan& plan, Arena& memory) {
      gemm = GemmScratch<T>::take(memory, plan.grid.max_rows(), plan.grid.max_cols(), kPiecePixels);
      if (plan.nchw) table = TapTable<T>::take(memory, plan.h, plan.w, kDepthBlock);
    }
  };

  // Pieces of the images before this one.
  int64_t pieces_before(int64_t image) const {
    if (images == 0) return 0;
    const int64_t pixels = problem.p * problem.q;
    return image / images * pieces_of(images * pixels) + pieces_of(image % images * pixels);
  }

  bool needs_copy() const { return nchw && phases.needed(); }

  void run(const T* x, const T* grad_y, T* grad_w) const {
    if (problem.n == 0 || problem.p == 0 || problem.q == 0) {
      zero_run(grad_w, problem.k * filter);
      return;
    }
    // With copies, all threads meet between steps; without, each task walks all steps alone.
    const int64_t stride = needs_copy() ? images : problem.n;
    for (int64_t first = 0; first < problem.n; first += stride) {
      const int64_t end = min_of(first + stride, problem.n);
      if (needs_copy()) {
        const int64_t plane = problem.h * problem.w;
        run_tasks((end - first) * problem.c, threads, [&](int64_t task, int64_t) {
          phases.copy_channel(x + (first * problem.c + task) * plane,
                              phase_copy + task * phases.channel_elems());
        });
      }
      const int64_t tasks = problem.groups * grid.row_parts * grid.col_parts;
      run_tasks(tasks, threads, [&](int64_t task, int64_t worker_index) {
        const int64_t group = task / (grid.row_parts * grid.col_parts);
        const Span rows = grid.row_span(task % grid.row_parts);
        const Span cols = grid.col_span(task / grid.row_parts % grid.col_parts);
        if (rows.size() <= 0 || cols.size() <= 0) return;
        Arena memory(scratch + worker_index * scratch_bytes);
        Worker worker(*this, memory);
        for (int64_t image = first; image < end; image += images) {
          const int64_t count = min_of(images, end - image);
          if (nchw) {
            add_planes(x, grad_y, group, rows, cols, image, count, worker);
          } else {
            add_pixels(x, grad_y, group, rows, cols, image, count, worker, grad_w);
          }
        }
      });
    }
    if (nchw) transpose_totals(grad_w);
  }

 private:
  void transpose_totals(T* grad_w) const {
    const int64_t k = problem.k_per_group, unit = 32;
    const int64_t units = ceil_div(k, unit);
    run_tasks(problem.groups * units, threads, [&](int64_t task, int64_t) {
      const int64_t first = task % units * unit, begin = task / units * k * filter;
      transpose(totals + begin + first, k, filter, min_of(unit, k - first),
                grad_w + begin + first * filter, filter);
    });
  }

  // `piece` is the store's number of the piece.
  template <class A, class B, class Store>
  void add(const A& a, const B& b, const Store& store, int64_t& piece, Span rows, Span cols,
           int64_t count, const Worker& worker) const {
    const int64_t pixels = count * problem.p * problem.q;
    for (int64_t k = 0; k < pixels; k += kPiecePixels) {
      const Span span = {k, min_of(k + kPiecePixels, pixels)};
      gemm_block(rows, cols, span, a, b, store, worker.gemm);
      ++piece;
    }
  }

  void add_planes(const T* x, const T* grad_y, int64_t group, Span rows, Span cols, int64_t image,
                  int64_t count, Worker& worker) const {
    TapTable<T>& table = worker.table;
    if (needs_copy()) {
      table.planes = {phase_copy, problem.c * phases.channel_elems(), phases.channel_elems(),
                      h.phase_size(), w.phase_size()};
    } else {
      const int64_t plane = problem.h * problem.w;
      table.planes = {x + image * problem.c * plane, problem.c * plane, plane, problem.h,
                      problem.w};
    }
    table.forget_pixels();  // of the last step
    const PlaneRows<T> a = {
        &table,
        table.planes.at + group * problem.c_per_group * table.planes.channel_stride,
        problem.c_per_group,
        {rows.begin / problem.c_per_group, ceil_div(rows.end, problem.c_per_group)}};
    const int64_t plane = problem.p * problem.q, k = problem.k_per_group;
    const PanelsAcrossImages<T> b = {grad_y + (image * problem.k + group * k) * plane,
                                     problem.k * plane, plane};
    TotalsStore<T> store = {{totals, group * k * filter, k, levels, pieces_before(image)},
                            problem.c_per_group,
                            problem.r * problem.s};
    add(a, b, store, store.totals.piece, rows, cols, count, worker);
  }

  void add_pixels(const T* x, const T* grad_y, int64_t group, Span rows, Span cols, int64_t image,
                  int64_t count, Worker& worker, T* grad_w) const {
    const PixelGather<T> gather = {
        x + image * problem.h * problem.w * problem.c + group * problem.c_per_group,
        problem.c_per_group, problem.c, h, w};
    const int64_t k = problem.k_per_group;
    const RowsTransposed<T> a = {grad_y + image * problem.p * problem.q * problem.k + group * k,
                                 problem.k};
    PieceStore<T> store = {grad_w, group * k * filter, filter, levels, pieces_before(image)};
    add(a, PixelPanels<T>{&gather}, store, store.piece, rows, cols, count, worker);
  }
};

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
