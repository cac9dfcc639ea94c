// conv2d.{fprop,dgrad,wgrad}.direct, NHWC, depthwise: vectors lie along the channels, every lane is
// a convolution of its own.
// Needs: as many filters as channels, 3x3 or 5x5, no dilation, stride 1 or 2 along columns.
// A tile is kPixels neighbouring outputs of a row: each vector of x serves every output whose
// window holds it, each vector of weights all outputs. Columns in the padding are multiplied as
// zeros. Order: r, s ascending (dgrad of stride 1 descending, a convolution with the turned
// filter); wgrad sums pixels row by row in runs of at most kBlockTerms, runs in order, batches of
// runs in order.
#include "ops/conv2d/cpu_direct.h"

namespace ck {
namespace CK_ISA {
namespace direct {

bool fits_channels(const Conv2dProblem& p, Direction direction) {
  bool side = p.r == p.s && (p.r == 3 || p.r == 5);
  if (p.layout != Layout::kNHWC || !side || p.c_per_group != 1 || p.k_per_group != 1) return false;
  if (p.dilation_h != 1 || p.dilation_w != 1) return false;
  if (direction == Direction::kDgrad && p.stride_h != p.stride_w) return false;
  return p.stride_w <= 2;
}

namespace {

constexpr int kPixels = 7;

// A row of pixels, of which a vector of channels is taken: pixel i is at[i * pitch]. A row in the
// padding has width 0.
template <class T>
struct Row {
  const T* at;
  int64_t width, pitch;
  uint32_t lanes;

