// What the files of the direct algorithm share: how outputs, taps and sources lie along one axis,
// and how a strip of the source is laid out so that kernels walk it without a test per element.
//
// fprop and dgrad are the same gather: an output at i reads sources i * step + offset of each tap.
// fprop has one class of outputs, with step = stride. dgrad splits the pixels of grad_x by their
// remainder modulo the stride: pixels of one class meet the same taps, at sources one apart.
//
// Numbers: padding is multiplied as a zero, never skipped, in every kernel and at every pixel; a
// pixel whose window overlaps padding thus turns NaN where the weight there is NaN or infinite.
#pragma once

#include <cstdint>

#include "cpu/epilogue.h"
#include "cpu/tasks.h"
#include "cpu/vec.h"
#include "ops/conv2d/problem.h"

namespace ck {
namespace CK_ISA {
namespace direct {

// Even and odd elements of a line, and back.
template <class T>
struct Pair {
  Vec<T> even, odd;
};

#define CK_SHUFFLE(...) \
  Vec<T> { __builtin_shufflevector(a.raw, b.raw, __VA_ARGS__) }
template <class T>
static CK_INLINE Pair<T> split_pairs(Vec<T> a, Vec<T> b) {
  if constexpr (kLanes<T> == 2) {
    return {CK_SHUFFLE(0, 2), CK_SHUFFLE(1, 3)};
  } else if constexpr (kLanes<T> == 4) {
    return {CK_SHUFFLE(0, 2, 4, 6), CK_SHUFFLE(1, 3, 5, 7)};
  } else if constexpr (kLanes<T> == 8) {
    return {CK_SHUFFLE(0, 2, 4, 6, 8, 10, 12, 14), CK_SHUFFLE(1, 3, 5, 7, 9, 11, 13, 15)};
  } else {
    return {CK_SHUFFLE(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
            CK_SHUFFLE(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)};
  }
}

// a0 b0 a1 b1 ...: the first vector in `even`, the second in `odd`.
template <class T>
static CK_INLINE Pair<T> join_pairs(Vec<T> a, Vec<T> b) {
  if constexpr (kLanes<T> == 2) {
    return {CK_SHUFFLE(0, 2), CK_SHUFFLE(1, 3)};
  } else if constexpr (kLanes<T> == 4) {
    return {CK_SHUFFLE(0, 4, 1, 5), CK_SHUFFLE(2, 6, 3, 7)};
  } else if constexpr (kLanes<T> == 8) {
    return {CK_SHUFFLE(0, 8, 1, 9, 2, 10, 3, 11), CK_SHUFFLE(4, 12, 5, 13, 6, 14, 7, 15)};
  } else {
    return {CK_SHUFFLE(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
            CK_SHUFFLE(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)};
  }
}
#undef CK_SHUFFLE

// Longest run of terms that one accumulator takes; sums of runs are added in order.
constexpr int64_t kBlockTerms = 256;

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t clamp(int64_t value, int64_t low, int64_t high) {
  return larger(low, smaller(value, high));
}
static inline int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b > 0); }  // b > 0
static inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// One class of outputs along one axis: outputs first, first + stride, ... (count of them); tap j of
// output number i reads source i * step + offset + j * offset_step with the filter's tap
// tap + j * tap_step.
struct Axis {
  int64_t first, stride, count;
  int64_t step, offset, offset_step;
  int64_t taps, tap, tap_step;
  int64_t taps_before;  // taps of the classes before this one
};

// How an axis splits into classes.
struct AxisRule {
  bool dgrad;
  int64_t outputs, taps, stride, dilation, pad;

  int64_t classes() const { return dgrad ? smaller(stride, outputs) : 1; }

