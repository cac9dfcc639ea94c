// A maximum's gradient where pixels ask the windows that cover them, vectors at a time: a gradient
// is added where the window's index is the pixel's number. Each pixel adds its windows rows then
// columns, as cpu_scatter.h does, from zero; nothing is filled with zeros before. Worth it where a
// comparison serves a whole vector of pixels without shuffling:
//   MatchSame   stride 1, as many windows as pixels: window e of a vector lies as far from pixel f
//               in every lane, through the ends of rows and of planes, as indices that their
//               window does not cover are gone by then.
//   MatchPairs  2 x 2 at stride 2: a window is asked for by two pixels side by side.
#pragma once

#include "cpu/operands.h"
#include "ops/pool2d/cpu_covered.h"

namespace ck {
namespace CK_ISA {
namespace {

// Pixel numbers of kLanes windows, as wide as their gradients.
template <class T>
CK_INLINE typename Vec<T>::RawBits places_at(const int32_t* pixels) {
  typedef int32_t Pixels __attribute__((vector_size(kLanes<T> * 4)));
  Pixels loaded;
  __builtin_memcpy(&loaded, pixels, sizeof(loaded));
  return __builtin_convertvector(loaded, typename Vec<T>::RawBits);
}
// first, first + 1, ...
template <class T>
CK_INLINE typename Vec<T>::RawBits places_from(int64_t first) {
  typename Vec<T>::RawBits places;
  for (int lane = 0; lane < kLanes<T>; ++lane) places[lane] = Place<T>(lane);
  return places + Place<T>(first);
}
// What of the gradients goes to places `wanted`; +0 elsewhere.
template <class T>
CK_INLINE Vec<T> matching(typename Vec<T>::RawBits places, typename Vec<T>::RawBits wanted,
                          Vec<T> gradients) {
  return {places == wanted ? gradients.raw : typename Vec<T>::Raw{}};
}

template <class T>
class MatchSame {
 public:
  static bool supports(const Pool2dProblem& p) {
    return p.layout == Layout::kNCHW && p.stride_h == 1 && p.stride_w == 1 && p.dilation_h == 1 &&
           p.p == p.h && p.q == p.w && p.r * p.s <= kMostTaps && CoveredPixels::supports(p) &&
           p.w >= p.s &&  // in a narrower map two taps meet the same window
           CoveredPixels::segment_rows(p) >= min_of(p.p, 2 * p.r);
  }
  static int64_t images_at_once(const Pool2dProblem& p) { return CoveredPixels::planes_at_once(p); }

  static MatchSame take(Arena& arena, const Pool2dProblem& p, int64_t images, int64_t) {
    MatchSame self;
    self.margin_ = (p.r - 1) * p.w + p.s - 1 + kLanes<T>;
    self.rows_ = CoveredPixels::segment_rows(p);
    self.covered_ = CoveredPixels::take(arena, p, images, self.margin_);
    self.gradients_ = arena.take<T>(images * self.rows_ * p.q + 2 * self.margin_) + self.margin_;
    return self;
  }

  void start(const Pool2dProblem& p, const Pool2dArrays& arrays) {
    p_ = &p;
    arrays_ = &arrays;
    covered_.start(p);
    fill(covered_.pixels() - margin_, margin_, int32_t(-1));
    fill(gradients_ - margin_, margin_, T(0));
  }

  void band(Span images, Span band) {
    const Pool2dProblem& p = *p_;
    const int64_t offset = images.begin * p.h * p.w;
    if (images.size() > 1) {
      segment(offset, {0, images.size() * p.h}, 0, images.size() * p.p);
      return;
    }
    // The windows of a segment give a few rows less of pixels, except at both ends.
    for (int64_t h = band.begin; h < band.end;) {
      const int64_t first = max_of(0, h + p.pad_top - (p.r - 1));
      const int64_t last = min_of(p.p, first + rows_);
      const int64_t end = last == p.p ? band.end : min_of(band.end, last - p.pad_top);
      segment(offset, {h, end}, first, min_of(last, end + p.pad_top) - first);
      h = end;
    }
  }

 private:
  static constexpr int kMostTaps = 16;

  // Rows `pixels` of a plane from the windows of `rows` rows from row `first`.
  void segment(int64_t offset, Span pixels, int64_t first, int64_t rows) {
    const Pool2dProblem& p = *p_;
    const int64_t at = offset + first * p.q, count = rows * p.q;
    covered_.keep_rows(arrays_->indices_in + at, first, rows, {0, p.h});
    fill(covered_.pixels() + count, margin_, int32_t(-1));
    move(gradients_, static_cast<const T*>(arrays_->y) + at, count);
    fill(gradients_ + count, margin_, T(0));
    const Span run = {pixels.begin * p.w, pixels.end * p.w};
    const int64_t window = (p.pad_top - first) * p.w + p.pad_left;  // that starts at pixel 0
    T* const out = static_cast<T*>(arrays_->out) + offset;
    if (p.r == 3 && p.s == 3) {
      match<3>(run, window, out);
    } else {
      match<0>(run, window, out);
    }
  }

  template <int kSide>
  void match(Span run, int64_t window, T* out) {
    const int64_t r = kSide > 0 ? kSide : p_->r, s = kSide > 0 ? kSide : p_->s, w = p_->w;
    const int32_t* const pixels = covered_.pixels();
    const T* const gradients = gradients_;
    for (int64_t f = run.begin; f < run.end; f += kLanes<T>) {
      const typename Vec<T>::RawBits wanted = places_from<T>(f);
      Vec<T> sum = Vec<T>::zero();
      for (int64_t row = r - 1; row >= 0; --row) {
        for (int64_t column = s - 1; column >= 0; --column) {
          const int64_t e = f + window - row * w - column;
          sum = sum + matching<T>(places_at<T>(pixels + e), wanted, Vec<T>::load(gradients + e));
        }
      }
      sum.store_first(out + f, run.end - f);
    }
  }

