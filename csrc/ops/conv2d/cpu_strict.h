// Operands and stores of conv2d.*.strict on the CPU: any layout by its strides, gemm_k in the
// stated order. How they serve each direction stands in cpu_strict.cpp.
#pragma once

#include "cpu/gather.h"
#include "cpu/operands.h"
#include "ops/conv2d/strict.h"

namespace ck {
namespace CK_ISA {
namespace {

// Calls body(offset of the stretch in its span, length, image, i, j) for each part of the pixels
// (image * height + i) * width + j that lies in one row.
template <class Body>
static CK_INLINE void for_each_row(Span pixels, const Axis& h, const Axis& w, const Body& body) {
  int64_t j = pixels.begin % w.count, i = pixels.begin / w.count % h.count;
  int64_t image = pixels.begin / (w.count * h.count);
  for (int64_t at = 0; at < pixels.size();) {
    const int64_t count = min_of(pixels.size() - at, w.count - j);
    body(at, count, image, i, j);
    at += count;
    j = 0;
    if (++i == h.count) i = 0, ++image;
  }
}

// The same taps from the last to the first.
static Axis reversed(Axis axis) {
  axis.offset += (axis.taps - 1) * axis.offset_step;
  axis.offset_step = -axis.offset_step;
  axis.index += (axis.taps - 1) * axis.index_step;
  axis.index_step = -axis.index_step;
  return axis;
}

// Rows of the column matrix: element (channel, tap) of every window, on padding what that shows.
template <class T>
struct TapLines {
  const T* at;  // channel 0 of the group, image 0
  StrictStrides strides;
  Axis h, w;
  PaddingMode mode;

  // Windows of one pixel that walk over whole images: one row of pixels instead of many.
  bool is_pointwise() const {
    return h.taps == 1 && w.taps == 1 && h.offset == 0 && w.offset == 0 && h.stride == 1 &&
           w.stride == 1 && h.step == 1 && w.step == 1 && h.source == h.count &&
           w.source == w.count;
  }
  // Then pixels with their channels side by side are a matrix already.
  bool is_matrix() const {
    return is_pointwise() && strides.channel == 1 &&
           strides.outer == h.source * w.source * strides.column;
  }
  void join_rows() {
    if (!is_pointwise()) return;
    w.source = w.count = w.count * h.count;
    h.source = h.count = 1;
  }

  void line(int64_t element, Span pixels, T* to) const {
    const int64_t tw = element % w.taps, th = element / w.taps % h.taps;
    const int64_t channel = element / (w.taps * h.taps);
    const int64_t left = w.offset + tw * w.offset_step, top = h.offset + th * h.offset_step;
    const int64_t begin = left < 0 ? ceil_div(-left, w.stride) : 0;
    const int64_t end = left < w.source ? (w.source - 1 - left) / w.stride + 1 : 0;
    for_each_row(
        pixels, h, w, [&](int64_t to_at, int64_t count, int64_t image, int64_t i, int64_t j) {
          const int64_t row = pixel_shown(mode, i * h.stride + top, h.source);
          const bool inside = row >= 0;
          const int64_t low = min_of(max_of(begin, j), j + count);
          const int64_t high = inside ? max_of(low, min_of(end, j + count)) : low;
          T* const line = to + to_at - j;
          const T* const from = at + image * strides.outer + channel * strides.channel +
                                (inside ? row : 0) * strides.row;
          const auto border = [&](int64_t first, int64_t last) {
            if (!inside || mode == PaddingMode::kZeros) return zero_run(line + first, last - first);
            for (int64_t n = first; n < last; ++n)
              line[n] = from[pixel_shown(mode, n * w.stride + left, w.source) * strides.column];
          };
          if (low > j) border(j, low);
          if (high > low) {
            copy_every(from + (low * w.stride + left) * strides.column, w.stride * strides.column,
                       high - low, line + low);
          }
          if (j + count > high) border(high, j + count);
        });
  }
};

// B of fprop and dgrad: gemm_k is (channel, tap), columns are pixels.
template <class T>
struct PixelsOfLines {
  const TapLines<T>* source;
  T* buffer;  // of as many pixels as a block has