  Axis axis(int64_t a) const {
    if (!dgrad) return {0, 1, outputs, stride, -pad, dilation, taps, 0, 1, 0};
    int64_t gcd = stride, rest = dilation % stride;
    while (rest) {
      int64_t next = gcd % rest;
      gcd = rest;
      rest = next;
    }
    Axis axis = {
        a, stride, ceil_div(outputs - a, stride), 1, 0, -dilation / gcd, 0, 0, stride / gcd, 0};
    for (int64_t tap = 0; tap < smaller(axis.tap_step, taps); ++tap) {
      if ((a + pad - tap * dilation) % stride) continue;
      axis.tap = tap;
      axis.offset = (a + pad - tap * dilation) / stride;
      axis.taps = ceil_div(taps - tap, axis.tap_step);
      break;
    }
    return axis;
  }
};

struct Strides {
  int64_t image, channel, row, col;
};

static inline Strides strides_of(Layout layout, int64_t channels, int64_t height, int64_t width) {
  int64_t image = channels * height * width;
  if (layout == Layout::kNCHW) return {image, height * width, width, 1};
  return {image, 1, width * channels, channels};
}

// The source positions that `count` outputs of an axis need, as slots: output i and tap j read slot
// base + i * output_step + j * tap_step. Slots are consecutive positions from `low`, or, where
// dilation leaves wide gaps, only the positions in use.
struct Window {
  int64_t slots, base, output_step, tap_step, low;
  bool gaps;
};

static inline Window consecutive_window(const Axis& axis, int64_t count) {
  int64_t reach = (axis.taps - 1) * axis.offset_step;
  int64_t base = reach < 0 ? -reach : 0;
  int64_t slots = (count - 1) * axis.step + (reach < 0 ? -reach : reach) + 1;
  return {slots, base, axis.step, axis.offset_step, axis.offset - base, false};
}

static inline Window window_of(const Axis& axis, int64_t count) {
  Window window = consecutive_window(axis, count);
  if (axis.taps * count >= window.slots) return window;
  return {axis.taps * count, 0, 1, count, axis.offset, true};
}

// The source position of a slot, for outputs that start at number `start`.
static inline int64_t position_of(const Window& window, const Axis& axis, int64_t start,
                                  int64_t slot) {
  if (!window.gaps) return start * axis.step + window.low + slot;
  int64_t tap = slot / window.tap_step, output = slot % window.tap_step;
  return (start + output) * axis.step + axis.offset + tap * axis.offset_step;
}

// Lanes of elements [at, at + kLanes) of a line of `extent` elements that lie inside it.
template <class T>
static CK_INLINE uint32_t lanes_inside(int64_t at, int64_t extent) {
  constexpr int64_t W = kLanes<T>;
  return first_lanes(clamp(extent - at, 0, W)) & ~first_lanes(clamp(-at, 0, W));
}

// Elements [at, at + kLanes) of a line, zeros outside of it.
template <class T>
static CK_INLINE Vec<T> load_inside(const T* line, int64_t at, int64_t extent) {
  if (at >= 0 && at + kLanes<T> <= extent) return Vec<T>::load(line + at);
  return Vec<T>::load_masked(line + at, lanes_inside<T>(at, extent));
}

// Copies one line of the source, zeros outside of it, so that position low + f + i * step lands in
// to[f * pitch + i], for the first `phases` values of f. `pitch` is a multiple of kLanes.
template <class T>
static void copy_line(T* to, int64_t pitch, int64_t step, int64_t phases, const T* from,
                      int64_t from_stride, int64_t extent, int64_t low) {
  constexpr int64_t W = kLanes<T>;
  if (from == nullptr) {
    for (int64_t i = 0; i < phases * pitch; i += W) Vec<T>::zero().store(to + i);
    return;
  }
  if (step == 1 && from_stride == 1) {
    for (int64_t i = 0; i < pitch; i += W) load_inside(from, low + i, extent).store(to + i);
    return;
  }
  if (step == 2 && from_stride == 1) {
    for (int64_t i = 0; i < pitch; i += W) {
      Pair<T> pair = split_pairs(load_inside(from, low + 2 * i, extent),
                                 load_inside(from, low + 2 * i + W, extent));
      pair.even.store(to + i);
      if (phases == 2) pair.odd.store(to + pitch + i);
    }
    return;
  }
  for (int64_t f = 0; f < phases; ++f, to += pitch) {
    int64_t start = low + f;
    int64_t begin = start >= 0 ? 0 : smaller(ceil_div(-start, step), pitch);
    int64_t end = start >= extent ? begin : clamp(ceil_div(extent - start, step), begin, pitch);
    for (int64_t i = 0; i < begin; ++i) to[i] = 0;
    for (int64_t i = begin; i < end; ++i) to[i] = from[(start + i * step) * from_stride];
    for (int64_t i = end; i < pitch; ++i) to[i] = 0;
  }
}

template <class T>
static Epilogue<T> epilogue_of(const Conv2dProblem& p, const Conv2dArrays& arrays) {
  return {p.has_bias ? static_cast<const T*>(arrays.bias) : nullptr,
          p.has_residual ? static_cast<const T*>(arrays.residual) : nullptr, p.activation};
}

// cpu_direct_channels.cpp: depthwise in NHWC.
bool fits_channels(const Conv2dProblem&, Direction);
int64_t channels_workspace_bytes(const Conv2dProblem&, Direction, int threads);
void run_channels(const Conv2dProblem&, Direction, const Conv2dArrays&, const Execution&);

// cpu_direct_depthwise.cpp: one channel in, each filter alone. Whether it takes the problem, and
// for wgrad the sums of rows [begin, end) of one image.
bool fits_planes(const Conv2dProblem&, Direction);
void run_planes(const Conv2dProblem&, Direction, const Conv2dArrays&, const Execution&);
void weigh_rows(const Conv2dProblem&, const float* x, const float* y, int64_t begin, int64_t end,
                Vec<float>* sums);
void weigh_rows(const Conv2dProblem&, const double* x, const double* y, int64_t begin, int64_t end,
                Vec<double>* sums);

int64_t gather_workspace_bytes(const Conv2dProblem&, Direction, int threads);
void run_gather(const Conv2dProblem&, Direction, const Conv2dArrays&, const Execution&);
int64_t wgrad_workspace_bytes(const Conv2dProblem&, int threads);
void run_wgrad(const Conv2dProblem&, const Conv2dArrays&, const Execution&);

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
