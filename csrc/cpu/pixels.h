// The implicit im2col of NHWC. gemm_k is (tap, channel), channels fastest, so a row of the column
// matrix is a pixel whose taps are runs of contiguous channels; with dilation 1 the taps of one
// filter row are one run together. Packing copies runs and zeroes those that fall on padding;
// strides cost nothing.
#pragma once

#include <cstdint>

#include "cpu/epilogue.h"
#include "cpu/gather.h"
#include "cpu/gemm.h"
#include "cpu/operands.h"

namespace ck {
namespace CK_ISA {

template <class T>
struct PixelGather {
  const T* at;           // channel 0 of the group in pixel (0, 0) of image 0
  int64_t channels;      // of the group
  int64_t pixel_stride;  // all channels
  Axis h, w;

  int64_t depth() const { return h.taps * w.taps * channels; }

  // Elements [k, k + depth) of the pixel (image, i, j)'s row.
  void gather(int64_t image, int64_t i, int64_t j, int64_t k, int64_t depth, T* to) const {
    const T* origin = at + image * h.source * w.source * pixel_stride;
    // Taps that are neighbours in memory make one run per filter row.
    const bool joined = w.offset_step == 1 && pixel_stride == channels;
    const int64_t run = joined ? w.taps * channels : channels;
    const int64_t runs_per_row = joined ? 1 : w.taps;
    int64_t n = k / run, within = k % run;
    int64_t th = n / runs_per_row, tw = n % runs_per_row;
    const int64_t left = j * w.stride + w.offset;
    const int64_t low_of_joined = min_of(run, max_of(0, -left) * channels);
    const int64_t high_of_joined = max_of(low_of_joined, min_of(run, (w.source - left) * channels));
    while (depth > 0) {
      const int64_t count = min_of(depth, run - within);
      const int64_t row = i * h.stride + h.offset + th * h.offset_step;
      const int64_t col = left + tw * w.offset_step;
      int64_t low = 0, high = run;
      if (joined) {
        low = low_of_joined;
        high = high_of_joined;
      } else if (col < 0 || col >= w.source) {
        high = 0;
      }
      if (row < 0 || row >= h.source) high = low = 0;
      // Of this run's elements [within, within + count), those in [low, high) exist.
      const int64_t begin = min_of(max_of(low, within), within + count);
      const int64_t end = max_of(begin, min_of(high, within + count));
      const T* source = origin + (row * w.source + col) * pixel_stride;
      if (begin > within) zero_run(to, begin - within);
      if (end > begin) copy_run(source + begin, end - begin, to + (begin - within));
      if (end < within + count) zero_run(to + (end - within), within + count - end);
      to += count;
      depth -= count;
      within = 0;
      if (++tw == runs_per_row) {
        tw = 0;
        ++th;
      }
    }
  }
};

struct PixelWalk {
  int64_t image, i, j, height, width;

  PixelWalk(int64_t pixel, const Axis& h, const Axis& w)
      : image(pixel / (h.count * w.count)),
        i(pixel / w.count % h.count),
        j(pixel % w.count),
        height(h.count),
        width(w.count) {}
  CK_INLINE void next() {
    if (++j < width) return;
    j = 0;
    if (++i < height) return;
    i = 0;
    ++image;
  }
};

// A of fprop and dgrad: rows are pixels.
template <class T>
struct PixelRows {
  const PixelGather<T>* source;

  RowTile<T> rows(int64_t i, int count, int64_t k, int64_t depth, T* space) const {
    PixelWalk walk(i, source->h, source->w);
    for (int r = 0; r < count; ++r, walk.next()) {
      source->gather(walk.image, walk.i, walk.j, k, depth, space + r * kPackedRow<T>);
    }
    return {space, kPackedRow<T>};
  }
};

// B of wgrad: gemm_k are pixels, columns are (tap, channel).
template <class T>
struct PixelPanels {
  const PixelGather<T>* source;

  const T* panels(Span cols, int64_t k, int64_t depth, T* space) const {
    T* to = space;
    for (int64_t j = cols.begin; j < cols.end; j += kTileCols<T>) {
      const int64_t width = min_of(kTileCols<T>, cols.end - j);
      PixelWalk walk(k, source->h, source->w);
      for (int64_t d = 0; d < depth; ++d, walk.next(), to += kTileCols<T>) {
        source->gather(walk.image, walk.i, walk.j, j, width, to);
      }
    }
    return space;
  }
};

// The way back: rows of tiles are pixels (image, h.first + i * h.step, w.first + j * w.step),
// columns channels.
template <class T>
struct PixelStore {
  T* out;                // channel 0 of the group, pixel 0
  Epilogue<T> epilogue;  // its arrays begin there too
  int64_t pixel_stride, height, width;
  Axis h, w;

  void tile(int64_t i, int rows, int64_t j, int cols, const T* sums) const {
    PixelWalk walk(i, h, w);
    for (int r = 0; r < rows; ++r, walk.next(), sums += kTileCols<T>) {
      const int64_t row = walk.image * height + h.first + walk.i * h.step;
      const int64_t at = (row * width + w.first + walk.j * w.step) * pixel_stride + j;
      for (int v = 0; v < cols; v += kLanes<T>) {
        const uint32_t lanes = first_lanes(min_of(cols - v, kLanes<T>));
        epilogue.apply_along_filters(Vec<T>::load(sums + v), j + v, at + v, lanes)
            .store_masked(out + at + v, lanes);
      }
    }
  }
};

}  // namespace CK_ISA
}  // namespace ck
