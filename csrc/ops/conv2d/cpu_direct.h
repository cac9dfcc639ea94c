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

#include "core/parallel.h"
#include "cpu/vec.h"
#include "ops/conv2d/problem.h"

namespace ck {
namespace CK_ISA {
namespace direct {

// Longest run of terms that one accumulator takes; sums of runs are added in order.
constexpr int64_t kBlockTerms = 256;

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t clamp(int64_t value, int64_t low, int64_t high) {
  return larger(low, smaller(value, high));
}
static inline int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b > 0); }  // b > 0
static inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

template <class Body>
static void parallel(int64_t count, int threads, const Body& body) {
  parallel_for(
      count, threads,
      [](void* context, int64_t index) { (*static_cast<const Body*>(context))(index); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

// Hands out aligned pieces of the workspace; with a null base it only counts the bytes.
struct Arena {
  char* base;
  int64_t used;

  template <class T>
  T* take(int64_t count) {
    T* piece = base ? reinterpret_cast<T*>(base + used) : nullptr;
    used += round_up(count * int64_t(sizeof(T)), 64);
    return piece;
  }
};

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

// Copies one line of the source, zeros outside of it, so that position low + f + i * step lands in
// to[f * pitch + i], for the first `phases` values of f.
template <class T>
static void copy_line(T* to, int64_t pitch, int64_t step, int64_t phases, const T* from,
                      int64_t from_stride, int64_t extent, int64_t low) {
  for (int64_t f = 0; f < phases; ++f, to += pitch) {
    int64_t start = low + f, begin = pitch, end = pitch;
    if (from) {
      begin = start >= 0 ? 0 : smaller(ceil_div(-start, step), pitch);
      end = start >= extent ? begin : clamp(ceil_div(extent - start, step), begin, pitch);
    }
    for (int64_t i = 0; i < begin; ++i) to[i] = 0;
    int64_t stride = step * from_stride, count = end - begin;
    const T* source = count > 0 ? from + (start + begin * step) * from_stride : nullptr;
    T* line = to + begin;
    if (count <= 0) {
      // all padding
    } else if (stride == 1) {
      __builtin_memcpy(line, source, size_t(count) * sizeof(T));
    } else if (stride == 2) {
      for (int64_t i = 0; i < count; ++i) line[i] = source[2 * i];
    } else {
      for (int64_t i = 0; i < count; ++i) line[i] = source[i * stride];
    }
    for (int64_t i = larger(begin, end); i < pitch; ++i) to[i] = 0;
  }
}

int64_t gather_workspace_bytes(const Conv2dProblem&, Direction, int threads);
void run_gather(const Conv2dProblem&, Direction, const Conv2dArrays&, const Execution&);
int64_t wgrad_workspace_bytes(const Conv2dProblem&, int threads);
void run_wgrad(const Conv2dProblem&, const Conv2dArrays&, const Execution&);

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
