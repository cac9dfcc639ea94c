// Tiles of a convolution of one plane with one filter: depthwise layers, edge filters. There is no
// second filter to share a load of the source with, so rows share it: a tile is kRows rows of one
// vector of outputs, and each shifted vector of a source row serves every row whose window holds
// it. Sources are read where they lie, under masks near the border; `kInside` tiles need none.
#pragma once

#include "ops/conv2d/cpu_direct_lines.h"

namespace ck {
namespace CK_ISA {
namespace direct {

// An image plane: element (row, col) is at[row * pitch + col].
template <class T>
struct Plane {
  const T* at;
  int64_t height, width;
};

// Which lanes the loads of one tile may touch; the same for all its rows. Outputs begin at column
// col + i * kStride, and those from `count` on see nothing.
template <class T, int kCols, int kStride>
struct TapLanes {
  uint32_t at[(kCols + 1) / kStride * kStride];

  CK_INLINE TapLanes(const Plane<T>& x, int64_t col, int64_t count) {
#pragma GCC unroll 8
    for (int s = 0; s < kCols; s += kStride) {
      int64_t first = col + s, end = smaller(x.width, first + count * kStride);
      at[s] = lanes_inside<T>(first, end);
      if (kStride == 2) at[s + 1] = lanes_inside<T>(first + kLanes<T>, end);
    }
  }
};

// The vectors of source row `row` that kCols taps see; zeros outside of the plane.
template <class T, int kCols, int kStride, bool kInside>
static CK_INLINE void load_taps(const Plane<T>& x, int64_t row, int64_t col,
                                const TapLanes<T, kCols, kStride>& lanes, Vec<T> (&taps)[kCols]) {
  typedef Vec<T> V;
  const T* line = x.at + row * x.width + col;
  if (!kInside && (row < 0 || row >= x.height)) {
#pragma GCC unroll 8
    for (int s = 0; s < kCols; ++s) taps[s] = V::zero();
    return;
  }
#pragma GCC unroll 8
  for (int s = 0; s < kCols; s += kStride) {
    V part = kInside ? V::load(line + s) : V::load_masked(line + s, lanes.at[s]);
    if constexpr (kStride == 1) {
      taps[s] = part;
    } else {
      const T* from = line + s + kLanes<T>;
      V next = kInside ? V::load(from) : V::load_masked(from, lanes.at[s + 1]);
      Pair<T> pair = split_pairs(part, next);
      taps[s] = pair.even;
      if (s + 1 < kCols) taps[s + 1] = pair.odd;
    }
  }
}

// Whether kCols taps of kLanes outputs, in `rows` source rows, lie within the plane.
template <class T, int kCols, int kStride>
static CK_INLINE bool taps_inside(const Plane<T>& x, int64_t row, int64_t rows, int64_t col) {
  constexpr int kLast = (kCols - 1) / kStride * kStride;
  return row >= 0 && row + rows <= x.height && col >= 0 &&
         col + kLast + kStride * kLanes<T> <= x.width;
}

// Rows of the next tile when `left` are to be done.
static inline int64_t next_rows(int64_t left) { return left >= 7 ? 7 : left >= 3 ? 3 : 1; }

// Outputs of kRows rows whose first window begins at (row, col) of the plane. Order: r, s.
template <class T, int kSide, int kStride, int kRows, bool kInside>
static void filter_tile(const Plane<T>& x, int64_t row, int64_t col, const Vec<T>* w, T* y,
                        int64_t y_row, int64_t count) {
  Vec<T> sum[kRows];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) sum[i] = Vec<T>::zero();
  TapLanes<T, kSide, kStride> lanes(x, col, kLanes<T>);
#pragma GCC unroll 32
  for (int h = 0; h < (kRows - 1) * kStride + kSide; ++h) {
    Vec<T> taps[kSide];
    load_taps<T, kSide, kStride, kInside>(x, row + h, col, lanes, taps);
#pragma GCC unroll 8
    for (int s = 0; s < kSide; ++s) {
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        int r = h - i * kStride;
        if (r >= 0 && r < kSide) sum[i] = multiply_add(taps[s], w[r * kSide + s], sum[i]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) sum[i].store_first(y + i * y_row, count);
}

template <class T, int kSide, int kStride, int kRows>
static void filter_row(const Plane<T>& x, int64_t row, int64_t col, const Vec<T>* w, T* y,
                       int64_t cols) {
  constexpr int64_t W = kLanes<T>;
  for (int64_t j = 0; j < cols; j += W) {
    int64_t at = col + j * kStride;
    if (taps_inside<T, kSide, kStride>(x, row, (kRows - 1) * kStride + kSide, at)) {
      filter_tile<T, kSide, kStride, kRows, true>(x, row, at, w, y + j, cols, cols - j);
    } else {
      filter_tile<T, kSide, kStride, kRows, false>(x, row, at, w, y + j, cols, cols - j);
    }
  }
}

// Filters rows [begin, end) of the output, of `cols` columns. The window of output (0, 0) begins at
// (-pad_top, -pad_left).
template <class T, int kSide, int kStride>
static void filter_plane(const Plane<T>& x, int64_t pad_top, int64_t pad_left, const Vec<T>* w,
                         T* y, int64_t begin, int64_t end, int64_t cols) {
  for (int64_t i = begin, rows; i < end; i += rows) {
    rows = next_rows(end - i);
    auto filter = rows == 7   ? filter_row<T, kSide, kStride, 7>
                  : rows == 3 ? filter_row<T, kSide, kStride, 3>
                              : filter_row<T, kSide, kStride, 1>;
    filter(x, i * kStride - pad_top, -pad_left, w, y + i * cols, cols);
  }
}

// Gradient of a plane for stride 2. Pixels 2i and 2i + 1 of a side meet the taps of one parity
// each, at rows of grad_y that differ by whole steps: kOdd is the padding's parity, which decides
// which. A tile is 2 * kRows rows of two vectors, woven together at the store. Order: r, s.
template <class T, int kSide, int kOdd, int kRows, bool kInside>
static void spread_tile(const Plane<T>& y, int64_t row, int64_t col, const Vec<T>* w, T* x,
                        int64_t x_row, int64_t rows, int64_t count) {
  typedef Vec<T> V;
  constexpr int kFirst = -((kSide - 1 - kOdd) / 2);  // of the steps, relative to i
  constexpr int kSteps = (1 + kOdd) / 2 - kFirst + 1;
  V sum[kRows][2][2];
#pragma GCC unroll 8
  for (int i = 0; i < kRows * 4; ++i) sum[i / 4][i / 2 % 2][i % 2] = V::zero();
  TapLanes<T, kSteps, 1> lanes(y, col + kFirst, kLanes<T>);
#pragma GCC unroll 8
  for (int g = kSteps + kRows - 2; g >= 0; --g) {
    V seen[kSteps];
    load_taps<T, kSteps, 1, kInside>(y, row + kFirst + g, col + kFirst, lanes, seen);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
      for (int r = 0; r < kSide; ++r) {
        constexpr int kEven = 16;  // keeps the halves below of whole, positive numbers
        int a = (r + kOdd) % 2;
        if ((a + kOdd - r + kEven) / 2 - kEven / 2 != g + kFirst - i) continue;
#pragma GCC unroll 8
        for (int s = 0; s < kSide; ++s) {
          int b = (s + kOdd) % 2, step = (b + kOdd - s + kEven) / 2 - kEven / 2 - kFirst;
          sum[i][a][b] = multiply_add(seen[step], w[r * kSide + s], sum[i][a][b]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int h = 0; h < 2 * kRows; ++h) {
    if (h >= rows) break;
    Pair<T> pair = join_pairs(sum[h / 2][h % 2][0], sum[h / 2][h % 2][1]);
    pair.even.store_first(x + h * x_row, count);
    if (count > kLanes<T>) pair.odd.store_first(x + h * x_row + kLanes<T>, count - kLanes<T>);
  }
}

// Rows [2 * begin, 2 * end) of the gradient, as far as it has them.
template <class T, int kSide, int kOdd>
static void spread_plane(const Plane<T>& y, int64_t pad_top, int64_t pad_left, const Vec<T>* w,
                         T* x, int64_t begin, int64_t end, int64_t height, int64_t width) {
  constexpr int64_t W = kLanes<T>;
  constexpr int kRows = 2, kReach = kSide / 2 + 1;
  for (int64_t i = begin; i < end; i += kRows) {
    int64_t row = i + pad_top / 2, rows = smaller(height, 2 * end) - 2 * i;
    for (int64_t j = 0; j < width; j += 2 * W) {
      int64_t col = j / 2 + pad_left / 2;
      bool inside = row >= kReach && row + kRows + kReach <= y.height && col >= kReach &&
                    col + W + kReach <= y.width;
      auto spread = inside ? spread_tile<T, kSide, kOdd, kRows, true>
                           : spread_tile<T, kSide, kOdd, kRows, false>;
      spread(y, row, col, w, x + 2 * i * width + j, width, rows, width - j);
    }
  }
}

// Adds to sum[r * kSide + s] the products of kRows rows of grad_y with what they saw.
template <class T, int kSide, int kStride, int kRows, bool kInside>
static CK_INLINE void weight_tile(const Plane<T>& x, int64_t row, int64_t col, const T* y,
                                  int64_t y_row, int64_t count, Vec<T> (&sum)[kSide * kSide]) {
  Vec<T> grad[kRows];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    grad[i] = kInside ? Vec<T>::load(y + i * y_row) : Vec<T>::load_first(y + i * y_row, count);
  }
  // Without `count` x may hold a NaN beyond the last column, which no tap sees.
  TapLanes<T, kSide, kStride> lanes(x, col, count);
#pragma GCC unroll 32
  for (int h = 0; h < (kRows - 1) * kStride + kSide; ++h) {
    Vec<T> taps[kSide];
    load_taps<T, kSide, kStride, kInside>(x, row + h, col, lanes, taps);
#pragma GCC unroll 8
    for (int s = 0; s < kSide; ++s) {
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        int r = h - i * kStride;
        if (r >= 0 && r < kSide) {
          sum[r * kSide + s] = multiply_add(taps[s], grad[i], sum[r * kSide + s]);
        }
      }
    }
  }
}

template <class T, int kSide, int kStride, int kRows>
static void weight_row(const Plane<T>& x, int64_t row, int64_t col, const T* y, int64_t y_row,
                       int64_t cols, Vec<T>* sums) {
  constexpr int64_t W = kLanes<T>;
  Vec<T> sum[kSide * kSide];
#pragma GCC unroll 32
  for (int t = 0; t < kSide * kSide; ++t) sum[t] = sums[t];
  for (int64_t j = 0; j < cols; j += W) {
    int64_t at = col + j * kStride, count = smaller(W, cols - j);
    if (count == W && taps_inside<T, kSide, kStride>(x, row, (kRows - 1) * kStride + kSide, at)) {
      weight_tile<T, kSide, kStride, kRows, true>(x, row, at, y + j, y_row, count, sum);
    } else {
      weight_tile<T, kSide, kStride, kRows, false>(x, row, at, y + j, y_row, count, sum);
    }
  }
#pragma GCC unroll 32
  for (int t = 0; t < kSide * kSide; ++t) sums[t] = sum[t];
}

// Adds a patch of grad_y, of y_row columns, to sums[r * kSide + s], lane by lane.
template <class T, int kSide, int kStride>
static void weigh_plane(const Plane<T>& x, int64_t pad_top, int64_t pad_left, const T* y,
                        int64_t y_row, const Patch& patch, Vec<T>* sums) {
  int64_t col = patch.col * kStride - pad_left;
  for (int64_t i = patch.row, rows; i < patch.row_end; i += rows) {
    rows = next_rows(patch.row_end - i);
    auto weigh = rows == 7   ? weight_row<T, kSide, kStride, 7>
                 : rows == 3 ? weight_row<T, kSide, kStride, 3>
                             : weight_row<T, kSide, kStride, 1>;
    weigh(x, i * kStride - pad_top, col, y + i * y_row + patch.col, y_row, patch.cols, sums);
  }
}

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
