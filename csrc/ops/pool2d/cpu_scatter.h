// A maximum's gradient. Each gradient goes to one pixel, so the work is that of grad_y, not of the
// windows: windows are walked in order and each adds its gradient where its index points. A band of
// image rows belongs to one task, which takes from every window that reaches the band what lies in
// it: no atomics, and each pixel adds its windows rows then columns, exactly as a gather would.
// Where a pixel can lie in more windows than a chain has terms, it counts what it was given and has
// the levels of cpu/sums.h.
//
// Which indices are pixels of the band that their window covers cpu_covered.h finds out. Dilated
// and very high windows and images beyond int32 are checked one by one.
#pragma once

#include "cpu/sums.h"
#include "ops/pool2d/cpu_covered.h"

namespace ck {
namespace CK_ISA {
namespace {

template <class T>
class MaxBackward {
 public:
  // How many planes (NCHW) or images (NHWC) band() takes at a time.
  static int64_t images_at_once(const Pool2dProblem& p) {
    const bool joins =
        p.layout == Layout::kNCHW && CoveredPixels::supports(p) && most_windows(p) <= kChain;
    return joins ? CoveredPixels::planes_at_once(p) : 1;
  }

  // `images` at most of what images_at_once() says.
  static MaxBackward take(Arena& arena, const Pool2dProblem& p, int64_t images, int64_t band_rows) {
    MaxBackward self;
    self.nhwc_ = p.layout == Layout::kNHWC;
    self.fast_ = CoveredPixels::supports(p);
    self.segment_rows_ = CoveredPixels::segment_rows(p);
    self.covered_ = CoveredPixels::take(arena, p, images, 0);
    self.long_ = most_windows(p) > kChain;
    self.band_elems_ = self.long_ ? band_rows * p.w * (self.nhwc_ ? p.c : 1) : 0;
    self.given_ = arena.take<int64_t>(self.band_elems_);
    self.levels_ = arena.take<T>(kSumLevels * self.band_elems_);
    return self;
  }

  void start(const Pool2dProblem& p, const Pool2dArrays& arrays) {
    p_ = &p;
    arrays_ = &arrays;
    if (fast_) covered_.start(p);
  }

  // Rows [band.begin, band.end) of planes (NCHW) or images (NHWC): all rows, if they are several.
  void band(Span images, Span band) {
    const Pool2dProblem& p = *p_;
    const int64_t width = nhwc_ ? p.c : 1;
    const int64_t tile_h = (p.r - 1) * p.dilation_h + 1;
    const int64_t x_offset = images.begin * p.h * p.w * width;
    const int64_t y_offset = images.begin * p.p * p.q * width;
    T* const grad_x = static_cast<T*>(arrays_->out) + x_offset;
    const T* const grad_y = static_cast<const T*>(arrays_->y) + y_offset;
    const int64_t* const indices = arrays_->indices_in + y_offset;
    if (images.size() > 1) {
      __builtin_memset(grad_x, 0, uint64_t(images.size() * p.h * p.w) * sizeof(T));
      add_rows<false>(grad_x, grad_y, indices, 0, images.size() * p.p, band);
      return;
    }
    const Span rows = {covering(band.begin + p.pad_top, p.stride_h, tile_h, p.p).begin,
                       covering(band.end - 1 + p.pad_top, p.stride_h, tile_h, p.p).end};
    band_begin_ = band.begin * p.w * width;
    if (long_) __builtin_memset(given_, 0, uint64_t(band_elems_) * sizeof(int64_t));
    int64_t zeroed = band.begin;
    for (int64_t i = rows.begin; i < rows.end; i += segment_rows_) {
      const int64_t count = min_of(segment_rows_, rows.end - i);
      // Zeros just before they are added to: they are still in cache then.
      const int64_t reach = min_of(band.end, (i + count - 1) * p.stride_h - p.pad_top + tile_h);
      if (reach > zeroed) {
        __builtin_memset(grad_x + zeroed * p.w * width, 0,
                         uint64_t((reach - zeroed) * p.w * width) * sizeof(T));
        zeroed = reach;
      }
      const int64_t at = i * p.q * width;
      if (long_) {
        add<true>(grad_x, grad_y + at, indices + at, i, count, band);
      } else {
        add<false>(grad_x, grad_y + at, indices + at, i, count, band);
      }
    }
    if (zeroed < band.end) {
      __builtin_memset(grad_x + zeroed * p.w * width, 0,
                       uint64_t((band.end - zeroed) * p.w * width) * sizeof(T));
    }
    if (long_) finish(grad_x, band.end * p.w * width);
  }

