// Averages of adaptive pools and their gradients; how stands in cpu_direct.cpp.
#pragma once

#include "ops/adaptive_pool2d/cpu_grid.h"

namespace ck {
namespace CK_ISA {
namespace {

template <class T>
CK_INLINE T sum_of_vectors(const T* from, int64_t count) {
  return sum_of_lanes(sum_of_chains<T>(ceil_div(count, kLanes<T>), [&](int64_t first, int64_t end) {
    Vec<T> sum = Vec<T>::zero();
    for (int64_t v = first; v < end; ++v)
      sum = sum + Vec<T>::load_first(from + v * kLanes<T>, count - v * kLanes<T>);
    return sum;
  }));
}

// The sum of at least one number.
template <class T>
T sum_of_run(const T* from, int64_t count) {
  static_assert(4 * kLanes<T> <= kChain);
  if (count < 4 * kLanes<T>) {
    T sum = from[0];
    for (int64_t i = 1; i < count; ++i) sum += from[i];
    return sum;
  }
  return sum_of_vectors(from, count);
}

// Both directions of an average: the image is added up and then divided, gradients are divided and
// then added up.
template <class T, bool kGradient>
class Average {
 public:
  static int64_t units(const Grid& g) { return g.planes * g.rows; }
  static Average take(Arena& arena, const Grid& g) {
    Average self;
    const int64_t row = g.source_columns * g.width;
    self.sums_ = arena.take<T>(row);
    self.shares_ = arena.take<T>(kGradient ? most_rows(g) * row : 0);
    self.columns_ = arena.take<Span>(g.columns);
    self.widths_ = arena.take<T>(kGradient ? g.source_columns : 0);
    self.sources_ = arena.take<const T*>(max_of(most_rows(g), most_columns(g)));
    return self;
  }

  void run(const Grid& g, const Pool2dArrays& arrays, Span units) {
    find_columns(g, columns_);
    for (int64_t j = 0; kGradient && j < g.source_columns; ++j) {
      const AdaptiveRange pixels = adaptive_range(j, g.columns, g.source_columns);
      widths_[j] = T(pixels.end - pixels.begin);
    }
    const int64_t source = g.source_rows * g.source_columns * g.width;
    const int64_t row = g.columns * g.width;
    for_each_plane(g, units, [&](int64_t plane, Span rows) {
      const T* const from = static_cast<const T*>(kGradient ? arrays.y : arrays.x) + plane * source;
      T* const to = static_cast<T*>(arrays.out) + plane * g.rows * row;
      Span before = {-1, -1};
      for (int64_t i = rows.begin; i < rows.end; ++i) {
        const Span span = rows_of(g, i);
        if (span.begin == before.begin && span.end == before.end) {
          move(to + i * row, to + (i - 1) * row, row);
        } else {
          add_rows(g, from, span);
          add_columns(g, T(span.size()), to + i * row);
        }
        before = span;
      }
    });
  }

 private:
  void add_rows(const Grid& g, const T* from, Span span) {
    const int64_t row = g.source_columns * g.width;
    for (int64_t i = 0; i < span.size(); ++i) {
      sources_[i] = from + (span.begin + i) * row;
      if (!kGradient) continue;
      T* const shares = shares_ + i * row;
      const AdaptiveRange held = adaptive_range(span.begin + i, g.rows, g.source_rows);
      const T height = T(held.end - held.begin);
      if (g.width == 1) {
        for (int64_t j = 0; j < row; ++j) shares[j] = sources_[i][j] / (height * widths_[j]);
      } else {
        for (int64_t j = 0; j < g.source_columns; ++j) {
          const T area = height * widths_[j];
          const int64_t end = (j + 1) * g.width;
          for (int64_t c = j * g.width; c < end; ++c) shares[c] = sources_[i][c] / area;
        }
      }
      sources_[i] = shares;
    }
    sum_of_rows(span.size(), sources_, row, sums_);
  }

  void add_columns(const Grid& g, T height, T* to) {
    for (int64_t j = 0; j < g.columns; ++j, to += g.width) {
      const Span span = columns_[j];
      const T area = kGradient ? T(1) : height * T(span.size());
      if (g.width == 1) {
        const T sum = sum_of_run(sums_ + span.begin, span.size());
        *to = kGradient ? sum : sum / area;
        continue;
      }
      for (int64_t i = 0; i < span.size(); ++i) sources_[i] = sums_ + (span.begin + i) * g.width;
      sum_of_rows(span.size(), sources_, g.width, to);
      if (kGradient) continue;
      for (int64_t c = 0; c < g.width; ++c) to[c] /= area;
    }
  }

  T* sums_;    // rows added up
  T* shares_;  // gradients divided
  Span* columns_;
  T* widths_;
  const T** sources_;
};

// Averages of whole planes, NCHW: pixels along the vectors.
template <class T, bool kGradient>
class PlaneAverage {
 public:
  static bool suits(const Grid& g) {
    return g.width == 1 && (kGradient ? g.source_rows == 1 && g.source_columns == 1
                                      : g.rows == 1 && g.columns == 1);
  }
  static int64_t units(const Grid& g) { return g.planes; }
  static PlaneAverage take(Arena&, const Grid&) { return {}; }

  void run(const Grid& g, const Pool2dArrays& arrays, Span planes) {
    T* const out = static_cast<T*>(arrays.out);
    if (kGradient) {
      const T area = T(g.rows) * T(g.columns);
      const int64_t pixels = g.rows * g.columns;
      for (int64_t i = planes.begin; i < planes.end; ++i) {
        spread(out + i * pixels, pixels, static_cast<const T*>(arrays.y)[i] / area);
      }
      return;
    }
    const T area = T(g.source_rows) * T(g.source_columns);
    const int64_t pixels = g.source_rows * g.source_columns;
    const T* x = static_cast<const T*>(arrays.x) + planes.begin * pixels;
    for (int64_t i = planes.begin; i < planes.end; ++i, x += pixels) {
      out[i] = sum_of_vectors(x, pixels) / area;
    }
  }
};

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
