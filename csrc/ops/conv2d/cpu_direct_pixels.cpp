// conv2d.{fprop,dgrad}.direct, NHWC, many filters: vectors lie along the filters, the source comes
// as broadcast elements and so needs no turning, only its padding.
// Block tile: up to kMostVectors vectors of filters x max_pixels() pixels.
// Order: (channel, r, s) ascending, one fused multiply-add per term, runs of at most kBlockTerms.
#include "ops/conv2d/cpu_direct_gather.h"
#include "ops/conv2d/cpu_direct_lines.h"

namespace ck {
namespace CK_ISA {
namespace direct {

namespace {

constexpr int kMostVectors = kManyRegisters ? 4 : 2;
constexpr int kMostPixels = 12;

constexpr int max_pixels(int vectors) {
  if (kManyRegisters) return vectors <= 2 ? 12 : 24 / vectors;
  return vectors == 1 ? 8 : 6;
}

template <class T, int kVectors, int kPixels>
CK_INLINE void clear_pixels(Vec<T> (&sum)[kVectors][kPixels]) {
#pragma GCC unroll 8
  for (int k = 0; k < kVectors; ++k) {
#pragma GCC unroll 16
    for (int i = 0; i < kPixels; ++i) sum[k][i] = Vec<T>::zero();
  }
}

template <class T, int kVectors, int kPixels>
CK_INLINE void add_pixels_run(const Taps& taps, const T* const* x, const T* w, int64_t line,
                              int64_t line_end, int64_t s_begin, int64_t s_end,
                              Vec<T> (&sum)[kVectors][kPixels]) {
  typedef Vec<T> V;
  constexpr int64_t kStep = kVectors * kLanes<T>;
  int64_t r = line % taps.rows, start = line / taps.rows * taps.plane + r * taps.row;
  for (; line < line_end; ++line) {
    const T* weight = w + (line * taps.cols + s_begin) * kStep;
    for (int64_t s = s_begin; s < s_end; ++s, weight += kStep) {
      int64_t at = start + taps.col_offset[s];
      V factor[kVectors];
#pragma GCC unroll 8
      for (int k = 0; k < kVectors; ++k) factor[k] = V::load(weight + k * kLanes<T>);
#pragma GCC unroll 16
      for (int i = 0; i < kPixels; ++i) {
        V source = V::broadcast(x[i][at]);
#pragma GCC unroll 8
        for (int k = 0; k < kVectors; ++k) {
          sum[k][i] = multiply_add(source, factor[k], sum[k][i]);
        }
      }
    }
    start += taps.row;
    if (++r == taps.rows) {
      r = 0;
      start += taps.plane - taps.rows * taps.row;
    }
  }
}

// Weights come as [channel][row][col][filter of this block]; y[i] is where the filters of pixel i
// begin, `filters` of them.
template <class T, int kVectors, int kPixels>
void pixels_block(const Taps& taps, const T* const* x, const T* w, T* const* y, int64_t filters) {
  typedef Vec<T> V;
  constexpr int W = kLanes<T>;
  int64_t lines = taps.cols ? taps.channels * taps.rows : 0;
  V sum[kVectors][kPixels];
  clear_pixels<T>(sum);
  if (lines * taps.cols <= kBlockTerms) {
    if (lines) add_pixels_run<T>(taps, x, w, 0, lines, 0, taps.cols, sum);
#pragma GCC unroll 8
    for (int k = 0; k < kVectors; ++k) {
#pragma GCC unroll 16
      for (int i = 0; i < kPixels; ++i) sum[k][i].store_first(y[i] + k * W, filters - k * W);
    }
    return;
  }

  constexpr int kElems = kVectors * kPixels * W;
  T runs[kElems], levels[kSumLevels * kElems];
  int64_t chains = 0;
  int64_t run_lines = larger(kBlockTerms / taps.cols, 1);
  for (int64_t line = 0; line < lines; line += run_lines) {
    for (int64_t s = 0; s < taps.cols; s += kBlockTerms) {
      clear_pixels<T>(sum);
      add_pixels_run<T>(taps, x, w, line, smaller(line + run_lines, lines), s,
                        smaller(s + kBlockTerms, taps.cols), sum);
#pragma GCC unroll 8
      for (int k = 0; k < kVectors; ++k) {
#pragma GCC unroll 16
        for (int i = 0; i < kPixels; ++i) {
          sum[k][i].store(runs + (k * kPixels + i) * W);
        }
      }
      add_to_levels(levels, kElems, kElems, chains++, runs);
    }
  }
  add_levels(levels, kElems, kElems, chains, runs);
  for (int k = 0; k < kVectors; ++k) {
    for (int i = 0; i < kPixels; ++i) {
      V::load(runs + (k * kPixels + i) * W).store_first(y[i] + k * W, filters - k * W);
    }
  }
}

template <class T>
struct PixelsKernel {
  void (*run)(const Taps&, const T* const*, const T*, T* const*, int64_t);
  int pixels;
};

// The kernel for the most pixels, out of a few counts, that are not more than `left`.
template <class T, int kVectors, int kPixels = max_pixels(kVectors)>
PixelsKernel<T> kernel_of(int64_t left) {
  if constexpr (kPixels > 1) {
    if (left < kPixels) return kernel_of<T, kVectors, kPixels / 2>(left);
  }
  return {pixels_block<T, kVectors, kPixels>, kPixels};
}

template <class T>
PixelsKernel<T> kernel(int64_t vectors, int64_t left) {
  if (vectors == 1) return kernel_of<T, 1>(left);
  if (vectors == 2) return kernel_of<T, 2>(left);
  if (vectors == 3) return kernel_of<T, (kMostVectors < 3 ? 1 : 3)>(left);
  return kernel_of<T, kMostVectors>(left);
}

int64_t next_vectors(int64_t left) { return ceil_div(left, ceil_div(left, kMostVectors)); }

template <class T>
void pack_weights(const Gather<T>& g, int64_t group, int64_t part) {
  constexpr int64_t W = kLanes<T>;
  int64_t last = smaller((part + 1) * g.part_filters, g.filters);
  for (int64_t a = 0; a < g.row_classes; ++a) {
    for (int64_t b = 0; b < g.col_classes; ++b) {
      const Axis &row = g.rows[a], &col = g.cols[b];
      for (int64_t k = part * g.part_filters, block; k < last; k += block) {
        block = next_vectors((last - k) / W) * W;
        int64_t used = smaller(block, g.dst_channels - k);
        T* to = packed_weights(g, group, row, col, k);
        for (int64_t c = 0; c < g.src_channels; ++c) {
          for (int64_t r = 0; r < row.taps; ++r) {
            for (int64_t s = 0; s < col.taps; ++s, to += block) {
              const T* from = g.weights + g.w_first + group * g.w_group + k * g.w_dst +
                              c * g.w_src + (row.tap + r * row.tap_step) * g.w_row +
                              (col.tap + s * col.tap_step) * g.w_col;
              for (int64_t i = 0; i < used; ++i) to[i] = from[i * g.w_dst];
              for (int64_t i = used; i < block; ++i) to[i] = 0;
            }
          }
        }
      }
    }
  }
}

// Copies the strip of source a task needs, line by line in the order of the source.
template <class T>
void copy_strip(const Gather<T>& g, const Item& item, T* slot) {
  int64_t channels = g.src_channels;
  const T* image = g.source + item.image * g.src.image + item.group * channels * g.src.channel;
  for (int64_t i = 0; i < item.window.slots; ++i) {
    int64_t h = position_of(item.window, *item.row, item.first_row, i);
    const T* from = h < 0 || h >= g.src_h ? nullptr : image + h * g.src.row;
    for_each_part(g.packing, item.first_col * g.step, [&](int64_t at, int64_t, int64_t low) {
      copy_groups(slot + i * g.line + at, g.packing.pitch, g.packing.step, from, g.src.col,
                  channels, g.src_w, low);
    });
  }
}

template <class T>
void run_item(const Gather<T>& g, int64_t index, T* slot) {
  constexpr int64_t W = kLanes<T>;
  Item item = item_of(g, index);
  if (item.rows <= 0) return;
  const Axis& row = *item.row;
  const Window& window = item.window;
  copy_strip(g, item, slot);

  int64_t last = smaller((item.part + 1) * g.part_filters, g.filters);
  for (int64_t k = item.part * g.part_filters, vectors; k < last; k += vectors * W) {
    vectors = next_vectors((last - k) / W);
    int64_t filters = smaller(vectors * W, g.dst_channels - k);
    int64_t channel = item.group * g.dst_channels + k;
    T* out = g.out + item.image * g.dst.image + channel +
             (row.first + item.first_row * row.stride) * g.dst.row;
    for (int64_t b = 0; b < g.col_classes; ++b) {
      const Axis& col = g.cols[b];
      int64_t cols = smaller(item.cols, col.count - item.first_col);
      T* out_class = out + (col.first + item.first_col * col.stride) * g.dst.col;
      Taps taps = {g.src_channels,
                   row.taps,
                   col.taps,
                   1,
                   window.tap_step * g.line,
                   g.col_offset + col.taps_before};
      const T* w = packed_weights(g, item.group, row, col, k);
      int64_t i = 0, j = 0;
      for (int64_t left = item.rows * cols; left > 0;) {
        PixelsKernel<T> block = kernel<T>(vectors, left);
        const T* x_at[kMostPixels];
        T* y_at[kMostPixels];
        for (int n = 0; n < block.pixels; ++n) {
          x_at[n] = slot + (window.base + i * window.output_step) * g.line + j * g.col_step;
          y_at[n] = out_class + i * row.stride * g.dst.row + j * col.stride * g.dst.col;
          if (++j == cols) {
            j = 0;
            ++i;
          }
        }
        block.run(taps, x_at, w, y_at, filters);
        left -= block.pixels;
        if (g.epilogue.empty()) continue;
        for (int n = 0; n < block.pixels; ++n) {
          for (int64_t f = 0; f < filters; f += W) {
            T* at = y_at[n] + f;
            uint32_t lanes = first_lanes(smaller(W, filters - f));
            Vec<T> sum = Vec<T>::load_masked(at, lanes);
            sum = g.epilogue.apply_along_filters(sum, channel + f, at - g.out, lanes);
            sum.store_masked(at, lanes);
          }
        }
      }
    }
  }
}

template <class T>
void run_typed(const Gather<T>& g, int threads) {
  int pack_threads = g.groups * g.w_group < kFewWeights ? 1 : threads;
  run_tasks(g.groups * g.parts, pack_threads,
            [&](int64_t task, int64_t) { pack_weights(g, task / g.parts, task % g.parts); });
  run_tasks(g.items, threads, [&](int64_t index, int64_t worker) {
    run_item(g, index, g.slots + worker * g.slot_elems);
  });
}

}  // namespace

void run_pixels(const Gather<float>& g, int threads) { run_typed(g, threads); }
void run_pixels(const Gather<double>& g, int threads) { run_typed(g, threads); }

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
