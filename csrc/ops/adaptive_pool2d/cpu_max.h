// Maxima of adaptive pools and their gradient; how stands in cpu_direct.cpp.
#pragma once

#include "ops/adaptive_pool2d/cpu_grid.h"
#include "ops/pool2d/cpu_windows.h"

namespace ck {
namespace CK_ISA {
namespace {

// A maximum over planes.
template <class T>
class PlaneMax {
 public:
  static int64_t units(const Grid& g) { return g.planes * g.rows; }
  static PlaneMax take(Arena& arena, const Grid& g) {
    PlaneMax self;
    const int64_t row = round_up(g.source_columns, kLanes<T>);
    self.best_ = arena.take<T>(row);
    self.row_ = arena.take<Place<T>>(row);
    self.last_ = arena.take<T>(most_rows(g) * kLanes<T>);
    self.values_ = arena.take<const T*>(most_rows(g));
    self.shifts_ = arena.take<Place<T>>(most_rows(g));
    self.columns_ = arena.take<Span>(g.columns);
    return self;
  }

  void run(const Grid& g, const Pool2dArrays& arrays, Span units) {
    find_columns(g, columns_);
    for (int64_t i = 0; i < most_rows(g); ++i) shifts_[i] = Place<T>(i);
    for_each_plane(g, units, [&](int64_t plane, Span rows) {
      const T* const x = static_cast<const T*>(arrays.x) + plane * g.source_rows * g.source_columns;
      for (int64_t i = rows.begin; i < rows.end; ++i) {
        const int64_t at = (plane * g.rows + i) * g.columns;
        const Span span = rows_of(g, i);
        reduce_rows(g, x + span.begin * g.source_columns, span.size());
        reduce_columns(g, span.begin, static_cast<T*>(arrays.out) + at,
                       arrays.indices_out == nullptr ? nullptr : arrays.indices_out + at);
      }
    });
  }

 private:
  // max_of_rows reads whole vectors: what is left of a row is copied to where there are such.
  void reduce_rows(const Grid& g, const T* x, int64_t rows) {
    const int64_t whole = g.source_columns / kLanes<T> * kLanes<T>;
    for (int64_t i = 0; i < rows; ++i) values_[i] = x + i * g.source_columns;
    max_of_rows<T, true, false>(rows, values_, nullptr, shifts_, whole, best_, row_);
    if (whole == g.source_columns) return;
    for (int64_t i = 0; i < rows; ++i) {
      Vec<T>::load_first(values_[i] + whole, g.source_columns - whole).store(last_ + i * kLanes<T>);
      values_[i] = last_ + i * kLanes<T>;
    }
    max_of_rows<T, true, false>(rows, values_, nullptr, shifts_, kLanes<T>, best_ + whole,
                                row_ + whole);
  }

  // The first pixel of all counts: of equal ones that of the earlier row, then column; a NaN stands
  // above all numbers, and equals other NaNs.
  void reduce_columns(const Grid& g, int64_t first_row, T* y, int64_t* indices) {
    for (int64_t j = 0; j < g.columns; ++j) {
      const Span span = columns_[j];
      int64_t column = span.begin;
      T best = best_[column];
      Place<T> row = row_[column];
      for (int64_t w = span.begin + 1; w < span.end; ++w) {
        const T value = best_[w];
        const bool larger = value > best || (value != value && best == best);
        const bool equal = value == best || (value != value && best != best);
        if (larger || (equal && row_[w] < row)) best = value, row = row_[w], column = w;
      }
      y[j] = best;
      if (indices != nullptr) indices[j] = (first_row + row) * g.source_columns + column;
    }
  }

  T* best_;        // of each column
  Place<T>* row_;  // and the row, of the window, that it came from
  T* last_;
  const T** values_;
  Place<T>* shifts_;
  Span* columns_;
};

// A maximum over images whose channels are neighbours.
template <class T, bool kIndexed>
class ImageMax {
 public:
  static int64_t units(const Grid& g) { return g.planes * g.rows; }
  static ImageMax take(Arena& arena, const Grid& g) {
    return {Taps<T>::take(arena, most_rows(g) * most_columns(g)), arena.take<Span>(g.columns)};
  }

  void run(const Grid& g, const Pool2dArrays& arrays, Span units) {
    find_columns(g, columns_);
    Pool2dProblem window{};  // as far as Taps asks
    window.w = g.source_columns, window.dilation_h = window.dilation_w = 1;
    Span set = {0, 0};
    for_each_plane(g, units, [&](int64_t plane, Span rows) {
      const T* const x =
          static_cast<const T*>(arrays.x) + plane * g.source_rows * g.source_columns * g.width;
      for (int64_t i = rows.begin; i < rows.end; ++i) {
        const Span height = rows_of(g, i);
        for (int64_t j = 0; j < g.columns; ++j) {
          const Span width = columns_[j];
          if (height.size() != set.begin || width.size() != set.end) {
            taps_.set(window, g.width, {0, height.size()}, {0, width.size()});
            set = {height.size(), width.size()};
          }
          const int64_t at = ((plane * g.rows + i) * g.columns + j) * g.width;
          const int64_t corner = height.begin * g.source_columns + width.begin;
          max_of_window<T, kIndexed, 0>(x + corner * g.width, taps_, g.width,
                                        static_cast<T*>(arrays.out) + at,
                                        kIndexed ? arrays.indices_out + at : nullptr, corner);
        }
      }
    });
  }

