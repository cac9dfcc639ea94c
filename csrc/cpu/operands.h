// Matrices as operands of gemm_block, and the packing they share: transposition, and weights packed
// once per call.
#pragma once

#include <cstdint>

#include "cpu/gemm.h"
#include "cpu/vec.h"

namespace ck {
namespace CK_ISA {

// a0 b0 a1 b1 ...: lower halves in `low`, upper in `high`.
template <class T>
static CK_INLINE void zip(Vec<T> a, Vec<T> b, Vec<T>* low, Vec<T>* high) {
  if constexpr (kLanes<T> == 16) {
    low->raw = __builtin_shufflevector(a.raw, b.raw, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6,
                                       22, 7, 23);
    high->raw = __builtin_shufflevector(a.raw, b.raw, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
                                        14, 30, 15, 31);
  } else if constexpr (kLanes<T> == 8) {
    low->raw = __builtin_shufflevector(a.raw, b.raw, 0, 8, 1, 9, 2, 10, 3, 11);
    high->raw = __builtin_shufflevector(a.raw, b.raw, 4, 12, 5, 13, 6, 14, 7, 15);
  } else if constexpr (kLanes<T> == 4) {
    low->raw = __builtin_shufflevector(a.raw, b.raw, 0, 4, 1, 5);
    high->raw = __builtin_shufflevector(a.raw, b.raw, 2, 6, 3, 7);
  } else {
    low->raw = __builtin_shufflevector(a.raw, b.raw, 0, 2);
    high->raw = __builtin_shufflevector(a.raw, b.raw, 1, 3);
  }
}

// Lanes 0, 2, 4, ... of a, then of b.
template <class T>
static CK_INLINE Vec<T> even_lanes(Vec<T> a, Vec<T> b) {
  if constexpr (kLanes<T> == 16) {
    return {__builtin_shufflevector(a.raw, b.raw, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26,
                                    28, 30)};
  } else if constexpr (kLanes<T> == 8) {
    return {__builtin_shufflevector(a.raw, b.raw, 0, 2, 4, 6, 8, 10, 12, 14)};
  } else if constexpr (kLanes<T> == 4) {
    return {__builtin_shufflevector(a.raw, b.raw, 0, 2, 4, 6)};
  } else {
    return {__builtin_shufflevector(a.raw, b.raw, 0, 2)};
  }
}

// Square of kLanes: each round of zips rotates the bits of (row, lane) by one, and log2(kLanes)
// rounds swap them.
template <class T>
static CK_INLINE void transpose_square(Vec<T>* v) {
  constexpr int kHalf = kLanes<T> / 2;
#pragma GCC unroll 4
  for (int round = 1; round < kLanes<T>; round *= 2) {
    Vec<T> next[kLanes<T>];
#pragma GCC unroll 8
    for (int i = 0; i < kHalf; ++i) zip(v[i], v[i + kHalf], &next[2 * i], &next[2 * i + 1]);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i) v[i] = next[i];
  }
}

// to[j * to_stride + i] = from[i * from_stride + j] for i < rows, j < cols.
template <class T>
static void transpose(const T* from, int64_t from_stride, int64_t rows, int64_t cols, T* to,
                      int64_t to_stride) {
  constexpr int kSide = kLanes<T>;
  for (int64_t j = 0; j < cols; j += kSide) {
    for (int64_t i = 0; i < rows; i += kSide) {
      Vec<T> v[kSide];
      const T* source = from + i * from_stride + j;
      T* target = to + j * to_stride + i;
      const int64_t height = min_of(kSide, rows - i), width = min_of(kSide, cols - j);
      if (height == kSide && width == kSide) {
#pragma GCC unroll 16
        for (int n = 0; n < kSide; ++n) v[n] = Vec<T>::load(source + n * from_stride);
        transpose_square(v);
#pragma GCC unroll 16
        for (int n = 0; n < kSide; ++n) v[n].store(target + n * to_stride);
        continue;
      }
      for (int n = 0; n < kSide; ++n) {
        v[n] = n < height ? Vec<T>::load_first(source + n * from_stride, width) : Vec<T>::zero();
      }
      transpose_square(v);
      for (int n = 0; n < width; ++n) v[n].store_first(target + n * to_stride, height);
    }
  }
}

template <class T>
static CK_INLINE void copy_run(const T* from, int64_t count, T* to) {
  int64_t i = 0;
  for (; i + kLanes<T> <= count; i += kLanes<T>) Vec<T>::load(from + i).store(to + i);
  if (i < count) {
    const uint32_t lanes = first_lanes(count - i);
    Vec<T>::load_masked(from + i, lanes).store_masked(to + i, lanes);
  }
}

template <class T>
static CK_INLINE Vec<T> load_available(const T* from, int64_t available) {
  return available > 0 ? Vec<T>::load_first(from, available) : Vec<T>::zero();
}

// to[j] = from[j * stride] for j < count; `from` has (count - 1) * stride + 1 elements that may be
// read.
template <class T>
static void copy_every(const T* from, int64_t stride, int64_t count, T* to) {
  constexpr int kStep = kLanes<T>;
  if (stride == 1) {
    copy_run(from, count, to);
  } else if (stride == 2 || stride == 4) {
    int64_t available = (count - 1) * stride + 1;
    for (int64_t j = 0; j < count; j += kStep) {
      Vec<T> v = even_lanes(load_available(from, available),
                            load_available(from + kStep, available - kStep));
      if (stride == 4) {
        v = even_lanes(v, even_lanes(load_available(from + 2 * kStep, available - 2 * kStep),
                                     load_available(from + 3 * kStep, available - 3 * kStep)));
      }
      v.store_first(to + j, count - j);
      from += kStep * stride;
      available -= kStep * stride;
    }
  } else {
    for (int64_t j = 0; j < count; ++j) to[j] = from[j * stride];
  }
}

template <class T>
static CK_INLINE void zero_run(T* to, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes<T> <= count; i += kLanes<T>) Vec<T>::zero().store(to + i);
  if (i < count) Vec<T>::zero().store_masked(to + i, first_lanes(count - i));
}