  const T* panels(Span cols, int64_t k, int64_t depth, T* space) const {
    for (int64_t d = 0; d < depth; ++d) {
      source->line(k + d, cols, buffer);
      T* to = space + d * kTileCols<T>;
      for (int64_t j = 0; j < cols.size(); j += kTileCols<T>, to += depth * kTileCols<T>) {
        for (int v = 0; v < kTileVecs; ++v) {
          Vec<T>::load(buffer + j + v * kLanes<T>).store(to + v * kLanes<T>);
        }
      }
    }
    return space;
  }
};

// B of wgrad: gemm_k are pixels, columns are (channel, tap).
template <class T>
struct TapsOfLines {
  const TapLines<T>* source;
  T* buffer;  // kTileCols x kPackedRow

  const T* panels(Span cols, int64_t k, int64_t depth, T* space) const {
    T* to = space;
    for (int64_t j = cols.begin; j < cols.end; j += kTileCols<T>, to += depth * kTileCols<T>) {
      const int64_t width = min_of(kTileCols<T>, cols.end - j);
      for (int64_t i = 0; i < width; ++i) {
        source->line(j + i, {k, k + depth}, buffer + i * kPackedRow<T>);
      }
      transpose(buffer, int64_t(kPackedRow<T>), width, depth, to, int64_t(kTileCols<T>));
    }
    return space;
  }
};

// A of wgrad: rows are channels, gemm_k are pixels of all images.
template <class T>
struct ChannelRows {
  const T* at;
  StrictStrides strides;
  int64_t pixels;  // of an image

  RowTile<T> rows(int64_t i, int count, int64_t k, int64_t depth, T* space) const {
    for (int64_t d = 0; d < depth;) {
      const int64_t begin = (k + d) % pixels, run = min_of(depth - d, pixels - begin);
      const T* const from =
          at + (k + d) / pixels * strides.outer + i * strides.channel + begin * strides.column;
      if (strides.column == 1) {
        for (int r = 0; r < count; ++r) {
          copy_run(from + r * strides.channel, run, space + r * kPackedRow<T> + d);
        }
      } else {
        transpose(from, strides.column, run, count, space + d, int64_t(kPackedRow<T>));
      }
      d += run;
    }
    return {space, kPackedRow<T>};
  }
};

// C of fprop and dgrad: rows are channels of the result, columns its pixels
// (h.first + i * h.step, w.first + j * w.step).
template <class T>
struct StrictStore {
  T* out;  // channel 0 of the group, image 0; of bias and residual too
  const T *bias, *residual;
  Activation activation;
  StrictStrides strides;
  Axis h, w;

  void tile(int64_t first, int rows, int64_t j, int cols, const T* sums) const {
    const int64_t step = w.step * strides.column;
    for (int64_t channel = first; channel < first + rows; ++channel, sums += kTileCols<T>) {
      T values[kTileCols<T>];
      for (int v = 0; v < kTileCols<T>; v += kLanes<T>) {
        // Without -0, which a lonely chain may be.
        Vec<T> sum = Vec<T>::load(sums + v) + Vec<T>::zero();
        if (bias != nullptr) sum = sum + Vec<T>::broadcast(bias[channel]);
        sum.store(values + v);
      }
      const auto for_each_run = [&](const auto& body) {
        for_each_row({j, j + cols}, h, w,
                     [&](int64_t at, int64_t count, int64_t image, int64_t i, int64_t column) {
                       body(values + at, count,
                            image * strides.outer + channel * strides.channel +
                                (h.first + i * h.step) * strides.row +
                                (w.first + column * w.step) * strides.column);
                     });
      };
      if (residual != nullptr) {
        for_each_run([&](T* value, int64_t count, int64_t at) {
          for (int64_t n = 0; n < count; ++n) value[n] += residual[at + n * step];
        });
      }
      for (int v = 0; v < cols && activation != Activation::kNone; v += kLanes<T>) {
        stated_activate(Vec<T>::load(values + v), activation).store(values + v);
      }
      for_each_run([&](const T* value, int64_t count, int64_t at) {
        if (step == 1) return copy_run(value, count, out + at);
        for (int64_t n = 0; n < count; ++n) out[at + n * step] = value[n];
      });
    }
  }
};

// C of wgrad: rows are filters, columns (channel, tap).
template <class T>
struct FilterStore {
  T* out;
  int64_t filter, channel_stride, tap_stride, taps;

  void tile(int64_t first, int rows, int64_t j, int cols, const T* sums) const {
    for (int64_t k = first; k < first + rows; ++k, sums += kTileCols<T>) {
      for (int64_t n = 0; n < cols; ++n) {
        const int64_t channel = (j + n) / taps, tap = (j + n) % taps;
        out[k * filter + channel * channel_stride + tap * tap_stride] = sums[n] + T(0);
      }
    }
  }
};

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
