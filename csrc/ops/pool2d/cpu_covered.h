// Which of a maximum's indices name a pixel that their window covers. Any int64 may stand in a
// user's array. So, vectors at a time, each index becomes a pixel number, or -1; r comparisons do
// that without a division, as a window is r runs of s consecutive pixels. Windows are taken by rows
// of a plane, or all of several planes, or the channels of a pixel.
#pragma once

#include "ops/pool2d/cpu_rows.h"

namespace ck {
namespace CK_ISA {
namespace {

// Indices as int32, -1 for what is none or larger.
inline void narrow(const int64_t* indices, int64_t count, int32_t* to) {
  for (int64_t i = 0; i < count; ++i) {
    const bool small = uint64_t(indices[i]) <= INT32_MAX;
    to[i] = small ? int32_t(indices[i]) : -1;
  }
}

class CoveredPixels {
 public:
  // Pixel numbers of several planes, or none of a plane and some rows beyond it, fit int32. Sums of
  // rows stay far from overflow, their products with the width need not. Dilated rows are not runs
  // of pixels; each row of a window is a comparison for every gradient.
  static bool supports(const Pool2dProblem& p) {
    const int64_t tile_h = (p.r - 1) * p.dilation_h + 1, rows = INT32_MAX / p.w;
    return p.dilation_w == 1 && p.r <= kFewRows && p.h + 2 * tile_h <= rows &&
           segment_rows(p) * p.stride_h + tile_h + p.h <= rows;
  }
  // Rows of windows at a time.
  static int64_t segment_rows(const Pool2dProblem& p) {
    return p.layout == Layout::kNHWC ? 1 : max_of(1, min_of(p.p, kSegment / p.q));
  }
  // Planes at a time, where planes are so small that their own windows would fill vectors badly.
  static int64_t planes_at_once(const Pool2dProblem& p) {
    return max_of(1, min_of(kJoined / (p.p * p.q), kJoinedPixels / (p.h * p.w)));
  }

  // `margin` numbers before and after those of the windows are the caller's.
  static CoveredPixels take(Arena& arena, const Pool2dProblem& p, int64_t planes, int64_t margin) {
    CoveredPixels self;
    const bool nhwc = p.layout == Layout::kNHWC;
    const int64_t elems = nhwc ? p.c : planes * segment_rows(p) * p.q;
    self.planes_ = planes;
    self.pixels_ = arena.take<int32_t>(elems + 2 * margin + kNumbers) + margin;
    self.start_ = arena.take<int32_t>(nhwc ? 0 : elems);
    self.last_ = arena.take<uint32_t>(nhwc ? 0 : elems);
    self.base_ = arena.take<int32_t>(nhwc ? 0 : elems);
    return self;
  }

  void start(const Pool2dProblem& p) {
    p_ = &p;
    if (p.layout == Layout::kNHWC) return;
    const int64_t rows = segment_rows(p), windows = rows * p.q;
    for (int64_t j = 0; j < p.q; ++j) {
      const Columns columns = columns_of(j);
      start_[j] = int32_t(columns.first);
      last_[j] = uint32_t(columns.last - columns.first);
    }
    for (int64_t i = 1; i < rows; ++i) {
      int32_t* const start = start_ + i * p.q;
      for (int64_t j = 0; j < p.q; ++j) start[j] = start_[j] + int32_t(i * p.stride_h * p.w);
      move(last_ + i * p.q, last_, p.q);
    }
    fill(base_, windows, int32_t(0));
    for (int64_t plane = 1; plane < planes_; ++plane) {
      move(start_ + plane * windows, start_, windows);
      move(last_ + plane * windows, last_, windows);
      fill(base_ + plane * windows, windows, int32_t(plane * p.h * p.w));
    }
  }

  int32_t* pixels() { return pixels_; }

  // NCHW: of `rows` rows of windows from row i, those that name pixels of the band. All rows of
  // several planes are possible as well; pixels then count from the first plane. Returns whether
  // all do.
  bool keep_rows(const int64_t* indices, int64_t i, int64_t rows, Span band) {
    const uint32_t corner = uint32_t((i * p_->stride_h - p_->pad_top) * p_->w);
    const int32_t *const start = start_, *const base = base_;
    const uint32_t* const last = last_;
    return keep(
        indices, rows * p_->q, band, [=](int64_t e) { return numbers(start + e) + corner; },
        [=](int64_t e) { return numbers(last + e); }, [=](int64_t e) { return numbers(base + e); });
  }

