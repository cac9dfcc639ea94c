// conv2d.{fprop,dgrad}.direct, NHWC, depthwise: vectors lie along the channels, every lane is a
// convolution of its own.
// Needs: as many filters as channels, 3x3 or 5x5, no dilation, stride 1 or 2 along columns.
// A tile is kPixels neighbouring outputs of a row: each vector of x serves every output whose
// window holds it, each vector of weights all outputs. Columns in the padding are multiplied as
// zeros.
// Order: r, s ascending; dgrad of stride 1 descending, as it is a convolution with the turned
// filter.
#include "ops/conv2d/cpu_direct_lines.h"

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
void run_typed(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
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

}  // namespace

int64_t channels_workspace_bytes(const Conv2dProblem& p, Direction direction, int threads) {
  if (direction == Direction::kWgrad) return channels_wgrad_workspace_bytes(p, threads);
  Arena arena(nullptr);
  if (p.dtype == DType::kFloat32) {
    arena.take<float>(p.r * p.s * round_up(p.c, kLanes<float>));
  } else {
    arena.take<double>(p.r * p.s * round_up(p.c, kLanes<double>));
  }
  return arena.used_bytes();
}

void run_channels(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
                  const Execution& execution) {
  if (direction == Direction::kWgrad) {
    run_channels_wgrad(p, arrays, execution);
  } else if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
