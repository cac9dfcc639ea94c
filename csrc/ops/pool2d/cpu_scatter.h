// A maximum's gradient. Each gradient goes to one pixel, so the work is that of grad_y, not of the
// windows: windows are walked in order and each adds its gradient where its index points. A band of
// image rows belongs to one task, which takes from every window that reaches the band what lies in
// it: no atomics, and each pixel adds its windows rows then columns, exactly as a gather would.
// Where a pixel can lie in more windows than a chain has terms, it counts what it was given and has
// the levels of cpu/sums.h.
//
// Any int64 may stand in a user's index array. So first, vectors at a time, each index is turned
// into a pixel number of the band that its window covers, or -1; r comparisons do that without a
// division, as a window is r runs of s consecutive pixels. Dilated and very high windows and images
// beyond int32 are checked one by one.
#pragma once

#include "cpu/sums.h"
#include "ops/pool2d/cpu_rows.h"

namespace ck {
namespace CK_ISA {
namespace {

template <class T>
class MaxBackward {
 public:
  static MaxBackward take(Arena& arena, const Pool2dProblem& p, int64_t band_rows) {
    MaxBackward self;
    self.nhwc_ = p.layout == Layout::kNHWC;
    // Windows at a time: rows of a plane, or the channels of a pixel.
    self.segment_rows_ = self.nhwc_ ? 1 : max_of(1, min_of(p.p, kSegment / p.q));
    const int64_t elems = self.nhwc_ ? p.c : self.segment_rows_ * p.q;
    self.pixels_ = arena.take<int32_t>(elems);
    self.start_ = arena.take<int32_t>(self.nhwc_ ? 0 : elems);
    self.last_ = arena.take<uint32_t>(self.nhwc_ ? 0 : elems);
    self.long_ = most_windows(p) > kChain;
    self.band_elems_ = self.long_ ? band_rows * p.w * (self.nhwc_ ? p.c : 1) : 0;
    self.given_ = arena.take<int64_t>(self.band_elems_);
    self.levels_ = arena.take<T>(kSumLevels * self.band_elems_);
    return self;
  }

  void start(const Pool2dProblem& p, const Pool2dArrays& arrays) {
    p_ = &p;
    arrays_ = &arrays;
    // Sums of rows stay far from overflow, their products with the width need not.
    const int64_t tile_h = (p.r - 1) * p.dilation_h + 1, rows = INT32_MAX / p.w;
    fast_ = p.dilation_w == 1 && p.r <= kFewRows && p.h + 2 * tile_h <= rows &&
            segment_rows_ * p.stride_h + tile_h + p.h <= rows;
    if (nhwc_ || !fast_) return;
    for (int64_t i = 0; i < segment_rows_; ++i) {
      for (int64_t j = 0; j < p.q; ++j) {
        const Columns columns = columns_of(j);
        start_[i * p.q + j] = int32_t(i * p.stride_h * p.w + columns.first);
        last_[i * p.q + j] = uint32_t(columns.last - columns.first);
      }
    }
  }

  // Rows [band.begin, band.end) of one plane (NCHW) or image (NHWC).
  void band(int64_t image, Span band) {
    const Pool2dProblem& p = *p_;
    const int64_t width = nhwc_ ? p.c : 1;
    const int64_t tile_h = (p.r - 1) * p.dilation_h + 1;
    const int64_t x_offset = image * p.h * p.w * width, y_offset = image * p.p * p.q * width;
    T* const grad_x = static_cast<T*>(arrays_->out) + x_offset;
    const T* const grad_y = static_cast<const T*>(arrays_->y) + y_offset;
    const int64_t* const indices = arrays_->indices_in + y_offset;
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

  static constexpr int64_t kSegment = 1024;
  static constexpr int64_t kFewRows = 64;  // of a window: each is a comparison for every gradient

  struct Columns {
    int64_t first, last;
  };
  // The image columns that window column j covers, dilation 1.
  Columns columns_of(int64_t j) const {
    const int64_t left = j * p_->stride_w - p_->pad_left;
    return {max_of(left, 0), min_of(left + p_->s, p_->w) - 1};
  }

  // Indices that name a pixel of the band, as int32; -1 for the others.
  void keep_band(const int64_t* indices, int64_t count, Span band) {
    const int64_t first = band.begin * p_->w;
    const uint64_t size = uint64_t(band.size() * p_->w);
    for (int64_t i = 0; i < count; ++i) {
      const bool inside = uint64_t(indices[i]) - uint64_t(first) < size;
      pixels_[i] = inside ? int32_t(indices[i]) : -1;
    }
  }

  // Of the pixels kept, those that window e covers, whose rows are runs of last(e) + 1 pixels from
  // first(e). The number of rows is a constant for the common windows: only then is this a vector
  // loop.
  template <class First, class Last>
  void keep_covered(int64_t count, const First& first, const Last& last) {
    switch (p_->r) {
      case 2:
        return keep_covered<2>(count, first, last);
      case 3:
        return keep_covered<3>(count, first, last);
      default:
        return keep_covered<0>(count, first, last);
    }
  }
  template <int kRows, class First, class Last>
  void keep_covered(int64_t count, const First& first, const Last& last) {
    const uint32_t row_step = uint32_t(p_->dilation_h * p_->w);
    const uint32_t rows = kRows > 0 ? kRows : uint32_t(p_->r);
    int32_t* const pixels = pixels_;
    for (int64_t e = 0; e < count; ++e) {
      const uint32_t offset = uint32_t(pixels[e]) - uint32_t(first(e));
      bool inside = false;
      for (uint32_t r = 0; r < rows; ++r) inside |= offset - r * row_step <= last(e);
      pixels[e] = inside ? pixels[e] : -1;
    }
  }

  template <bool kLong>
  void add_rows(T* grad_x, const T* grad_y, const int64_t* indices, int64_t i, int64_t rows,
                Span band) {
    const Pool2dProblem& p = *p_;
    const int64_t count = rows * p.q;
    keep_band(indices, count, band);
    const int32_t corner = int32_t((i * p.stride_h - p.pad_top) * p.w);
    keep_covered(
        count, [&](int64_t e) { return corner + start_[e]; }, [&](int64_t e) { return last_[e]; });
    for (int64_t e = 0; e < count; ++e) {
      if (pixels_[e] >= 0) give<kLong>(grad_x, pixels_[e], grad_y[e]);
    }
  }

  template <bool kLong>
  void add_channels(T* grad_x, const T* grad_y, const int64_t* indices, int64_t i, Span band) {
    const Pool2dProblem& p = *p_;
    const int64_t channels = p.c;
    for (int64_t j = 0; j < p.q; ++j, grad_y += channels, indices += channels) {
      keep_band(indices, channels, band);
      const Columns columns = columns_of(j);
      const int32_t corner = int32_t((i * p.stride_h - p.pad_top) * p.w + columns.first);
      const uint32_t last = uint32_t(columns.last - columns.first);
      keep_covered(channels, [&](int64_t) { return corner; }, [&](int64_t) { return last; });
      for (int64_t c = 0; c < channels; ++c) {
        if (pixels_[c] >= 0) give<kLong>(grad_x, pixels_[c] * channels + c, grad_y[c]);
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
  int32_t* pixels_;
  int32_t* start_;  // first pixel of each window's first row, from the segment's corner
  uint32_t* last_;  // pixels of that row after the first
  bool long_;       // sums may be longer than a chain
  int64_t band_begin_, band_elems_;
  int64_t* given_;  // gradients of each pixel of the band so far
  T* levels_;
};

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
