// Pools over images whose channels are neighbours: window by window, channels along the vectors.
// A window's pixels go straight into registers, so nothing is written but the result, and windows
// in the padding simply have fewer pixels. NHWC images are such; small planes of NCHW are made so
// (cpu_direct.cpp).
// Costs R * S operations an output, where rows of a plane cost R / stride + S (cpu_planes.h).
#pragma once

#include "ops/pool2d/cpu_rows.h"

namespace ck {
namespace CK_ISA {
namespace {

// An image's pixels are `pixel` elements apart and `width` of them are looked at.
struct PixelShape {
  int64_t pixel, width;
};

// The pixels of a window, relative to the first of them.
template <class T>
struct Taps {
  int64_t* offsets;  // in elements
  Place<T>* places;  // in pixels
  int64_t count;

  static Taps take(Arena& arena, int64_t count) {
    Taps taps = {arena.take<int64_t>(count), arena.take<Place<T>>(count), 0};
    return taps;
  }
  void set(const Pool2dProblem& p, int64_t pixel, TapRange rows, TapRange columns) {
    count = 0;
    for (int64_t r = rows.lo; r < rows.hi; ++r) {
      for (int64_t s = columns.lo; s < columns.hi; ++s) {
        const int64_t place = (r - rows.lo) * p.dilation_h * p.w + (s - columns.lo) * p.dilation_w;
        offsets[count] = place * pixel;
        places[count++] = Place<T>(place);
      }
    }
  }
};

template <class T, bool kIndexed, int kTaps, class Index>
void max_of_window(const T* first, const Taps<T>& taps, int64_t width, T* y, Index* indices,
                   int64_t first_place) {
  typedef typename Vec<T>::RawBits Places;
  const int64_t count = kTaps > 0 ? kTaps : taps.count;
  int64_t offset_of[kTaps > 0 ? kTaps : 1];
  for (int t = 0; t < kTaps; ++t) offset_of[t] = taps.offsets[t];
  for (int64_t c = 0; c < width; c += kLanes<T>) {
    const int64_t left = width - c;
    Vec<T> best = Vec<T>::load_first(first + c, left);
    Places place = taps.places[0] - Places{};
    for (int64_t t = 1; t < count; ++t) {
      const int64_t offset = kTaps > 0 ? offset_of[t] : taps.offsets[t];
      const Vec<T> value = Vec<T>::load_first(first + c + offset, left);
      take_larger<T, kIndexed>(value, taps.places[t] - Places{}, &best, &place);
    }
    best.store_first(y + c, left);
    if constexpr (kIndexed) {
      Place<T> places[kLanes<T>];
      __builtin_memcpy(places, &place, sizeof(place));
      if (left >= kLanes<T>) {
        for (int i = 0; i < kLanes<T>; ++i) indices[c + i] = Index(first_place + places[i]);
      } else {
        for (int64_t i = 0; i < left; ++i) indices[c + i] = Index(first_place + places[i]);
      }
    }
  }
}

// The same where places need 64 bits beside float32, element by element.
template <class T, class Index>
void max_of_wide_window(const T* first, const Taps<T>& taps, PixelShape shape, T* y, Index* indices,
                        int64_t first_place) {
  for (int64_t c = 0; c < shape.width; ++c) {
    T best = first[c];
    int64_t offset = 0;
    for (int64_t t = 1; t < taps.count; ++t) {
      const T value = first[c + taps.offsets[t]];
      if (best != best || value <= best) continue;
      best = value;
      offset = taps.offsets[t];
    }
    y[c] = best;
    indices[c] = Index(first_place + offset / shape.pixel);
  }
}

template <class T, int kTaps>
void mean_of_window(const T* first, const Taps<T>& taps, int64_t width, T* y, T divisor) {
  const int64_t count = kTaps > 0 ? kTaps : taps.count;
  int64_t offset_of[kTaps > 0 ? kTaps : 1];
  for (int t = 0; t < kTaps; ++t) offset_of[t] = taps.offsets[t];
  for (int64_t c = 0; c < width; c += kLanes<T>) {
    const int64_t left = width - c;
    const auto chain_of = [&](int64_t begin, int64_t end) {
      Vec<T> sum = Vec<T>::zero();
      for (int64_t t = begin; t < end; ++t) {
        const int64_t offset = kTaps > 0 ? offset_of[t] : taps.offsets[t];
        sum = sum + Vec<T>::load_first(first + c + offset, left);
      }
      return sum;
    };
    const Vec<T> total = sum_of_chains<T>(count, chain_of);
    Vec<T>{total.raw / divisor}.store_first(y + c, left);
  }
}

// One output row of an image. `indices` may be narrower than the user's: places of small planes.
template <class T, Pooling kPooling, class Index>
class WindowForward {
 public:
  static WindowForward take(Arena& arena, const Pool2dProblem& p) {
    WindowForward self;
    const int64_t taps = taps_seen(p.r, p.dilation_h, p.h) * taps_seen(p.s, p.dilation_w, p.w);
    self.whole_ = Taps<T>::take(arena, taps);
    self.clipped_ = Taps<T>::take(arena, taps);
    return self;
  }

  void start(const Pool2dProblem& p, PixelShape shape) {
    p_ = &p;
    shape_ = shape;
    const TapRange rows = {0, taps_seen(p.r, p.dilation_h, p.h)};
    const TapRange columns = {0, taps_seen(p.s, p.dilation_w, p.w)};
    has_whole_ = rows.hi == p.r && columns.hi == p.s;  // some windows may be
    if (has_whole_) whole_.set(p, shape.pixel, rows, columns);
    wide_ = needs_wide_places<T>(p);
  }

