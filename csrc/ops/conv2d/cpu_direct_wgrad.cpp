// conv2d.wgrad.direct on planes: vectors lie along the columns of grad_y, lanes are partial sums.
// The pixels are cut into blocks that give a lane at most kBlockTerms terms: some rows of an image,
// or several whole small images. For a block, x is copied into planes as in cpu_direct_gather.cpp,
// and a register block of filters x taps runs over its pixels: each load of grad_y serves several
// taps and each load of x several filters.
// Order: lanes, then the fixed tree of sum_of_lanes, then the blocks of a batch in order, then the
// batches in order. All of it follows from the geometry, so the bits are the same whether threads
// share the filters or the batches.
#include "ops/conv2d/cpu_direct_lines.h"

namespace ck {
namespace CK_ISA {
namespace direct {

namespace {

constexpr int64_t kPlanesBytes = 128 << 10;

constexpr int kMaxFilters = 4;
constexpr int kMaxTaps = 12;

constexpr int max_taps(int filters) {
  if (kManyRegisters) return filters == 1 ? 12 : filters == 2 ? 10 : 6;
  return filters == 1 ? 12 : filters == 2 ? 5 : filters == 3 ? 3 : 2;
}

struct Pixels {
  int64_t images, rows, vectors;
  int64_t last_lanes;  // of the last vector of a row
  int64_t chain_rows;  // rows of which a lane takes the terms in one chain
  int64_t x_image, x_row, y_image, y_row, y_filter;
};

template <class T, int kFilters, int kTaps>
CK_INLINE void clear_lanes(Vec<T> (&sum)[kFilters][kTaps]) {
#pragma GCC unroll 16
  for (int k = 0; k < kFilters; ++k) {
#pragma GCC unroll 16
    for (int t = 0; t < kTaps; ++t) sum[k][t] = Vec<T>::zero();
  }
}

template <class T, int kFilters, int kTaps>
CK_INLINE void add_lanes(const Vec<T> (&sum)[kFilters][kTaps], T* lanes) {
#pragma GCC unroll 16
  for (int k = 0; k < kFilters; ++k) {
#pragma GCC unroll 16
    for (int t = 0; t < kTaps; ++t) {
      T* to = lanes + (k * kTaps + t) * kLanes<T>;
      (Vec<T>::load(to) + sum[k][t]).store(to);
    }
  }
}

// sums[k * kTaps + t] = sum over the pixels of y[k] * x[offset[t]].
template <class T, int kFilters, int kTaps>
void pixel_block(const Pixels& pixels, const T* x, const T* y, const int64_t* offset, T* sums) {
  typedef Vec<T> V;
  constexpr int W = kLanes<T>;
  V sum[kFilters][kTaps];
  T lanes[kFilters * kTaps * W];
  clear_lanes<T>(sum);
  clear_sums(lanes, kFilters * kTaps * W);
  int64_t chained = 0;
  uint32_t last = first_lanes(pixels.last_lanes);
  int64_t whole = pixels.vectors - (pixels.last_lanes < W);
  for (int64_t n = 0; n < pixels.images; ++n) {
    for (int64_t i = 0; i < pixels.rows; ++i) {
      const T* x_row = x + n * pixels.x_image + i * pixels.x_row;
      const T* y_row = y + n * pixels.y_image + i * pixels.y_row;
      for (int64_t v = 0; v < whole; ++v) {
        V grad[kFilters];
#pragma GCC unroll 16
        for (int k = 0; k < kFilters; ++k) grad[k] = V::load(y_row + k * pixels.y_filter);
#pragma GCC unroll 16
        for (int t = 0; t < kTaps; ++t) {
          V source = V::load(x_row + offset[t]);
#pragma GCC unroll 16
          for (int k = 0; k < kFilters; ++k) {
            sum[k][t] = multiply_add(source, grad[k], sum[k][t]);
          }
        }
        x_row += W;
        y_row += W;
      }
      if (whole < pixels.vectors) {
        // x may go on beyond the last column of grad_y, with a NaN that no tap sees.
        V grad[kFilters];
#pragma GCC unroll 16
        for (int k = 0; k < kFilters; ++k) {
          grad[k] = V::load_masked(y_row + k * pixels.y_filter, last);
        }
#pragma GCC unroll 16
        for (int t = 0; t < kTaps; ++t) {
          V source = V::load_masked(x_row + offset[t], last);
#pragma GCC unroll 16
          for (int k = 0; k < kFilters; ++k) {
            sum[k][t] = multiply_add(source, grad[k], sum[k][t]);
          }
        }
      }
      if (++chained < pixels.chain_rows) continue;
      chained = 0;
      add_lanes<T>(sum, lanes);
      clear_lanes<T>(sum);
    }
  }
  if (chained) add_lanes<T>(sum, lanes);
  for (int i = 0; i < kFilters * kTaps; ++i) sums[i] = sum_of_lanes(V::load(lanes + i * W));
}

template <class T>
using PixelKernel = void (*)(const Pixels&, const T*, const T*, const int64_t*, T*);

template <class T, int kFilters, int kTaps = max_taps(kFilters)>
PixelKernel<T> pixel_kernel_of(int taps) {
  if constexpr (kTaps > 1) {
    if (taps < kTaps) return pixel_kernel_of<T, kFilters, kTaps - 1>(taps);
  }
  return pixel_block<T, kFilters, kTaps>;
}

template <class T>
PixelKernel<T> pixel_kernel(int filters, int taps) {
  switch (filters) {
    case 1:
      return pixel_kernel_of<T, 1>(taps);
    case 2:
      return pixel_kernel_of<T, 2>(taps);
    case 3:
      return pixel_kernel_of<T, 3>(taps);
    default:
      return pixel_kernel_of<T, 4>(taps);
  }
}

template <class T>
struct Wgrad {
  Axis row;
  Strides x, y;
  int64_t vectors;                                 // per row of a tile
  int64_t tile_cols, tiles, block_rows, strips;    // a block: block_images images of
  int64_t chain_rows, block_images, image_blocks;  // block_rows rows of tile_cols columns
  Batches batches;                                 // of blocks
  int64_t taps;                                    // of one filter: c_per_group * r * s
  LinePacking packing;                             // of the copy of x
  int64_t line, plane, image_planes;
  int64_t chunk_channels, y_pitch;                          // channels that are copied at a time
  int64_t part_filters, parts, units, slot_elems, workers;  // a unit: some filters of a group
  bool planes;  // one channel and one filter at a time, by weigh_rows
  T *slots, *partials;
  int64_t* offset;  // of the taps of one chunk of channels
};

template <class T>
Wgrad<T> plan(const Conv2dProblem& p, int threads, Arena& arena) {
  constexpr int64_t W = kLanes<T>;
  Wgrad<T> g = {};
  g.row = AxisRule{false, p.p, p.r, p.stride_h, p.dilation_h, p.pad_top}.axis(0);
  g.x = strides_of(p.layout, p.c, p.h, p.w);
  g.y = strides_of(p.layout, p.k, p.p, p.q);
  g.taps = p.c_per_group * p.r * p.s;

  g.planes = fits_planes(p, Direction::kWgrad);
  // A chain of one row at least, in planes of a tile of weigh_rows.
  g.tile_cols = smaller(p.q, (g.planes ? kBlockTerms / 7 : kBlockTerms) * W);
  g.tiles = ceil_div(p.q, g.tile_cols);
  g.vectors = ceil_div(g.tile_cols, W);
  int64_t reach = (p.s - 1) * p.dilation_w, padded_cols = round_up(g.tile_cols, W);
  bool by_tap = packs_by_tap((g.tile_cols - 1) * p.stride_w + reach + 1, p.s, padded_cols);
  int64_t* starts = arena.take<int64_t>(p.s);
  g.packing = {smaller(p.stride_w, reach + 1), round_up(padded_cols + reach / p.stride_w, W),
               p.stride_w, -p.pad_left, nullptr};
  if (by_tap) g.packing = {p.s, padded_cols, p.stride_w, -p.pad_left, starts};
  g.line = g.packing.phases * g.packing.pitch;
  g.block_rows = clamp(kRunTerms / g.vectors, 1, p.p);
  g.chain_rows = kBlockTerms / g.vectors;
  if (g.planes) {
    g.chain_rows -= g.chain_rows % 7;
    if (g.block_rows < p.p) g.block_rows -= g.block_rows % 7;
  }
  g.plane = window_of(g.row, g.block_rows).slots * g.line;
  g.block_images = 1;
  if (g.tiles == 1 && g.block_rows == p.p) {
    int64_t fit = kPlanesBytes / (g.plane * int64_t(sizeof(T)));
    g.block_images = clamp(smaller(kRunTerms / (g.vectors * p.p), fit), 1, larger(p.n, 1));
  }
  g.strips = ceil_div(p.p, g.block_rows);
  g.image_blocks = ceil_div(p.n, g.block_images);
  g.chunk_channels =
      clamp(kPlanesBytes / (g.block_images * g.plane * int64_t(sizeof(T))), 1, p.c_per_group);
  g.image_planes = g.chunk_channels * g.plane;
  g.y_pitch = p.layout == Layout::kNCHW ? 0 : round_up(g.tile_cols, W);
  g.parts = clamp(ceil_div(threads, p.groups), 1, ceil_div(p.k_per_group, kMaxFilters));
  g.part_filters = round_up(ceil_div(p.k_per_group, g.parts), kMaxFilters);
  g.parts = ceil_div(p.k_per_group, g.part_filters);
  g.units = p.groups * g.parts;
  int64_t weights = p.k * g.taps;
  g.batches = batches_of(g.image_blocks * g.strips * g.tiles, kBlockTerms, g.units,
                         weights * int64_t(sizeof(T)), threads);
  // A slot: planes of x, rows of grad_y where they need a copy, the sums of a batch and a chain of
  // them.
  g.slot_elems = g.block_images * (g.image_planes + kMaxFilters * g.block_rows * g.y_pitch) +
                 2 * g.part_filters * g.taps;
  if (g.planes) g.slot_elems = 2 * g.part_filters * g.taps;
  g.slot_elems = round_up(g.slot_elems, 64 / int64_t(sizeof(T)));
  g.workers = larger(threads, 1);
  g.offset = arena.take<int64_t>(g.chunk_channels * p.r * p.s);
  g.slots = arena.take<T>(g.workers * g.slot_elems);
  g.partials = arena.take<T>(weights * g.batches.kept());
  if (g.offset == nullptr) return g;

  for (int64_t s = 0; s < p.s; ++s) starts[s] = s * p.dilation_w - p.pad_left;
  Window window = window_of(g.row, g.block_rows);
  int64_t* offset = g.offset;
  for (int64_t c = 0; c < g.chunk_channels; ++c) {
    for (int64_t r = 0; r < p.r; ++r) {
      for (int64_t s = 0; s < p.s; ++s) {
        int64_t slot = s * p.dilation_w, at = s * g.packing.pitch;
        if (!by_tap) at = slot % p.stride_w * g.packing.pitch + slot / p.stride_w;
        *offset++ = c * g.plane + (window.base + r * window.tap_step) * g.line + at;
      }
    }
  }
  return g;
}

// Adds the sums of one block of pixels to sums[filter][tap], for filters [k, k_end) of a group.
template <class T>
void add_block(const Wgrad<T>& g, const Conv2dProblem& p, const T* x, const T* y, int64_t group,
               int64_t k_begin, int64_t k_end, int64_t block, T* slot, T* sums) {
  constexpr int64_t W = kLanes<T>;
  int64_t tile = block % g.tiles, strip = block / g.tiles % g.strips;
  int64_t first_image = block / g.tiles / g.strips * g.block_images;
  int64_t images = smaller(g.block_images, p.n - first_image);
  int64_t first_row = strip * g.block_rows, rows = smaller(g.block_rows, p.p - first_row);
  int64_t first_col = tile * g.tile_cols, cols = smaller(g.tile_cols, p.q - first_col);
  if (g.planes) {
    for (int64_t k = k_begin; k < k_end; ++k) {
      Vec<T> lanes[25];
      for (int64_t t = 0; t < g.taps; ++t) lanes[t] = Vec<T>::zero();
      for (int64_t n = first_image; n < first_image + images; ++n) {
        for (int64_t i = first_row; i < first_row + rows; i += g.chain_rows) {
          Vec<T> chain[25];
          for (int64_t t = 0; t < g.taps; ++t) chain[t] = Vec<T>::zero();
          weigh_rows(p, x + (n * p.c + group) * p.h * p.w,
                     y + (n * p.k + group * p.k_per_group + k) * p.p * p.q,
                     {i, smaller(i + g.chain_rows, first_row + rows), first_col, cols}, chain);
          for (int64_t t = 0; t < g.taps; ++t) lanes[t] = lanes[t] + chain[t];
        }
      }
      for (int64_t t = 0; t < g.taps; ++t) *sums++ += sum_of_lanes(lanes[t]);
    }
    return;
  }
  // The window of a full block also serves a shorter last one: offsets stay the same.
  Window window = window_of(g.row, g.block_rows);
  Pixels pixels = {images,       rows,           ceil_div(cols, W),           (cols - 1) % W + 1,
                   g.chain_rows, g.image_planes, window.output_step * g.line, g.y.image,
                   g.y.row,      g.y.channel};
  T* y_slot = slot + g.block_images * g.image_planes;
  if (g.y_pitch) {
    pixels.y_filter = g.block_rows * g.y_pitch;
    pixels.y_image = kMaxFilters * pixels.y_filter;
    pixels.y_row = g.y_pitch;
  }

  for (int64_t c_begin = 0; c_begin < p.c_per_group; c_begin += g.chunk_channels) {
    int64_t channels = smaller(g.chunk_channels, p.c_per_group - c_begin);
    for (int64_t n = 0; n < images; ++n) {
      const T* image =
          x + (first_image + n) * g.x.image + (group * p.c_per_group + c_begin) * g.x.channel;
      for (int64_t i = 0; i < window.slots; ++i) {
        if (window.gaps && i % window.tap_step >= rows) continue;
        int64_t h = position_of(window, g.row, first_row, i);
        const T* from = h < 0 || h >= p.h ? nullptr : image + h * g.x.row;
        for_each_part(g.packing, first_col * p.stride_w,
                      [&](int64_t at, int64_t phases, int64_t low) {
                        T* to = slot + n * g.image_planes + i * g.line + at;
                        if (g.x.col == 1) {
                          for (int64_t c = 0; c < channels; ++c) {
                            copy_line(to + c * g.plane, g.packing.pitch, p.stride_w, phases,
                                      from ? from + c * g.x.channel : nullptr, 1, p.w, low);
                          }
                        } else {
                          copy_pixels(to, g.plane, g.packing.pitch, p.stride_w, phases, from,
                                      g.x.col, channels, p.w, low);
                        }
                      });
      }
    }
    for (int64_t k = k_begin, filters; k < k_end; k += filters) {
      filters = smaller(k_end - k, kMaxFilters);
      const T* grad = y + first_image * g.y.image + (group * p.k_per_group + k) * g.y.channel +
                      first_row * g.y.row + first_col * g.y.col;
      if (g.y_pitch) {
        for (int64_t n = 0; n < images; ++n) {
          for (int64_t i = 0; i < rows; ++i) {
            copy_pixels(y_slot + n * pixels.y_image + i * pixels.y_row, pixels.y_filter,
                        round_up(cols, W), 1, 1, grad + n * g.y.image + i * g.y.row, g.y.col,
                        filters, cols, 0);
          }
        }
        grad = y_slot;
      }
      int64_t left = channels * p.r * p.s, most = max_taps(int(filters));
      const int64_t* offset = g.offset;
      T* to = sums + (k - k_begin) * g.taps + c_begin * p.r * p.s;
      while (left > 0) {
        int taps = int(ceil_div(left, ceil_div(left, most)));
        T found[kMaxFilters * kMaxTaps];
        pixel_kernel<T>(int(filters), taps)(pixels, slot, grad, offset, found);
        for (int64_t f = 0; f < filters; ++f) {
          for (int t = 0; t < taps; ++t) to[f * g.taps + t] += found[f * taps + t];
        }
        to += taps;
        offset += taps;
        left -= taps;
      }
    }
  }
}

template <class T>
void write_weights(const Wgrad<T>& g, const Conv2dProblem& p, int64_t k, const T* sums, T* out) {
  bool nchw = p.layout == Layout::kNCHW;
  int64_t c_step = nchw ? p.r * p.s : 1, s_step = nchw ? 1 : p.c_per_group, r_step = p.s * s_step;
  for (int64_t c = 0; c < p.c_per_group; ++c) {
    for (int64_t r = 0; r < p.r; ++r) {
      for (int64_t s = 0; s < p.s; ++s) {
        int64_t to_r = p.flip_kernel ? p.r - 1 - r : r, to_s = p.flip_kernel ? p.s - 1 - s : s;
        out[k * g.taps + c * c_step + to_r * r_step + to_s * s_step] = *sums++;
      }
    }
  }
}

template <class T>
void run_typed(const Conv2dProblem& p, const Conv2dArrays& arrays, const Execution& execution) {
  Arena arena(execution.workspace);
  Wgrad<T> g = plan<T>(p, execution.threads, arena);
  const T *x = static_cast<const T*>(arrays.x), *y = static_cast<const T*>(arrays.y);
  T* out = static_cast<T*>(arrays.out);
  int64_t weights = p.k * g.taps;
  run_batches(g.batches, g.units, execution.threads,
              [&](int64_t unit, int64_t worker, int64_t batch, int64_t batch_end, int64_t kept) {
                T* slot = g.slots + worker * g.slot_elems;
                T* sums = slot + g.slot_elems - 2 * g.part_filters * g.taps;
                int64_t group = unit / g.parts, k_begin = unit % g.parts * g.part_filters;
                int64_t k_end = smaller(k_begin + g.part_filters, p.k_per_group);
                int64_t count = (k_end - k_begin) * g.taps;
                T* total = g.partials + kept * weights + (group * p.k_per_group + k_begin) * g.taps;
                clear_sums(total, count);
                if (g.batches.count == 1) {
                  for (int64_t block = 0; block < g.batches.runs; ++block) {
                    add_block(g, p, x, y, group, k_begin, k_end, block, slot, total);
                  }
                  return;
                }
                T* chain = sums + g.part_filters * g.taps;
                clear_sums(chain, count);
                for (; batch < batch_end; ++batch) {
                  clear_sums(sums, count);
                  int64_t last = smaller((batch + 1) * g.batches.runs_each, g.batches.runs);
                  for (int64_t block = batch * g.batches.runs_each; block < last; ++block) {
                    add_block(g, p, x, y, group, k_begin, k_end, block, slot, sums);
                  }
                  add_batch(g.batches, batch, sums, chain, total, 0, 1, count, count);
                }
              });
  join_batches(g.batches, g.partials, weights);
  for (int64_t k = 0; k < p.k; ++k) write_weights(g, p, k, g.partials + k * g.taps, out);
}

}  // namespace

int64_t wgrad_workspace_bytes(const Conv2dProblem& p, int threads) {
  Arena arena(nullptr);
  if (p.dtype == DType::kFloat32) {
    plan<float>(p, threads, arena);
  } else {
    plan<double>(p, threads, arena);
  }
  return arena.used_bytes();
}

void run_wgrad(const Conv2dProblem& p, const Conv2dArrays& arrays, const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, arrays, execution);
  } else {
    run_typed<double>(p, arrays, execution);
  }
}

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