  Taps<T> taps_;
  Span* columns_;
};

// A maximum's gradient.
template <class T>
class MaxGradient {
 public:
  static int64_t units(const Grid& g) { return g.planes * g.rows; }
  static MaxGradient take(Arena& arena, const Grid& g) {
    MaxGradient self;
    self.gathers_ = most_rows(g) * most_columns(g) > kChain;
    self.columns_ = arena.take<Span>(self.gathers_ ? g.columns : g.source_columns);
    self.rows_ = arena.take<Span>(self.gathers_ ? 0 : g.source_rows);
    return self;
  }

  void run(const Grid& g, const Pool2dArrays& arrays, Span units) {
    if (gathers_) {
      find_columns(g, columns_);
    } else {
      find_holders(g, columns_);
      for (int64_t i = 0; i < g.source_rows; ++i) {
        const AdaptiveRange range = adaptive_range(i, g.rows, g.source_rows);
        rows_[i] = {range.begin, range.end};
      }
    }
    const int64_t row = g.columns * g.width;
    T* const out = static_cast<T*>(arrays.out);
    // Small planes lie side by side: one run of zeros for all.
    const bool at_once = !gathers_ && units.size() * row * int64_t(sizeof(T)) <= kZeroBytes;
    if (at_once) zero(out + units.begin * row, units.size() * row);
    for_each_plane(g, units, [&](int64_t plane, Span rows) {
      const int64_t at = plane * g.source_rows * g.source_columns * g.width;
      const T* const grad_y = static_cast<const T*>(arrays.y) + at;
      T* const grad_x = out + plane * g.rows * row;
      if (gathers_) {
        gather(g, grad_y, arrays.indices_in + at, rows, grad_x);
        return;
      }
      if (!at_once) zero(grad_x + rows.begin * row, rows.size() * row);
      if (g.width == 1) {
        scatter<1>(g, grad_y, arrays.indices_in + at, rows, grad_x);
      } else {
        scatter<0>(g, grad_y, arrays.indices_in + at, rows, grad_x);
      }
    });
  }

 private:
  static constexpr int64_t kZeroBytes = int64_t(256) << 10;  // stay in L2

  static void zero(T* to, int64_t count) { __builtin_memset(to, 0, uint64_t(count) * sizeof(T)); }

  // n % d for 32-bit numbers with inverse = 2**64 / d, rounded up (Lemire, Kaser and Kurz 2019).
  static CK_INLINE int64_t remainder(uint64_t n, uint64_t d, uint64_t inverse) {
    return int64_t((unsigned __int128)(inverse * n) * d >> 64);
  }

  template <int kWidth>
  void scatter(const Grid& g, const T* grad_y, const int64_t* indices, Span band, T* grad_x) {
    const int64_t width = kWidth > 0 ? kWidth : g.width;
    const uint64_t columns = uint64_t(g.columns), inverse = UINT64_MAX / columns + 1;
    const bool small = g.rows * g.columns <= UINT32_MAX;
    const bool all = band.size() == g.rows;
    const Span windows = {all ? 0 : rows_of(g, band.begin).begin,
                          all ? g.source_rows : rows_of(g, band.end - 1).end};
    for (int64_t i = windows.begin; i < windows.end; ++i) {
      const Span held = rows_[i];
      const Span rows = {max_of(held.begin, band.begin), min_of(held.end, band.end)};
      const uint64_t first = uint64_t(rows.begin * g.columns);
      const uint64_t count = uint64_t(rows.size() * g.columns);
      for (int64_t j = 0; j < g.source_columns; ++j) {
        const int64_t at = (i * g.source_columns + j) * width;
        for (int64_t c = 0; c < width; ++c) {
          const uint64_t index = uint64_t(indices[at + c]);
          if (index - first >= count) continue;  // any int64 may stand in a user's array
          const int64_t column =
              small ? remainder(index, columns, inverse) : int64_t(index % columns);
          if (column < columns_[j].begin || column >= columns_[j].end) continue;
          grad_x[int64_t(index) * width + c] += grad_y[at + c];
        }
      }
    }
  }

  void gather(const Grid& g, const T* grad_y, const int64_t* indices, Span band, T* grad_x) {
    for (int64_t h = band.begin; h < band.end; ++h) {
      const Span rows = rows_of(g, h);
      for (int64_t w = 0; w < g.columns; ++w) {
        const Span columns = columns_[w];
        const int64_t pixel = h * g.columns + w;
        for (int64_t c = 0; c < g.width; ++c) {
          LongSum<T> sum;
          for (int64_t i = rows.begin; i < rows.end; ++i) {
            for (int64_t j = columns.begin; j < columns.end; ++j) {
              const int64_t at = (i * g.source_columns + j) * g.width + c;
              if (indices[at] == pixel) sum.add(grad_y[at]);
            }
          }
          grad_x[pixel * g.width + c] = sum.total();
        }
      }
    }
  }

  bool gathers_;
  Span* columns_;  // of each pixel the windows that hold it, or of each window its pixels
  Span* rows_;     // of each window row its pixels
};

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