  const Pool2dProblem* p_;
  const Pool2dArrays* arrays_;
  int64_t margin_, rows_;
  CoveredPixels covered_;
  T* gradients_;
};

template <class T>
class MatchPairs {
 public:
  // Padding is less than a window, so each window begins in the image: there are as many as pairs
  // of rows or, with ceil_mode, one whose second row is not there.
  static bool supports(const Pool2dProblem& p) {
    return p.layout == Layout::kNCHW && p.r == 2 && p.s == 2 && p.stride_h == 2 &&
           p.stride_w == 2 && p.dilation_h == 1 && p.dilation_w == 1 && p.pad_top == 0 &&
           p.pad_left == 0 && p.h <= (INT32_MAX - 2 * kVectorBytes) / p.w - 1;
  }
  static int64_t images_at_once(const Pool2dProblem& p) { return CoveredPixels::planes_at_once(p); }

  static MatchPairs take(Arena& arena, const Pool2dProblem& p, int64_t images, int64_t) {
    MatchPairs self;
    self.rows_ = images * CoveredPixels::segment_rows(p);
    self.pixels_ = arena.take<int32_t>(self.rows_ * p.q + kLanes<T>);
    return self;
  }

  void start(const Pool2dProblem& p, const Pool2dArrays& arrays) {
    p_ = &p;
    arrays_ = &arrays;
  }

  void band(Span images, Span band) {
    const Pool2dProblem p = *p_;  // a copy: stores of gradients might change it for all we know
    T* const out = static_cast<T*>(arrays_->out) + images.begin * p.h * p.w;
    const int64_t seen = 2 * p.p, begin = band.begin / 2, end = min_of(p.p, ceil_div(band.end, 2));
    const int64_t planes = images.size();  // several: rows are counted on from plane to plane
    for (int64_t i = begin; i < end * planes; i += rows_) {
      const int64_t rows = min_of(rows_, end * planes - i);
      const int64_t at = (images.begin * p.p + i) * p.q;
      narrow(arrays_->indices_in + at, rows * p.q, pixels_);
      const T* gradients = static_cast<const T*>(arrays_->y) + at;
      const int32_t* pixels = pixels_;
      T* plane = out + (planes > 1 ? i / p.p * p.h * p.w : 0);
      int64_t h = planes > 1 ? i % p.p * 2 : i * 2;
      for (int64_t row = 0; row < rows; ++row, pixels += p.q, gradients += p.q) {
        const Span inside = {max_of(h, band.begin), min_of(h + 2, band.end)};
        if (inside.size() == 2) {
          image_rows<2>(p.q, p.w, pixels, gradients, plane, h);
        } else {
          image_rows<1>(p.q, p.w, pixels, gradients, plane, inside.begin);
        }
        h += 2;
        if (h >= seen && planes > 1) {
          h = 0;
          plane += p.h * p.w;
        }
      }
    }
    if (band.end <= seen) return;
    for (int64_t plane = 0; plane < planes; ++plane) {
      const int64_t first = max_of(band.begin, seen);
      fill(out + (plane * p.h + first) * p.w, (band.end - first) * p.w, T(0));
    }
  }

 private:
  // One or both rows of a window row.
  template <int kRows>
  static CK_INLINE void image_rows(int64_t q, int64_t w, const int32_t* pixels, const T* gradients,
                                   T* plane, int64_t h) {
    typedef typename Vec<T>::RawBits Places;
    const int64_t width = min_of(w, 2 * q);
    T* const out = plane + h * w;
    if (width == w && width <= kLanes<T>) {  // a row is one vector at most
      const Vec<T> given = Vec<T>::load_masked(gradients, first_lanes(q));
      const Vec<T> places = {typename Vec<T>::Raw(places_at<T>(pixels))};
      Vec<T> twice, twice_places, unused;
      zip(given, given, &twice, &unused);
      zip(places, places, &twice_places, &unused);
      for (int row = 0; row < kRows; ++row) {
        const Vec<T> found =
            matching<T>(Places(twice_places.raw), places_from<T>((h + row) * w), twice);
        (Vec<T>::zero() + found).store_masked(out + row * w, first_lanes(w));
      }
      return;
    }
    for (int64_t j = 0; j < q; j += kLanes<T>) {
      const Vec<T> given = Vec<T>::load_first(gradients + j, q - j);
      const Vec<T> places = {typename Vec<T>::Raw(places_at<T>(pixels + j))};
      Vec<T> twice[2], twice_places[2];
      zip(given, given, &twice[0], &twice[1]);
      zip(places, places, &twice_places[0], &twice_places[1]);
      for (int half = 0; half < 2; ++half) {
        const int64_t column = 2 * j + half * kLanes<T>;
        if (column >= width) break;
        for (int row = 0; row < kRows; ++row) {
          const int64_t first = row * w + column;
          const Vec<T> found = matching<T>(Places(twice_places[half].raw),
                                           places_from<T>(h * w + first), twice[half]);
          (Vec<T>::zero() + found).store_first(out + first, width - column);
        }
      }
    }
    for (int row = 0; row < kRows; ++row) {
      for (int64_t column = width; column < w; ++column) out[row * w + column] = T(0);
    }
  }

  const Pool2dProblem* p_;
  const Pool2dArrays* arrays_;
  int64_t rows_;
  int32_t* pixels_;
};

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