// A where it lies: row i begins at at + i * stride, gemm_k contiguous.
template <class T>
struct RowsInPlace {
  const T* at;
  int64_t stride;

  RowTile<T> rows(int64_t i, int, int64_t k, int64_t, T*) const {
    return {at + i * stride + k, stride};
  }
};

// A whose columns are contiguous: element (i, k) at at[k * stride + i].
template <class T>
struct RowsTransposed {
  const T* at;
  int64_t stride;

  RowTile<T> rows(int64_t i, int count, int64_t k, int64_t depth, T* space) const {
    transpose(at + k * stride + i, stride, depth, count, space, int64_t(kPackedRow<T>));
    return {space, kPackedRow<T>};
  }
};

// A packed beforehand: [block of gemm_k][row][kPackedRow]. gemm_k counts from 0.
template <class T>
struct PackedRows {
  T* at;
  int64_t count;

  static int64_t elems(int64_t rows, int64_t depth) {
    return ceil_div(depth, kDepthBlock) * rows * kPackedRow<T>;
  }
  T* row(int64_t block, int64_t i) const { return at + (block * count + i) * kPackedRow<T>; }
  RowTile<T> rows(int64_t i, int, int64_t k, int64_t, T*) const {
    return {row(k / kDepthBlock, i), kPackedRow<T>};
  }
};

// B whose rows are contiguous: element (k, j) at at[k * stride + j].
template <class T>
struct PanelsOfRows {
  const T* at;
  int64_t stride;