  // NHWC: of the channels of window (i, j).
  bool keep_channels(const int64_t* indices, int64_t i, int64_t j, Span band) {
    const Columns columns = columns_of(j);
    const int64_t corner = (i * p_->stride_h - p_->pad_top) * p_->w + columns.first;
    const Numbers first = Numbers{} + uint32_t(corner);
    const Numbers last = Numbers{} + uint32_t(columns.last - columns.first);
    return keep(
        indices, p_->c, band, [&](int64_t) { return first; }, [&](int64_t) { return last; },
        [](int64_t) { return Numbers{}; });
  }

 private:
  static constexpr int64_t kSegment = 2048;        // windows of a plane
  static constexpr int64_t kJoined = 1024;         // windows of joined planes
  static constexpr int64_t kJoinedPixels = 16384;  // of joined planes, which stay in L2
  static constexpr int64_t kFewRows = 64;          // of a window

  typedef uint32_t Numbers __attribute__((vector_size(kVectorBytes)));
  static constexpr int kNumbers = kVectorBytes / 4;
  // Tables are read by whole vectors: the arena leaves room behind them.
  static CK_INLINE Numbers numbers(const void* from) {
    Numbers loaded;
    __builtin_memcpy(&loaded, from, sizeof(loaded));
    return loaded;
  }

  struct Columns {
    int64_t first, last;
  };
  // The image columns that window column j covers.
  Columns columns_of(int64_t j) const {
    const int64_t left = j * p_->stride_w - p_->pad_left;
    return {max_of(left, 0), min_of(left + p_->s, p_->w) - 1};
  }

  // The rows of window e are runs of last(e) + 1 pixels from first(e); what is kept is moved on by
  // base(e). The number of rows is a constant for the common windows.
  template <class First, class Last, class Base>
  bool keep(const int64_t* indices, int64_t count, Span band, const First& first, const Last& last,
            const Base& base) {
    narrow(indices, count, pixels_);
    switch (p_->r) {
      case 2:
        return keep<2>(count, band, first, last, base);
      case 3:
        return keep<3>(count, band, first, last, base);
      default:
        return keep<0>(count, band, first, last, base);
    }
  }
  template <int kRows, class First, class Last, class Base>
  bool keep(int64_t count, Span band, const First& first, const Last& last, const Base& base) {
    const uint32_t row_step = uint32_t(p_->dilation_h * p_->w);
    const uint32_t rows = kRows > 0 ? kRows : uint32_t(p_->r);
    const uint32_t begin = uint32_t(band.begin * p_->w), size = uint32_t(band.size() * p_->w);
    int32_t* const pixels = pixels_;
    const Numbers none = ~Numbers{};
    Numbers all = {};
    for (int64_t e = 0; e < count; e += kNumbers) {
      const Numbers pixel = numbers(pixels + e);
      const Numbers offset = pixel - first(e);
      Numbers column = offset;  // unsigned, the least of all is that from the row the pixel is in
      for (uint32_t r = 1; r < rows; ++r) {
        const Numbers from_row = offset - r * row_step;
        column = from_row < column ? from_row : column;
      }
      column = pixel - begin < size ? column : none;
      const Numbers kept = column <= last(e) ? pixel + base(e) : none;
      __builtin_memcpy(pixels + e, &kept, sizeof(kept));
      if (e + kNumbers <= count) all |= kept;
    }
    int32_t signs = 0;
    for (int lane = 0; lane < kNumbers; ++lane) signs |= int32_t(all[lane]);
    for (int64_t e = count / kNumbers * kNumbers; e < count; ++e) signs |= pixels[e];
    return signs >= 0;
  }

  const Pool2dProblem* p_;
  int64_t planes_;
  int32_t* pixels_;
  int32_t* start_;  // first pixel of each window's first row, from the segment's corner
  uint32_t* last_;  // pixels of that row after the first
  int32_t* base_;   // first pixel of the window's plane
};

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
