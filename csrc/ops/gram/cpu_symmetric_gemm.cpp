// gram.symmetric_gemm, cpu: G = F F^T by the packed product of cpu/gemm.h, of which only register
// tiles that reach the diagonal or below are computed; the rest is mirrored, so G is symmetric to
// the bit. Tiles are a few rows by two vectors, so little above the diagonal is computed in vain:
// 0.55 of all products at C = 512, 0.7 at C = 64.
// NCHW has F = (C, H*W) row by row: rows of A lie in place, panels of B are transposed. NHWC has
// F^T: the reverse.
// The gradient is (dG + dG^T) F: the sum is made once in the workspace, then it is a plain product.
// Order of each sum: gemm_k (pixels, or channels in the gradient) ascending as in cpu/gemm.h; then
// the division by C*H*W.
#include "cpu/operands.h"
#include "cpu/tasks.h"
#include "ops/gram/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

constexpr int64_t kBlock = 256;  // rows and columns of a block of G: its sums stay in L2

Reason supports(const GramProblem&, Direction) { return accepted(); }

template <class T>
struct GramStore {
  T* gram;
  int64_t c;
  T divisor;

  // Elements on or below the diagonal, and their mirror images.
  void tile(int64_t i, int rows, int64_t j, int cols, const T* sums) const {
    for (int64_t a = i; a < i + rows; ++a, sums += kTileCols<T>) {
      const int64_t end = min_of(j + cols, a + 1);
      for (int64_t b = j; b < end; ++b) gram[a * c + b] = gram[b * c + a] = sums[b - j] / divisor;
    }
  }
};

// gemm_block over rows x cols of G, but only the panels of each row tile that begin at or left of
// the diagonal.
template <class T, class A, class B>
void lower_block(Span rows, Span cols, int64_t depth, const A& a, const B& b,
                 const GramStore<T>& store, const GemmScratch<T>& scratch) {
  const int64_t panels = ceil_div(cols.size(), kTileCols<T>);
  const int64_t row_tiles = ceil_div(rows.size(), kTileRows);
  for (int64_t k = 0; k < depth; k += kDepthBlock) {
    const DepthStep step(Span{0, depth}, k);
    const int64_t length = step.end - k;
    const T* const right = b.panels(cols, k, length, scratch.panels);
    for (int64_t t = 0; t < row_tiles; ++t) {
      const Span span = share_of(rows, t, row_tiles);
      const int count = int(span.size());
      const RowTile<T> left = a.rows(span.begin, count, k, length, scratch.row_tile);
      int64_t at = (span.begin - rows.begin) * panels * kTileCols<T>;
      for (int64_t p = 0; p < panels; ++p, at += count * kTileCols<T>) {
        const int64_t j = cols.begin + p * kTileCols<T>;
        if (j >= span.end) break;
        const int64_t width = min_of(kTileCols<T>, min_of(cols.end, span.end) - j);
        const T* const sums = add_tile(step, tile_function<T>(count, width), count, left,
                                       right + p * length * kTileCols<T>, at, scratch);
        if (sums != nullptr) store.tile(span.begin, count, j, int(width), sums);
      }
    }
  }
}

// Blocks of the lower triangle of G, in rows of 1, 2, 3 ... blocks.
struct Triangle {
  int64_t side;   // of a block
  int64_t count;  // of blocks
};
template <class T>
Triangle cut_triangle(const GramProblem& p, int threads) {
  // No result depends on the cut: smaller blocks only where threads would wait.
  for (int64_t side = kBlock;; side /= 2) {
    const int64_t blocks = ceil_div(p.c, side), count = blocks * (blocks + 1) / 2;
    if (threads <= 1 || p.n * count >= 2 * int64_t(threads) || side <= kTileCols<T>) {
      return {side, count};
    }
  }
}

template <class T>
void gram(const GramProblem& p, const GramArrays& arrays, const Execution& execution) {
  const int64_t pixels = p.h * p.w;
  const Triangle cut = cut_triangle<T>(p, execution.threads);
  const int64_t side = min_of(cut.side, p.c);
  Arena count(nullptr);
  GemmScratch<T>::take(count, side, side, pixels);
  const int64_t worker_bytes = count.used_bytes();
  run_tasks(p.n * cut.count, execution.threads, [&](int64_t task, int64_t worker) {
    Arena arena(static_cast<char*>(execution.workspace) + worker * worker_bytes);
    const GemmScratch<T> scratch = GemmScratch<T>::take(arena, side, side, pixels);
    const int64_t image = task / cut.count;
    int64_t column = task % cut.count, row = 0;
    while (column > row) column -= ++row;
    const Span rows = {row * cut.side, min_of(p.c, (row + 1) * cut.side)};
    const Span cols = {column * cut.side, min_of(p.c, (column + 1) * cut.side)};
    const T* const x = static_cast<const T*>(arrays.x) + image * p.c * pixels;
    const GramStore<T> store = {static_cast<T*>(arrays.out) + image * p.c * p.c, p.c,
                                p.normalize ? T(p.c) * T(pixels) : T(1)};
    if (p.layout == Layout::kNCHW) {
      lower_block(rows, cols, pixels, RowsInPlace<T>{x, pixels}, PanelsOfColumns<T>{x, pixels},
                  store, scratch);
    } else {
      lower_block(rows, cols, pixels, RowsTransposed<T>{x, p.c}, PanelsOfRows<T>{x, p.c}, store,
                  scratch);
    }
  });
}