 private:
  // Windows of one axis that may cover a pixel.
  static int64_t most_windows(int64_t taps, int64_t stride, int64_t dilation, int64_t windows) {
    return min_of(dilation == 1 ? ceil_div(taps, stride) : taps, windows);
  }
  static int64_t most_windows(const Pool2dProblem& p) {
    return most_windows(p.r, p.stride_h, p.dilation_h, p.p) *
           most_windows(p.s, p.stride_w, p.dilation_w, p.q);
  }

  template <bool kLong>
  void add(T* grad_x, const T* grad_y, const int64_t* indices, int64_t i, int64_t rows, Span band) {
    if (!fast_) {
      add_checked<kLong>(grad_x, grad_y, indices, i, rows, band);
    } else if (nhwc_) {
      add_channels<kLong>(grad_x, grad_y, indices, i, band);
    } else {
      add_rows<kLong>(grad_x, grad_y, indices, i, rows, band);
    }
  }

  template <bool kLong>
  CK_INLINE void give(T* grad_x, int64_t pixel, T gradient) {
    grad_x[pixel] += gradient;
    if (!kLong) return;
    const int64_t own = pixel - band_begin_, given = ++given_[own];
    if (given % kChain != 0) return;
    add_to_levels(levels_ + own, band_elems_, 1, given / kChain - 1, grad_x + pixel);
    grad_x[pixel] = T(0);
  }
  void finish(T* grad_x, int64_t end) {
    for (int64_t pixel = band_begin_; pixel < end; ++pixel) {
      const int64_t own = pixel - band_begin_, chains = given_[own] / kChain;
      if (chains == 0) continue;
      T total;
      add_levels(levels_ + own, band_elems_, 1, chains, &total);
      grad_x[pixel] = total + grad_x[pixel];
    }
  }

  template <bool kLong>
  void add_rows(T* grad_x, const T* grad_y, const int64_t* indices, int64_t i, int64_t rows,
                Span band) {
    const int64_t count = rows * p_->q;
    const bool all = covered_.keep_rows(indices, i, rows, band);
    const int32_t* const pixels = covered_.pixels();
    if (all) {
      for (int64_t e = 0; e < count; ++e) give<kLong>(grad_x, pixels[e], grad_y[e]);
      return;
    }
    for (int64_t e = 0; e < count; ++e) {
      if (pixels[e] >= 0) give<kLong>(grad_x, pixels[e], grad_y[e]);
    }
  }

  template <bool kLong>
  void add_channels(T* grad_x, const T* grad_y, const int64_t* indices, int64_t i, Span band) {
    const Pool2dProblem& p = *p_;
    const int32_t* const pixels = covered_.pixels();
    for (int64_t j = 0; j < p.q; ++j, grad_y += p.c, indices += p.c) {
      const bool all = covered_.keep_channels(indices, i, j, band);
      for (int64_t c = 0; c < p.c; ++c) {
        if (all || pixels[c] >= 0) give<kLong>(grad_x, pixels[c] * p.c + c, grad_y[c]);
      }
    }
  }

  template <bool kLong>
  void add_checked(T* grad_x, const T* grad_y, const int64_t* indices, int64_t i, int64_t rows,
                   Span band) {
    const Pool2dProblem& p = *p_;
    const int64_t width = nhwc_ ? p.c : 1;
    for (int64_t e = 0; e < rows * p.q * width; ++e) {
      const int64_t window = e / width;
      const int64_t index = indices[e];
      if (index < band.begin * p.w || index >= band.end * p.w) continue;
      const int64_t below = index / p.w - ((i + window / p.q) * p.stride_h - p.pad_top);
      const int64_t right = index % p.w - (window % p.q * p.stride_w - p.pad_left);
      if (below < 0 || below % p.dilation_h != 0 || below / p.dilation_h >= p.r) continue;
      if (right < 0 || right % p.dilation_w != 0 || right / p.dilation_w >= p.s) continue;
      give<kLong>(grad_x, index * width + e % width, grad_y[e]);
    }
  }

  const Pool2dProblem* p_;
  const Pool2dArrays* arrays_;
  bool nhwc_, fast_;
  int64_t segment_rows_;
  CoveredPixels covered_;
  bool long_;  // sums may be longer than a chain
  int64_t band_begin_, band_elems_;
  int64_t* given_;  // gradients of each pixel of the band so far
  T* levels_;
};

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