  const T* panels(Span cols, int64_t k, int64_t depth, T* space) const {
    T* to = space;
    for (int64_t j = cols.begin; j < cols.end; j += kTileCols<T>) {
      const int64_t width = min_of(kTileCols<T>, cols.end - j);
      const T* from = at + k * stride + j;
      if (width == kTileCols<T>) {
        for (int64_t d = 0; d < depth; ++d, from += stride, to += kTileCols<T>) {
          for (int v = 0; v < kTileVecs; ++v) {
            Vec<T>::load(from + v * kLanes<T>).store(to + v * kLanes<T>);
          }
        }
      } else {
        const int64_t low = min_of(width, kLanes<T>), high = width - low;
        for (int64_t d = 0; d < depth; ++d, from += stride, to += kTileCols<T>) {
          Vec<T>::load_first(from, low).store(to);
          if (high > 0) Vec<T>::load_first(from + low, high).store(to + kLanes<T>);
        }
      }
    }
    return space;
  }
};

// B whose columns are contiguous: element (k, j) at at[j * stride + k].
template <class T>
struct PanelsOfColumns {
  const T* at;
  int64_t stride;

  const T* panels(Span cols, int64_t k, int64_t depth, T* space) const {
    T* to = space;
    for (int64_t j = cols.begin; j < cols.end; j += kTileCols<T>, to += depth * kTileCols<T>) {
      transpose(at + j * stride + k, stride, min_of(kTileCols<T>, cols.end - j), depth, to,
                int64_t(kTileCols<T>));
    }
    return space;
  }
};

// B packed beforehand: [block of gemm_k][panel][depth of the block][kTileCols]. Block tiles begin
// at whole panels.
template <class T>
struct PackedPanels {
  T* at;
  int64_t cols;

  static int64_t elems(int64_t cols, int64_t depth) { return depth * round_up(cols, kTileCols<T>); }
  // Panel `j / kTileCols` of the block that begins at k and is `depth` long.
  T* panel(int64_t k, int64_t depth, int64_t j) const {
    return at + k * round_up(cols, kTileCols<T>) + j * depth;
  }
  const T* panels(Span span, int64_t k, int64_t depth, T*) const {
    return panel(k, depth, span.begin);
  }
};

// How C is cut into tasks. Row parts are any rows; column parts are whole panels.
struct BlockGrid {
  int64_t rows, cols, panel;  // of C; columns of a panel
  int64_t row_parts, col_parts;

  Span row_span(int64_t part) const { return share_of({0, rows}, part, row_parts); }
  Span col_span(int64_t part) const {
    const Span panels = share_of({0, ceil_div(cols, panel)}, part, col_parts);
    return {panels.begin * panel, min_of(panels.end * panel, cols)};
  }
  int64_t max_rows() const { return ceil_div(rows, row_parts); }
  int64_t max_cols() const { return ceil_div(ceil_div(cols, panel), col_parts) * panel; }
};

// Blocks of at most max_rows x max_cols; smaller ones where `copies` such products give `threads`
// too few tasks.
template <class T>
static BlockGrid block_grid(int64_t rows, int64_t cols, int64_t max_rows, int64_t max_cols,
                            int64_t copies, int threads) {
  BlockGrid grid = {rows, cols, kTileCols<T>, 1, 1};
  const int64_t panels = max_of(1, ceil_div(cols, kTileCols<T>));
  grid.row_parts = max_of(1, ceil_div(rows, max_rows));
  grid.col_parts = max_of(1, ceil_div(panels, max_of(1, max_cols / kTileCols<T>)));
  if (threads > 1) {
    const int64_t wanted = 4 * int64_t(threads);
    if (copies * grid.row_parts * grid.col_parts < wanted) {
      const int64_t parts = ceil_div(wanted, copies * grid.row_parts);
      grid.col_parts = max_of(grid.col_parts, min_of(parts, ceil_div(panels, 2)));
    }
    if (copies * grid.row_parts * grid.col_parts < wanted) {
      const int64_t parts = ceil_div(wanted, copies * grid.col_parts);
      grid.row_parts = max_of(grid.row_parts, min_of(parts, ceil_div(rows, 2 * kTileRows)));
    }
  }
  return grid;
}

}  // namespace CK_ISA
}  // namespace ck