  void row(const T* x, int64_t i, T* y, Index* indices) {
    const Pool2dProblem& p = *p_;
    const int64_t top = i * p.stride_h - p.pad_top;
    const TapRange rows = taps_inside(top, p.dilation_h, p.r, p.h);
    const int64_t height = kPooling == Pooling::kAverage ? counted_rows(p, i) : 0;
    for (int64_t j = 0; j < p.q; ++j) {
      const int64_t left = j * p.stride_w - p.pad_left;
      const TapRange columns = taps_inside(left, p.dilation_w, p.s, p.w);
      const bool whole = has_whole_ && rows.size() == p.r && columns.size() == p.s;
      if (!whole) clipped_.set(p, shape_.pixel, rows, columns);
      int64_t place = 0;  // of the first pixel, if there is one
      if (rows.size() > 0 && columns.size() > 0) {
        place = (top + rows.lo * p.dilation_h) * p.w + left + columns.lo * p.dilation_w;
      }
      window(x + place * shape_.pixel, whole ? whole_ : clipped_, y + j * shape_.pixel,
             kPooling == Pooling::kMaxIndexed ? indices + j * shape_.pixel : nullptr, place,
             kPooling == Pooling::kAverage ? T(height) * T(counted_columns(p, j)) : T(1));
    }
  }

 private:
  void window(const T* first, const Taps<T>& taps, T* y, Index* indices, int64_t place, T divisor) {
    if (kPooling == Pooling::kMaxIndexed && wide_ && taps.count > 0) {
      return max_of_wide_window(first, taps, shape_, y, indices, place);
    }
    switch (taps.count) {
      case 0:
        fill(y, shape_.width, kMinusInfinity<T>);  // a dilated maximum that meets no pixel
        if (kPooling == Pooling::kMaxIndexed) fill(indices, shape_.width, Index(-1));
        return;
      case 4:
        return window_of<4>(first, taps, y, indices, place, divisor);
      case 9:
        return window_of<9>(first, taps, y, indices, place, divisor);
      default:
        return window_of<0>(first, taps, y, indices, place, divisor);
    }
  }
  template <int kTaps>
  void window_of(const T* first, const Taps<T>& taps, T* y, Index* indices, int64_t place,
                 T divisor) {
    if constexpr (kPooling == Pooling::kAverage) {
      mean_of_window<T, kTaps>(first, taps, shape_.width, y, divisor);
    } else {
      max_of_window<T, kPooling == Pooling::kMaxIndexed, kTaps>(first, taps, shape_.width, y,
                                                                indices, place);
    }
  }

  const Pool2dProblem* p_;
  PixelShape shape_;
  Taps<T> whole_, clipped_;
  bool has_whole_, wide_;
};

// An average's gradient, image row by image row. Output rows are divided once, into a ring of those
// that cover the current row; a pixel then adds the windows that cover it, rows then columns.
template <class T>
class WindowBackward {
 public:
  static WindowBackward take(Arena& arena, const Pool2dProblem& p, int64_t width) {
    WindowBackward self;
    self.ring_ = min_of(p.p, (p.r - 1) / p.stride_h + 1);
    self.row_elems_ = p.q * width;
    self.shares_ = arena.take<T>(self.ring_ * self.row_elems_);
    self.held_ = arena.take<int64_t>(self.ring_);
    self.columns_ = arena.take<Span>(p.w);
    self.sources_ = arena.take<const T*>(self.ring_ * min_of(p.q, (p.s - 1) / p.stride_w + 1));
    return self;
  }

  void start(const Pool2dProblem& p, PixelShape shape) {
    p_ = &p;
    shape_ = shape;
    for (int64_t w = 0; w < p.w; ++w) {
      columns_[w] = covering(w + p.pad_left, p.stride_w, p.s, p.q);
    }
  }
  void start_image(const T* grad_y) {
    grad_y_ = grad_y;
    for (int64_t i = 0; i < ring_; ++i) held_[i] = -1;
  }

  void row(int64_t h, T* grad_x) {
    const Pool2dProblem& p = *p_;
    const Span rows = covering(h + p.pad_top, p.stride_h, p.r, p.p);
    for (int64_t i = rows.begin; i < rows.end; ++i) load(i);
    for (int64_t w = 0; w < p.w; ++w) {
      int64_t count = 0;
      for (int64_t i = rows.begin; i < rows.end; ++i) {
        const T* const shares = shares_ + i % ring_ * row_elems_;
        for (int64_t j = columns_[w].begin; j < columns_[w].end; ++j) {
          sources_[count++] = shares + j * shape_.width;
        }
      }
      sum_of_rows(count, sources_, shape_.width, grad_x + w * shape_.pixel);
    }
  }

 private:
  void load(int64_t i) {
    const Pool2dProblem& p = *p_;
    if (held_[i % ring_] == i) return;
    held_[i % ring_] = i;
    const T height = T(counted_rows(p, i));
    T* to = shares_ + i % ring_ * row_elems_;
    const T* from = grad_y_ + i * p.q * shape_.pixel;
    for (int64_t j = 0; j < p.q; ++j, to += shape_.width, from += shape_.pixel) {
      const T divisor = height * T(counted_columns(p, j));
      for (int64_t c = 0; c < shape_.width; ++c) to[c] = from[c] / divisor;
    }
  }

  const Pool2dProblem* p_;
  PixelShape shape_;
  const T* grad_y_;
  int64_t ring_, row_elems_;
  T* shares_;
  int64_t* held_;
  Span* columns_;
  const T** sources_;
};

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
