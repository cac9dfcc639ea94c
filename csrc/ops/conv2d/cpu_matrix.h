// Convolution as products of matrices that exist in memory: what 1x1 (the arrays themselves) and
// im2col (a column matrix) share. All products are gemm_block's; only operands and stores differ by
// layout:
//
//            NCHW, for each image                     NHWC, all images at once
//   fprop    y (K x PQ)    = w (K x D)   cols (D x PQ)      y (NPQ x K)    = cols (NPQ x D) w^T
//   dgrad    cols (D x PQ) = w^T (D x K) grad_y (K x PQ)    cols (NPQ x D) = grad_y (NPQ x K) w
//   wgrad    grad_w (K x D) = sum over pixels of grad_y * cols, in pieces of 4096 pixels
// D = C/groups * R * S. Where an operand's vectors run across memory, packing transposes it.
#pragma once

#include <cstdint>

#include "cpu/epilogue.h"
#include "cpu/gemm.h"
#include "cpu/operands.h"
#include "cpu/tasks.h"
#include "ops/conv2d/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

// A matrix per image and group. NCHW: rows are channels, `stride` apart; NHWC: rows are pixels.
template <class T>
struct ImageMatrix {
  T* at;
  int64_t image_stride, group_stride, stride;

  T* image(int64_t n, int64_t group) const { return at + n * image_stride + group * group_stride; }
};

// A of wgrad in NCHW: gemm_k are pixels of consecutive images. Where they lie, unless images meet
// in the block.
template <class T>
struct RowsAcrossImages {
  const T* at;
  int64_t image_stride, pixels;

  RowTile<T> rows(int64_t i, int count, int64_t k, int64_t depth, T* space) const {
    const T* first = at + i * pixels;
    const int64_t image = k / pixels, pixel = k % pixels;
    if (pixel + depth <= pixels) return {first + image * image_stride + pixel, pixels};
    for (int64_t d = 0; d < depth;) {
      const int64_t begin = (k + d) % pixels, run = min_of(depth - d, pixels - begin);
      const T* from = first + (k + d) / pixels * image_stride + begin;
      for (int r = 0; r < count; ++r) {
        copy_run(from + r * pixels, run, space + r * kPackedRow<T> + d);
      }
      d += run;
    }
    return {space, kPackedRow<T>};
  }
};

// B of wgrad in NCHW: gemm_k likewise, columns are rows of the image's matrix.
template <class T>
struct PanelsAcrossImages {
  const T* at;
  int64_t image_stride, pixels;

  const T* panels(Span cols, int64_t k, int64_t depth, T* space) const {
    for (int64_t d = 0; d < depth;) {
      const int64_t begin = (k + d) % pixels, run = min_of(depth - d, pixels - begin);
      const T* from = at + (k + d) / pixels * image_stride + begin;
      T* to = space + d * kTileCols<T>;
      for (int64_t j = cols.begin; j < cols.end; j += kTileCols<T>, to += depth * kTileCols<T>) {
        transpose(from + j * pixels, pixels, min_of(kTileCols<T>, cols.end - j), run, to,
                  int64_t(kTileCols<T>));
      }
      d += run;
    }
    return space;
  }
};

// C as a matrix of rows `stride` apart; filters run down the rows (NCHW) or along them (NHWC).
template <class T, bool kFiltersAreRows>
struct MatrixStore {
  T* at;
  Epilogue<T> epilogue;
  int64_t stride;

  void tile(int64_t i, int rows, int64_t j, int cols, const T* sums) const {
    for (int r = 0; r < rows; ++r, sums += kTileCols<T>) {
      const int64_t row = (i + r) * stride + j;
      for (int v = 0; v < cols; v += kLanes<T>) {
        const uint32_t lanes = first_lanes(min_of(cols - v, kLanes<T>));
        Vec<T> sum = Vec<T>::load(sums + v);
        if constexpr (kFiltersAreRows) {
          sum = epilogue.apply_along_pixels(sum, i + r, row + v, lanes);
        } else {
          sum = epilogue.apply_along_filters(sum, j + v, row + v, lanes);
        }
        sum.store_masked(at + row + v, lanes);
      }
    }
  }
};

// gemm_k of wgrad is summed in pieces of so many pixels, and the pieces in the levels of
// cpu/sums.h.
constexpr int64_t kPiecePixels = 4096;

static CK_INLINE int64_t pieces_of(int64_t pixels) { return ceil_div(pixels, kPiecePixels); }

