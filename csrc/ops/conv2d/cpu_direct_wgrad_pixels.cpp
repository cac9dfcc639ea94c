// conv2d.wgrad.direct, many filters: vectors lie along the filters, x comes as broadcast elements.
// A run is up to kRunTerms pixels. Chains of up to kBlockTerms of them are summed in registers by
// blocks of vectors x taps and added to the sums of the batch, in memory. grad_y is read in place
// in NHWC and turned run by run in NCHW; x is copied row by row for its padding. Order: pixels of a
// run in order, runs of a batch in order, batches in order.
#include "ops/conv2d/cpu_direct_lines.h"

namespace ck {
namespace CK_ISA {
namespace direct {

// In NCHW a few taps do not pay for turning grad_y, if vectors along its rows lose few lanes.
bool fits_wgrad_pixels(const Conv2dProblem& p) {
  int64_t lanes = p.dtype == DType::kFloat32 ? kLanes<float> : kLanes<double>;
  bool few_taps = p.c_per_group * p.r * p.s < 32 && 8 * round_up(p.q, lanes) <= 9 * p.q;
  if (p.layout == Layout::kNCHW && few_taps) return false;
  return 2 * p.k_per_group > lanes;
}

namespace {

constexpr int kMostVectors = kManyRegisters ? 4 : 2;
constexpr int kMostTaps = 12;
constexpr int64_t kStripBytes = 512 << 10;

constexpr int max_taps(int vectors) {
  if (kManyRegisters) return vectors <= 2 ? 12 : 24 / vectors;
  return vectors == 1 ? 8 : 6;
}

struct Run {
  int64_t rows, cols;
  int64_t x_row, x_col, y_row, y_col;
};

// Adds to sums[t * pitch + k], for kTaps taps and kVectors vectors of filters, the products of all
// pixels of the run.
template <class T, int kVectors, int kTaps>
void run_block(const Run& run, const T* x, const T* y, const int64_t* offset, int64_t filters,
               T* sums, int64_t pitch) {
  typedef Vec<T> V;
  constexpr int W = kLanes<T>;
  V sum[kTaps][kVectors];
#pragma GCC unroll 16
  for (int t = 0; t < kTaps; ++t) {
#pragma GCC unroll 8
    for (int k = 0; k < kVectors; ++k) sum[t][k] = V::zero();
  }
  const T* tap[kTaps];
#pragma GCC unroll 16
  for (int t = 0; t < kTaps; ++t) tap[t] = x + offset[t];
  bool whole = filters >= kVectors * W;
  uint32_t last = first_lanes(whole ? W : filters - (kVectors - 1) * W);
  for (int64_t i = 0; i < run.rows; ++i) {
    const T* grad = y + i * run.y_row;
    int64_t at = i * run.x_row;
    for (int64_t j = 0; j < run.cols; ++j) {
      V factor[kVectors];
#pragma GCC unroll 8
      for (int k = 0; k < kVectors; ++k) {
        bool part = k == kVectors - 1 && !whole;
        factor[k] = part ? V::load_masked(grad + k * W, last) : V::load(grad + k * W);
      }
#pragma GCC unroll 16
      for (int t = 0; t < kTaps; ++t) {
        V source = V::broadcast(tap[t][at]);
#pragma GCC unroll 8
        for (int k = 0; k < kVectors; ++k) {
          sum[t][k] = multiply_add(source, factor[k], sum[t][k]);
        }
      }
      grad += run.y_col;
      at += run.x_col;
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < kTaps; ++t) {
#pragma GCC unroll 8
    for (int k = 0; k < kVectors; ++k) {
      T* to = sums + t * pitch + k * W;
      (V::load(to) + sum[t][k]).store(to);
    }
  }
}

template <class T>
using RunKernel = void (*)(const Run&, const T*, const T*, const int64_t*, int64_t, T*, int64_t);

template <class T, int kVectors, int kTaps = max_taps(kVectors)>
RunKernel<T> kernel_of(int taps) {
  if constexpr (kTaps > 1) {
    if (taps < kTaps) return kernel_of<T, kVectors, kTaps - 1>(taps);
  }
  return run_block<T, kVectors, kTaps>;
}

template <class T>
RunKernel<T> kernel(int64_t vectors, int taps) {
  if (vectors == 1) return kernel_of<T, 1>(taps);
  if (vectors == 2) return kernel_of<T, 2>(taps);
  if (vectors == 3) return kernel_of<T, (kMostVectors < 3 ? 1 : 3)>(taps);
  return kernel_of<T, kMostVectors>(taps);
}

template <class T>
struct Wgrad {
  Axis row;
  Strides x, y;
  bool nchw;
  int64_t run_rows, run_cols, strips, tiles;
  int64_t chain_rows, chain_cols;  // pieces of a run
  Batches batches;
  int64_t taps, filters;                // filters of a group, filled up to whole vectors
  LinePacking packing;                  // of the copy of x
  int64_t channel, x_col, line, strip;  // from channel to channel, and so on
  int64_t y_pixels, part_filters, parts, units, slot_elems;
  int64_t* offset;  // of each tap, in the order of w
  T *slots, *sums;
};

template <class T>
Wgrad<T> plan(const Conv2dProblem& p, int threads, Arena& arena) {
  constexpr int64_t W = kLanes<T>;
  Wgrad<T> g = {};
  g.nchw = p.layout == Layout::kNCHW;
  g.row = AxisRule{false, p.p, p.r, p.stride_h, p.dilation_h, p.pad_top}.axis(0);
  g.x = strides_of(p.layout, p.c, p.h, p.w);
  g.y = strides_of(p.layout, p.k, p.p, p.q);
  g.taps = p.c_per_group * p.r * p.s;
  g.filters = round_up(p.k_per_group, W);

  g.run_cols = smaller(p.q, kRunTerms);
  g.run_rows = clamp(kRunTerms / g.run_cols, 1, p.p);
  // Columns keep the order of the source, unless taps are far apart.
  int64_t cols = (g.run_cols - 1) * p.stride_w + (p.s - 1) * p.dilation_w + 1;
  int64_t pixel = g.nchw ? 1 : p.c_per_group;  // elements from column to column
  bool by_tap = packs_by_tap(cols, p.s, g.run_cols);
  int64_t* starts = arena.take<int64_t>(p.s);
  if (by_tap) {
    g.packing = {p.s, round_up(g.run_cols * pixel, W), p.stride_w, -p.pad_left, starts};
  } else {
    g.packing = {1, round_up(cols * pixel, W), 1, -p.pad_left, nullptr};
  }
  g.line = g.packing.phases * g.packing.pitch;
  // Rows of a run overlap in x: more of them cost less to copy, as long as they fit a cache.
  int64_t planes = g.nchw ? p.c_per_group : 1;
  while (g.run_rows > 1 &&
         window_of(g.row, g.run_rows).slots * g.line * planes * int64_t(sizeof(T)) > kStripBytes) {
    g.run_rows = (g.run_rows + 1) / 2;
  }
  int64_t slots = window_of(g.row, g.run_rows).slots;
  g.channel = g.nchw ? slots * g.line : 1;
  g.x_col = (by_tap ? 1 : p.stride_w) * pixel;
  g.strip = slots * g.line * planes;
  g.strips = ceil_div(p.p, g.run_rows);
  g.tiles = ceil_div(p.q, g.run_cols);
  g.parts = clamp(ceil_div(threads, p.groups), 1, g.filters / W);
  g.part_filters = round_up(ceil_div(g.filters, g.parts), W);
  g.parts = ceil_div(g.filters, g.part_filters);
  g.units = p.groups * g.parts;
  int64_t partial = p.groups * g.taps * g.filters;
  g.chain_cols = smaller(g.run_cols, kBlockTerms);
  g.chain_rows = kBlockTerms / g.chain_cols;
  int64_t chains = ceil_div(g.run_rows, g.chain_rows) * ceil_div(g.run_cols, g.chain_cols);
  g.batches = batches_of(p.n * g.strips * g.tiles, larger(kBlockTerms / chains, 1), g.units,
                         partial * int64_t(sizeof(T)), threads);
  g.y_pixels = g.nchw ? g.run_rows * round_up(g.run_cols, W) : 0;
  g.slot_elems = g.strip + g.y_pixels * g.part_filters + 2 * g.taps * g.part_filters;
  g.slot_elems = round_up(g.slot_elems, 64 / int64_t(sizeof(T)));
  g.offset = arena.take<int64_t>(g.taps);
  g.slots = arena.take<T>(larger(threads, 1) * g.slot_elems);
  g.sums = arena.take<T>(partial * g.batches.kept());
  if (g.offset == nullptr) return g;

  for (int64_t s = 0; s < p.s; ++s) starts[s] = s * p.dilation_w - p.pad_left;
  Window window = window_of(g.row, g.run_rows);
  int64_t w_r = g.nchw ? p.s : p.s * p.c_per_group, w_s = g.nchw ? 1 : p.c_per_group;
  int64_t w_c = g.nchw ? p.r * p.s : 1;
  for (int64_t c = 0; c < p.c_per_group; ++c) {
    for (int64_t r = 0; r < p.r; ++r) {
      for (int64_t s = 0; s < p.s; ++s) {
        int64_t to_r = p.flip_kernel ? p.r - 1 - r : r, to_s = p.flip_kernel ? p.s - 1 - s : s;
        g.offset[c * w_c + to_r * w_r + to_s * w_s] =
            c * g.channel + (window.base + r * window.tap_step) * g.line +
            s * (by_tap ? g.packing.pitch : p.dilation_w * pixel);
      }
    }
  }
  return g;
}

// Where one run lies.
struct Place {
  int64_t image, row, rows, col, cols, group;
};

template <class T>
void copy_x(const Wgrad<T>& g, const Conv2dProblem& p, const T* x, const Place& at, T* to) {
  Window window = window_of(g.row, g.run_rows);
  int64_t channels = p.c_per_group;
  const T* image = x + at.image * g.x.image + at.group * channels * g.x.channel;
  for (int64_t i = 0; i < window.slots; ++i, to += g.line) {
    if (window.gaps && i % window.tap_step >= at.rows) continue;
    int64_t h = position_of(window, g.row, at.row, i);
    const T* from = h < 0 || h >= p.h ? nullptr : image + h * g.x.row;
    for_each_part(g.packing, at.col * p.stride_w, [&](int64_t place, int64_t, int64_t low) {
      if (!g.nchw) {
        copy_groups(to + place, g.packing.pitch, g.packing.step, from, g.x.col, channels, p.w, low);
        return;
      }
      for (int64_t c = 0; c < channels; ++c) {
        copy_line(to + c * g.channel + place, g.packing.pitch, g.packing.step, 1,
                  from ? from + c * g.x.channel : nullptr, 1, p.w, low);
      }
    });
  }
}

template <class T>
void add_run(const Wgrad<T>& g, const Conv2dProblem& p, const T* x, const T* y, const Place& at,
             int64_t k_begin, T* slot, T* sums) {
  constexpr int64_t W = kLanes<T>;
  copy_x(g, p, x, at, slot);
  int64_t filters = smaller(g.part_filters, p.k_per_group - k_begin);
  const T* grad = y + at.image * g.y.image + (at.group * p.k_per_group + k_begin) * g.y.channel +
                  at.row * g.y.row + at.col * g.y.col;
  Run run = {at.rows, at.cols, window_of(g.row, g.run_rows).output_step * g.line,
             g.x_col, g.y.row, g.y.col};
  if (g.nchw) {
    T* turned = slot + g.strip;
    run.y_col = g.part_filters;
    run.y_row = round_up(at.cols, W) * run.y_col;
    for (int64_t i = 0; i < at.rows; ++i) {
      turn(turned + i * run.y_row, run.y_col, grad + i * g.y.row, g.y.channel, filters, at.cols);
    }
    grad = turned;
  }
  for (int64_t k = 0, vectors; k < filters; k += vectors * W) {
    int64_t left_vectors = ceil_div(filters - k, W);
    vectors = ceil_div(left_vectors, ceil_div(left_vectors, kMostVectors));
    // Turned filters are filled up with zeros, those in place end where the array may end.
    int64_t readable = g.nchw ? vectors * W : filters - k;
    int64_t most = max_taps(int(vectors));
    for (int64_t t = 0, taps; t < g.taps; t += taps) {
      int64_t left = g.taps - t;
      taps = ceil_div(left, ceil_div(left, most));
      RunKernel<T> add_chain = kernel<T>(vectors, int(taps));
      for (int64_t i = 0; i < at.rows; i += g.chain_rows) {
        for (int64_t j = 0; j < at.cols; j += g.chain_cols) {
          Run chain = run;
          chain.rows = smaller(g.chain_rows, at.rows - i);
          chain.cols = smaller(g.chain_cols, at.cols - j);
          add_chain(chain, slot + i * run.x_row + j * run.x_col,
                    grad + i * run.y_row + j * run.y_col + k, g.offset + t, readable,
                    sums + t * g.part_filters + k, g.part_filters);
        }
      }
    }
  }
}

template <class T>
void run_typed(const Conv2dProblem& p, const Conv2dArrays& arrays, const Execution& execution) {
  Arena arena(execution.workspace);
  Wgrad<T> g = plan<T>(p, execution.threads, arena);
  const T *x = static_cast<const T*>(arrays.x), *y = static_cast<const T*>(arrays.y);
  int64_t partial = p.groups * g.taps * g.filters;

  run_batches(g.batches, g.units, execution.threads,
              [&](int64_t unit, int64_t worker, int64_t batch, int64_t batch_end, int64_t kept) {
                T* slot = g.slots + worker * g.slot_elems;
                T* sums = slot + g.strip + g.y_pixels * g.part_filters;
                int64_t group = unit / g.parts, k_begin = unit % g.parts * g.part_filters;
                int64_t filters = smaller(g.part_filters, g.filters - k_begin);
                T* total = g.sums + kept * partial + group * g.taps * g.filters + k_begin;
                T* chain = sums + g.taps * g.part_filters;
                for (int64_t t = 0; t < g.taps; ++t) clear_sums(total + t * g.filters, filters);
                clear_sums(chain, g.taps * g.part_filters);
                for (; batch < batch_end; ++batch) {
                  clear_sums(sums, g.taps * g.part_filters);
                  int64_t end = smaller((batch + 1) * g.batches.runs_each, g.batches.runs);
                  for (int64_t i = batch * g.batches.runs_each; i < end; ++i) {
                    Place at = {i / g.tiles / g.strips,
                                i / g.tiles % g.strips * g.run_rows,
                                g.run_rows,
                                i % g.tiles * g.run_cols,
                                g.run_cols,
                                group};
                    at.rows = smaller(at.rows, p.p - at.row);
                    at.cols = smaller(at.cols, p.q - at.col);
                    add_run(g, p, x, y, at, k_begin, slot, sums);
                  }
                  add_batch(g.batches, batch, sums, chain, total, g.filters, g.taps, g.part_filters,
                            filters);
                }
              });
  join_batches(g.batches, g.sums, partial);
  T* out = static_cast<T*>(arrays.out);
  for (int64_t group = 0; group < p.groups; ++group) {
    turn_back(out + group * p.k_per_group * g.taps, g.taps, g.sums + group * g.taps * g.filters,
              g.filters, p.k_per_group, g.taps);
  }
}

}  // namespace

int64_t wgrad_pixels_workspace_bytes(const Conv2dProblem& p, int threads) {
  Arena arena(nullptr);
  if (p.dtype == DType::kFloat32) {
    plan<float>(p, threads, arena);
  } else {
    plan<double>(p, threads, arena);
  }
  return arena.used_bytes();
}

void run_wgrad_pixels(const Conv2dProblem& p, const Conv2dArrays& arrays,
                      const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, arrays, execution);
  } else {
    run_typed<double>(p, arrays, execution);
  }
}

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