  template <bool kInside>
  CK_INLINE Vec<T> pixel(int64_t i) const {
    if (kInside) return Vec<T>::load(at + i * pitch);
    return i >= 0 && i < width ? Vec<T>::load_masked(at + i * pitch, lanes) : Vec<T>::zero();
  }
};

// Adds tap row w[s * w_pitch] to the sums of outputs whose windows begin at col, col + kStride, ...
template <class T, int kSide, int kStride, int kCount, bool kInside>
CK_INLINE void filter_pixels(const Row<T>& x, int64_t col, const T* w, int64_t w_pitch,
                             Vec<T> (&sum)[kCount]) {
  Vec<T> weight[kSide];
#pragma GCC unroll 8
  for (int s = 0; s < kSide; ++s) weight[s] = Vec<T>::load(w + s * w_pitch);
#pragma GCC unroll 32
  for (int j = 0; j < (kCount - 1) * kStride + kSide; ++j) {
    Vec<T> seen = x.template pixel<kInside>(col + j);
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) {
      int s = j - i * kStride;
      if (s >= 0 && s < kSide) sum[i] = multiply_add(seen, weight[s], sum[i]);
    }
  }
}

// The same for dgrad of stride 2: pixels 2i and 2i + 1 meet the taps of one parity each, which one
// kOdd, the parity of the padding, decides. `col` is the column of grad_y that tap kOdd of pixel 0
// meets.
template <class T, int kSide, int kOdd, int kCount, bool kInside>
CK_INLINE void spread_pixels(const Row<T>& y, int64_t col, const T* w, int64_t w_pitch,
                             Vec<T> (&sum)[kCount]) {
  constexpr int kFirst = -((kSide - 1 - kOdd) / 2);
  constexpr int kSteps = (1 + kOdd) / 2 - kFirst + 1;
  Vec<T> weight[kSide];
#pragma GCC unroll 8
  for (int s = 0; s < kSide; ++s) weight[s] = Vec<T>::load(w + s * w_pitch);
#pragma GCC unroll 32
  for (int j = kCount / 2 + kSteps - 2; j >= 0; --j) {
    Vec<T> seen = y.template pixel<kInside>(col + kFirst + j);
#pragma GCC unroll 8
    for (int i = 0; i < kCount / 2; ++i) {
#pragma GCC unroll 8
      for (int s = 0; s < kSide; ++s) {
        constexpr int kEven = 16;  // keeps the halves below of whole, positive numbers
        int b = (s + kOdd) % 2, step = (b + kOdd - s + kEven) / 2 - kEven / 2;
        if (step == j + kFirst - i) {
          sum[2 * i + b] = multiply_add(seen, weight[s], sum[2 * i + b]);
        }
      }
    }
  }
}

// What the rows of one output row are made of.
template <class T>
struct RowJob {
  const T* source;  // of the image
  int64_t height, width, channels;
  int64_t row, row_step;  // source row of the first tap row in use, and from one to the next
  int64_t tap, tap_step, taps;
  const T* w;  // [r][s][channel], channels padded to whole vectors
  int64_t w_pitch;
  T* out;  // the output row
  int64_t out_width;
  int64_t col;  // of the source, for output 0
};

template <class T, int kSide, int kStride, int kOdd, int kCount>
void pixel_tile(const RowJob<T>& job, int64_t channel, uint32_t lanes, int64_t first) {
  constexpr bool kSpread = kStride == 0;
  constexpr int kReach = kSpread ? kCount / 2 + kSide : (kCount - 1) * kStride + kSide;
  Vec<T> sum[kCount];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) sum[i] = Vec<T>::zero();
  int64_t col = job.col + (kSpread ? first / 2 : first * kStride);
  int64_t low = kSpread ? col - kSide : col;
  bool inside = lanes == kAllLanes<T> && low >= 0 && col + kReach <= job.width;
  for (int64_t j = 0; j < job.taps; ++j) {
    int64_t row = job.row + j * job.row_step;
    bool used = row >= 0 && row < job.height;
    Row<T> from = {used ? job.source + row * job.width * job.channels + channel : nullptr,
                   used ? job.width : 0, job.channels, lanes};
    const T* w = job.w + (job.tap + j * job.tap_step) * kSide * job.w_pitch + channel;
    if constexpr (kSpread) {
      if (inside && used) {
        spread_pixels<T, kSide, kOdd, kCount, true>(from, col, w, job.w_pitch, sum);
      } else {
        spread_pixels<T, kSide, kOdd, kCount, false>(from, col, w, job.w_pitch, sum);
      }
    } else {
      if (inside && used) {
        filter_pixels<T, kSide, kStride, kCount, true>(from, col, w, job.w_pitch, sum);
      } else {
        filter_pixels<T, kSide, kStride, kCount, false>(from, col, w, job.w_pitch, sum);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) {
    if (kSpread && first + i >= job.out_width) break;
    T* to = job.out + (first + i) * job.channels + channel;
    if (lanes == kAllLanes<T>) {
      sum[i].store(to);
    } else {
      sum[i].store_masked(to, lanes);
    }
  }
}

template <class T, int kSide, int kStride, int kOdd, int kCount>
void pixel_tiles(const RowJob<T>& job, int64_t channel, int64_t channel_end, int64_t first) {
  for (int64_t c = channel; c < channel_end; c += kLanes<T>) {
    uint32_t lanes = first_lanes(smaller(kLanes<T>, job.channels - c));
    pixel_tile<T, kSide, kStride, kOdd, kCount>(job, c, lanes, first);
  }
}

// A few vectors of channels at a time: their weights stay in the first cache, and the row is still
// read in whole cache lines.
template <class T, int kSide, int kStride, int kOdd>
void pixel_row(const RowJob<T>& job) {
  constexpr int64_t kAtOnce = 4 * kLanes<T>;
  constexpr int kMost = kStride == 0 ? 8 : kPixels, kLeast = kStride == 0 ? 2 : 1;
  for (int64_t c = 0; c < job.channels; c += kAtOnce) {
    int64_t end = smaller(c + kAtOnce, job.channels), i = 0;
    for (; i + kMost <= job.out_width; i += kMost) {
      pixel_tiles<T, kSide, kStride, kOdd, kMost>(job, c, end, i);
    }
    if (kStride != 0 && i + 4 <= job.out_width) {
      pixel_tiles<T, kSide, kStride, kOdd, 4>(job, c, end, i);
      i += 4;
    }
    for (; i < job.out_width; i += kLeast) {
      pixel_tiles<T, kSide, kStride, kOdd, kLeast>(job, c, end, i);
    }
  }
}

template <class T>
using RowKernel = void (*)(const RowJob<T>&);

template <class T, int kSide>
RowKernel<T> row_kernel(bool spread, int64_t stride, int64_t pad) {
  if (spread) return pad % 2 ? pixel_row<T, kSide, 0, 1> : pixel_row<T, kSide, 0, 0>;
  return stride == 1 ? pixel_row<T, kSide, 1, 0> : pixel_row<T, kSide, 2, 0>;
}

template <class T>
void run_gather_typed(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
                      const Execution& execution) {
  bool dgrad = direction == Direction::kDgrad, spread = dgrad && p.stride_w == 2;
  bool turned = p.flip_kernel != (dgrad && !spread);
  int64_t w_pitch = round_up(p.c, kLanes<T>), taps = p.r * p.s;
  T* w = static_cast<T*>(execution.workspace);
  const T *weights = static_cast<const T*>(arrays.w),
          *source = static_cast<const T*>(dgrad ? arrays.y : arrays.x);
  for (int64_t t = 0; t < taps; ++t) {
    for (int64_t c = 0; c < w_pitch; ++c) {
      w[t * w_pitch + c] = c < p.c ? weights[c * taps + (turned ? taps - 1 - t : t)] : T(0);
    }
  }
  T* out = static_cast<T*>(arrays.out);
  int64_t out_h = dgrad ? p.h : p.p, out_w = dgrad ? p.w : p.q;
  RowJob<T> shared = {};
  shared.height = dgrad ? p.p : p.h;
  shared.width = dgrad ? p.q : p.w;
  shared.channels = p.c;
  shared.w = w;
  shared.w_pitch = w_pitch;
  shared.out_width = out_w;
  shared.col = spread ? p.pad_left / 2 : dgrad ? p.pad_left + 1 - p.s : -p.pad_left;
  RowKernel<T> kernel = p.r == 3 ? row_kernel<T, 3>(spread, dgrad ? 1 : p.stride_w, p.pad_left)
                                 : row_kernel<T, 5>(spread, dgrad ? 1 : p.stride_w, p.pad_left);
  Epilogue<T> epilogue = {};
  if (!dgrad) epilogue = epilogue_of<T>(p, arrays);

  run_tasks(p.n * out_h, execution.threads, [&](int64_t task, int64_t) {
    int64_t image = task / out_h, h = task % out_h;
    RowJob<T> job = shared;
    job.source = source + image * job.height * job.width * job.channels;
    job.out = out + task * out_w * p.c;
    if (spread) {
      job.tap = (h + p.pad_top) % 2;
      job.tap_step = 2;
      job.taps = (p.r - job.tap + 1) / 2;
      job.row = (h + p.pad_top - job.tap) / 2;
      job.row_step = -1;
    } else {
      job.tap_step = job.row_step = 1;
      job.taps = p.r;
      job.row = dgrad ? h + p.pad_top + 1 - p.r : h * p.stride_h - p.pad_top;
    }
    kernel(job);
    if (epilogue.empty()) return;
    for (int64_t i = 0; i < out_w; ++i) {
      T* pixel = job.out + i * p.c;
      for (int64_t c = 0; c < p.c; c += kLanes<T>) {
        uint32_t lanes = first_lanes(smaller(kLanes<T>, p.c - c));
        Vec<T> sum = Vec<T>::load_masked(pixel + c, lanes);
        sum = epilogue.apply_along_filters(sum, c, pixel + c - out, lanes);
        sum.store_masked(pixel + c, lanes);
      }
    }
  });
}

// Adds to sum[r * kSide + s], for kRows tap rows, the products of kCount pixels of grad_y with what
// they saw.
template <class T, int kSide, int kStride, int kRows, int kCount, bool kInside>
CK_INLINE void weigh_pixels(const Row<T>* x, int64_t col, const Row<T>& y, int64_t first,
                            Vec<T> (&sum)[kRows * kSide]) {
  Vec<T> grad[kCount];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) grad[i] = y.template pixel<kInside>(first + i);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 32
    for (int j = 0; j < (kCount - 1) * kStride + kSide; ++j) {
      Vec<T> seen = x[r].template pixel<kInside>(col + j);
#pragma GCC unroll 8
      for (int i = 0; i < kCount; ++i) {
        int s = j - i * kStride;
        if (s >= 0 && s < kSide) {
          sum[r * kSide + s] = multiply_add(seen, grad[i], sum[r * kSide + s]);
        }
      }
    }
  }
}

// One run: pixels [first, last) of rows [row, row_end) of an image of grad_y, tap rows r and on.
template <class T, int kSide, int kStride, int kRows>
void weigh_run(const Conv2dProblem& p, const T* x, const T* y, int64_t channel, uint32_t lanes,
               int64_t row, int64_t row_end, int64_t first, int64_t last, int64_t tap, T* sums,
               int64_t pitch) {
  Vec<T> sum[kRows * kSide];
#pragma GCC unroll 16
  for (int t = 0; t < kRows * kSide; ++t) sum[t] = Vec<T>::zero();
  constexpr int kReach = (kPixels - 1) * kStride + kSide;
  for (; row < row_end; ++row) {
    Row<T> grad = {y + row * p.q * p.c + channel, p.q, p.c, lanes}, seen[kRows];
    bool full = lanes == kAllLanes<T>;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      int64_t h = row * p.stride_h - p.pad_top + tap + r;
      bool used = h >= 0 && h < p.h;
      full = full && used;
      seen[r] = {used ? x + h * p.w * p.c + channel : nullptr, used ? p.w : 0, p.c, lanes};
    }
    int64_t i = first;
    for (; i + kPixels <= last; i += kPixels) {
      int64_t col = i * kStride - p.pad_left;
      if (full && col >= 0 && col + kReach <= p.w) {
        weigh_pixels<T, kSide, kStride, kRows, kPixels, true>(seen, col, grad, i, sum);
      } else {
        weigh_pixels<T, kSide, kStride, kRows, kPixels, false>(seen, col, grad, i, sum);
      }
    }
    for (; i < last; ++i) {
      int64_t col = i * kStride - p.pad_left;
      weigh_pixels<T, kSide, kStride, kRows, 1, false>(seen, col, grad, i, sum);
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < kRows * kSide; ++t) {
    T* to = sums + (tap * kSide + t) * pitch;
    (Vec<T>::load(to) + sum[t]).store(to);
  }
}

template <class T>
struct Weighing {
  int64_t run_rows, run_cols, strips, tiles, vectors, pitch;
  Batches batches;
  T* sums;      // [worker][tap][lane]
  T* partials;  // [batch][tap][channel]
};

template <class T>
Weighing<T> plan_weighing(const Conv2dProblem& p, int threads, Arena& arena) {
  Weighing<T> g = {};
  g.run_cols = smaller(p.q, kBlockTerms);
  g.run_rows = clamp(kBlockTerms / g.run_cols, 1, p.p);
  g.strips = ceil_div(p.p, g.run_rows);
  g.tiles = ceil_div(p.q, g.run_cols);
  g.vectors = ceil_div(p.c, kLanes<T>);
  g.pitch = g.vectors * kLanes<T>;
  int64_t partial = p.r * p.s * g.pitch;
  g.batches =
      batches_of(p.n * g.strips * g.tiles, g.vectors, partial * int64_t(sizeof(T)), threads);
  g.sums = arena.take<T>(larger(threads, 1) * p.r * p.s * kLanes<T>);
  g.partials = arena.take<T>(partial * g.batches.kept());
  return g;
}

template <class T>
void run_weighing(const Conv2dProblem& p, const Conv2dArrays& arrays, const Execution& execution) {
  constexpr int64_t W = kLanes<T>;
  Arena arena(execution.workspace);
  Weighing<T> g = plan_weighing<T>(p, execution.threads, arena);
  const T *x = static_cast<const T*>(arrays.x), *y = static_cast<const T*>(arrays.y);
  int64_t taps = p.r * p.s, rows_at_once = p.r == 3 ? 3 : 1;
  auto weigh = p.stride_w == 1 ? (p.r == 3 ? weigh_run<T, 3, 1, 3> : weigh_run<T, 5, 1, 1>)
                               : (p.r == 3 ? weigh_run<T, 3, 2, 3> : weigh_run<T, 5, 2, 1>);
  run_batches(g.batches, g.vectors, execution.threads,
              [&](int64_t unit, int64_t worker, int64_t batch, int64_t batch_end, int64_t kept) {
                int64_t channel = unit * W;
                uint32_t lanes = first_lanes(smaller(W, p.c - channel));
                T* sums = g.sums + worker * taps * W;
                T* total = g.partials + kept * taps * g.pitch + channel;
                for (int64_t t = 0; t < taps; ++t) Vec<T>::zero().store(total + t * g.pitch);
                for (; batch < batch_end; ++batch) {
                  for (int64_t t = 0; t < taps; ++t) Vec<T>::zero().store(sums + t * W);
                  int64_t end = smaller((batch + 1) * g.batches.runs_each, g.batches.runs);
                  for (int64_t run = batch * g.batches.runs_each; run < end; ++run) {
                    int64_t tile = run % g.tiles, row = run / g.tiles % g.strips * g.run_rows;
                    int64_t image = run / g.tiles / g.strips;
                    for (int64_t tap = 0; tap < p.r; tap += rows_at_once) {
                      weigh(p, x + image * p.h * p.w * p.c, y + image * p.p * p.q * p.c, channel,
                            lanes, row, smaller(row + g.run_rows, p.p), tile * g.run_cols,
                            smaller((tile + 1) * g.run_cols, p.q), tap, sums, W);
                    }
                  }
                  for (int64_t t = 0; t < taps; ++t) {
                    T* to = total + t * g.pitch;
                    (Vec<T>::load(to) + Vec<T>::load(sums + t * W)).store(to);
                  }
                }
              });
  T* out = static_cast<T*>(arrays.out);
  for (int64_t c = 0; c < p.c; ++c) {
    for (int64_t t = 0; t < taps; ++t) {
      const T* from = g.partials + t * g.pitch + c;
      T sum = from[0];
      for (int64_t batch = 1; batch < g.batches.kept(); ++batch) {
        sum += from[batch * taps * g.pitch];
      }
      out[c * taps + (p.flip_kernel ? taps - 1 - t : t)] = sum;
    }
  }
}

template <class T>
int64_t bytes_of(const Conv2dProblem& p, Direction direction, int threads) {
  Arena arena(nullptr);
  if (direction == Direction::kWgrad) {
    plan_weighing<T>(p, threads, arena);
  } else {
    arena.take<T>(p.r * p.s * round_up(p.c, kLanes<T>));
  }
  return arena.used_bytes();
}

template <class T>
void run_typed(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
               const Execution& execution) {
  if (direction == Direction::kWgrad) {
    run_weighing<T>(p, arrays, execution);
  } else {
    run_gather_typed<T>(p, direction, arrays, execution);
  }
}

}  // namespace

int64_t channels_workspace_bytes(const Conv2dProblem& p, Direction direction, int threads) {
  return p.dtype == DType::kFloat32 ? bytes_of<float>(p, direction, threads)
                                    : bytes_of<double>(p, direction, threads);
}

void run_channels(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
                  const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