// Where the pieces of a matrix of sums go: the lowest level lies in the matrix itself, the others
// elsewhere; none if there are too few pieces for them.
template <class T>
struct PieceLevels {
  int64_t pieces;
  int64_t elems;  // of the matrix
  T* upper;

  template <class Arena>
  static PieceLevels take(Arena& arena, int64_t pieces, int64_t elems) {
    const int64_t levels = pieces > kSumGroup ? kSumLevels - 1 : 0;
    return {pieces, elems, arena.template take<T>(levels * elems)};
  }
};

// Adds finished tiles of piece number `piece` to the part of the matrix that begins at `first`.
template <class T>
struct PieceStore {
  T* at;
  int64_t first, stride;
  PieceLevels<T> levels;
  int64_t piece;

  void tile(int64_t i, int rows, int64_t j, int cols, const T* sums) const {
    for (int r = 0; r < rows; ++r, sums += kTileCols<T>) {
      for (int v = 0; v < cols; v += kLanes<T>) {
        const int64_t index = first + (i + r) * stride + j + v;
        const uint32_t lanes = first_lanes(min_of(cols - v, kLanes<T>));
        const Vec<T> sum = Vec<T>::load(sums + v);
        if (levels.pieces == 1) {  // nothing to add to; of short sums the walk below is a tenth
          sum.store_masked(at + index, lanes);
        } else {
          add(index, lanes, sum);
        }
      }
    }
  }

 private:
  T* level_at(int level, int64_t index) const {
    return level == 0 ? at + index : levels.upper + (level - 1) * levels.elems + index;
  }
  void add(int64_t index, uint32_t lanes, Vec<T> sum) const {
    const bool last = piece + 1 == levels.pieces;
    int64_t before = piece;
    for (int level = 0;; ++level, before /= kSumGroup) {
      if (level_holds(level, before)) {
        sum = Vec<T>::load_masked(level_at(level, index), lanes) + sum;
      }
      if (level + 1 < kSumLevels && (last || (before + 1) % kSumGroup == 0)) continue;
      return sum.store_masked(level_at(last ? 0 : level, index), lanes);
    }
  }
};

static inline int threads_for(const Conv2dProblem& problem, int threads) {
  const int64_t filter = problem.c_per_group * problem.r * problem.s;
  return useful_threads(problem.n * problem.p * problem.q * problem.k * filter, threads);
}

template <class T>
struct MatrixPlan {
  static constexpr int64_t kBlockRows = 384, kBlockCols = 256;

  Layout layout;
  int64_t groups, filters, depth, pixels;  // filters and depth per group, pixels per image
  int threads;
  char* scratch;
  int64_t scratch_bytes;
  PieceLevels<T> levels;

  // wgrad comes `images` images at a time.
  MatrixPlan(const Conv2dProblem& problem, Direction direction, int64_t images, int thread_count,
             Arena& arena)
      : layout(problem.layout),
        groups(problem.groups),
        filters(problem.k_per_group),
        depth(problem.c_per_group * problem.r * problem.s),
        pixels(problem.p * problem.q),
        threads(threads_for(problem, thread_count)) {
    Arena counter(nullptr);
    GemmScratch<T>::take(counter, kBlockRows, kBlockCols, longest());
    scratch_bytes = counter.used_bytes();
    scratch = arena.take<char>(scratch_bytes * threads);
    if (direction != Direction::kWgrad || images == 0) return;
    const int64_t pieces = problem.n / images * pieces_of(images * pixels);
    levels = PieceLevels<T>::take(arena, pieces + pieces_of(problem.n % images * pixels),
                                  groups * filters * depth);
  }

  // y = epilogue(w cols), for `images` images.
  void forward(int64_t images, const T* w, ImageMatrix<const T> cols, ImageMatrix<T> y,
               Epilogue<T> epilogue) const {
    if (layout == Layout::kNCHW) {
      for_planes(filters, images,
                 [&](int64_t n, int64_t g, Span rows, Span span, const GemmScratch<T>& memory) {
                   const int64_t at = n * y.image_stride + g * y.group_stride;
                   const MatrixStore<T, true> store = {
                       y.at + at, epilogue_at(epilogue, g * filters, at), pixels};
                   gemm_block(rows, span, {0, depth},
                              RowsInPlace<T>{w + g * filters * depth, depth},
                              PanelsOfRows<T>{cols.image(n, g), pixels}, store, memory);
                 });
    } else {
      for_pixels(filters, images,
                 [&](int64_t g, Span rows, Span span, const GemmScratch<T>& memory) {
                   const int64_t at = g * y.group_stride;
                   const MatrixStore<T, false> store = {
                       y.at + at, epilogue_at(epilogue, g * filters, at), y.stride};
                   gemm_block(rows, span, {0, depth}, RowsInPlace<T>{cols.image(0, g), cols.stride},
                              PanelsOfColumns<T>{w + g * filters * depth, depth}, store, memory);
                 });
    }
  }