template <class T>
struct GradientStore {
  T* out;
  int64_t stride;
  T divisor;

  void tile(int64_t i, int rows, int64_t j, int cols, const T* sums) const {
    for (int a = 0; a < rows; ++a, sums += kTileCols<T>) {
      T* const to = out + (i + a) * stride + j;
      for (int b = 0; b < cols; ++b) to[b] = sums[b] / divisor;
    }
  }
};

// The product's cut: NCHW (C, C) x (C, H*W), NHWC (H*W, C) x (C, C).
template <class T>
BlockGrid gradient_grid(const GramProblem& p, int threads) {
  const int64_t pixels = p.h * p.w;
  return p.layout == Layout::kNCHW ? block_grid<T>(p.c, pixels, 2 * kBlock, kBlock, p.n, threads)
                                   : block_grid<T>(pixels, p.c, kBlock, 2 * kBlock, p.n, threads);
}

template <class T>
void gradient(const GramProblem& p, const GramArrays& arrays, const Execution& execution) {
  const int64_t pixels = p.h * p.w;
  const BlockGrid grid = gradient_grid<T>(p, execution.threads);
  Arena whole(execution.workspace);
  T* const sum = whole.take<T>(p.n * p.c * p.c);
  char* const rest = static_cast<char*>(execution.workspace) + whole.used_bytes();
  Arena count(nullptr);
  GemmScratch<T>::take(count, grid.max_rows(), grid.max_cols(), p.c);
  const int64_t worker_bytes = count.used_bytes();

  const T* const grad = static_cast<const T*>(arrays.grad);
  run_tasks(p.n * p.c, execution.threads, [&](int64_t row, int64_t) {
    const int64_t i = row % p.c;
    const T* const matrix = grad + (row - i) * p.c;
    for (int64_t j = 0; j < p.c; ++j) {
      sum[row * p.c + j] = matrix[i * p.c + j] + matrix[j * p.c + i];
    }
  });

  const int64_t blocks = grid.row_parts * grid.col_parts;
  run_tasks(p.n * blocks, execution.threads, [&](int64_t task, int64_t worker) {
    Arena arena(rest + worker * worker_bytes);
    const GemmScratch<T> scratch =
        GemmScratch<T>::take(arena, grid.max_rows(), grid.max_cols(), p.c);
    const int64_t image = task / blocks;
    const Span rows = grid.row_span(task % blocks / grid.col_parts);
    const Span cols = grid.col_span(task % grid.col_parts);
    const T* const x = static_cast<const T*>(arrays.x) + image * p.c * pixels;
    const T* const both = sum + image * p.c * p.c;
    const bool nchw = p.layout == Layout::kNCHW;
    const GradientStore<T> store = {static_cast<T*>(arrays.out) + image * p.c * pixels,
                                    nchw ? pixels : p.c, p.normalize ? T(p.c) * T(pixels) : T(1)};
    const RowsInPlace<T> left = nchw ? RowsInPlace<T>{both, p.c} : RowsInPlace<T>{x, p.c};
    const PanelsOfRows<T> right = nchw ? PanelsOfRows<T>{x, pixels} : PanelsOfRows<T>{both, p.c};
    gemm_block(rows, cols, Span{0, p.c}, left, right, store, scratch);
  });
}

template <class T>
int64_t bytes_for(const GramProblem& p, Direction direction, int threads) {
  const int64_t workers = max_of(1, threads);
  Arena worker(nullptr), whole(nullptr);
  if (direction == Direction::kFprop) {
    const int64_t side = min_of(cut_triangle<T>(p, threads).side, p.c);
    GemmScratch<T>::take(worker, side, side, p.h * p.w);
  } else {
    const BlockGrid grid = gradient_grid<T>(p, threads);
    GemmScratch<T>::take(worker, grid.max_rows(), grid.max_cols(), p.c);
    whole.take<T>(p.n * p.c * p.c);
  }
  return whole.used_bytes() + workers * worker.used_bytes();
}

int64_t workspace_bytes(const GramProblem& p, Direction direction, int threads) {
  if (p.n == 0) return 0;
  return p.dtype == DType::kFloat32 ? bytes_for<float>(p, direction, threads)
                                    : bytes_for<double>(p, direction, threads);
}

template <class T>
void run_typed(const GramProblem& p, Direction direction, const GramArrays& arrays,
               const Execution& execution) {
  if (direction == Direction::kFprop) {
    gram<T>(p, arrays, execution);
  } else {
    gradient<T>(p, arrays, execution);
  }
}

void run(const GramProblem& p, Direction direction, const GramArrays& arrays,
         const Execution& execution) {
  if (p.n == 0) return;
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace

extern const GramKernel gram_symmetric_gemm;
const GramKernel gram_symmetric_gemm = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