  // cols = w^T grad_y.
  void backward(int64_t images, const T* w, ImageMatrix<const T> grad_y,
                ImageMatrix<T> cols) const {
    if (layout == Layout::kNCHW) {
      for_planes(depth, images,
                 [&](int64_t n, int64_t g, Span rows, Span span, const GemmScratch<T>& memory) {
                   const MatrixStore<T, true> store = {cols.image(n, g), Epilogue<T>{}, pixels};
                   gemm_block(rows, span, {0, filters},
                              RowsTransposed<T>{w + g * filters * depth, depth},
                              PanelsOfRows<T>{grad_y.image(n, g), pixels}, store, memory);
                 });
    } else {
      for_pixels(depth, images, [&](int64_t g, Span rows, Span span, const GemmScratch<T>& memory) {
        const MatrixStore<T, false> store = {cols.image(0, g), Epilogue<T>{}, cols.stride};
        gemm_block(rows, span, {0, filters}, RowsInPlace<T>{grad_y.image(0, g), grad_y.stride},
                   PanelsOfRows<T>{w + g * filters * depth, depth}, store, memory);
      });
    }
  }

  // grad_w (+)= grad_y cols^T over `images` images, `pieces_before` having been added.
  void add_weight_gradient(int64_t images, int64_t pieces_before, ImageMatrix<const T> grad_y,
                           ImageMatrix<const T> cols, T* grad_w) const {
    const BlockGrid grid = block_grid<T>(filters, depth, kBlockRows, kBlockCols, groups, threads);
    run(grid, groups, [&](int64_t g, Span rows, Span span, const GemmScratch<T>& memory) {
      PieceStore<T> store = {grad_w, g * filters * depth, depth, levels, pieces_before};
      for (int64_t k = 0; k < images * pixels; k += kPiecePixels) {
        const Span piece = {k, min_of(k + kPiecePixels, images * pixels)};
        if (layout == Layout::kNCHW) {
          gemm_block(rows, span, piece,
                     RowsAcrossImages<T>{grad_y.image(0, g), grad_y.image_stride, pixels},
                     PanelsAcrossImages<T>{cols.image(0, g), cols.image_stride, pixels}, store,
                     memory);
        } else {
          gemm_block(rows, span, piece, RowsTransposed<T>{grad_y.image(0, g), grad_y.stride},
                     PanelsOfRows<T>{cols.image(0, g), cols.stride}, store, memory);
        }
        ++store.piece;
      }
    });
  }

 private:
  int64_t longest() const { return max_of(kPiecePixels, max_of(filters, depth)); }

  template <class Body>
  void run(const BlockGrid& grid, int64_t copies, const Body& body) const {
    const int64_t parts = grid.row_parts * grid.col_parts;
    run_tasks(copies * parts, threads, [&](int64_t task, int64_t worker) {
      const Span rows = grid.row_span(task % grid.row_parts);
      const Span cols = grid.col_span(task / grid.row_parts % grid.col_parts);
      if (rows.size() <= 0 || cols.size() <= 0) return;
      Arena memory(scratch + worker * scratch_bytes);
      body(task / parts, rows, cols,
           GemmScratch<T>::take(memory, kBlockRows, kBlockCols, longest()));
    });
  }
  template <class Body>
  void for_planes(int64_t rows, int64_t images, const Body& body) const {
    const BlockGrid grid =
        block_grid<T>(rows, pixels, kBlockRows, kBlockCols, images * groups, threads);
    run(grid, images * groups,
        [&](int64_t copy, Span row_span, Span col_span, const GemmScratch<T>& memory) {
          body(copy / groups, copy % groups, row_span, col_span, memory);
        });
  }
  template <class Body>
  void for_pixels(int64_t cols, int64_t images, const Body& body) const {
    run(block_grid<T>(images * pixels, cols, kBlockRows, kBlockCols, groups, threads), groups,
        body);
  }
};

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
