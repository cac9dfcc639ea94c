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
#include "cpu/sums.h"
#include "cpu/tasks.h"
#include "cpu/vec.h"
#include "ops/conv2d/problem.h"

namespace ck {
namespace CK_ISA {
namespace direct {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr bool kManyRegisters = true;  // 32 vector registers
#else
constexpr bool kManyRegisters = false;
#endif

// Longest run of terms that one accumulator takes; sums of runs are added in the levels of
// cpu/sums.h.
constexpr int64_t kBlockTerms = kChain;
// Terms that wgrad takes from one copy of x: a few chains.
constexpr int64_t kRunTerms = 256;

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

// How a line of the source is packed. Consecutive columns lie by phase (column modulo `step`), so
// that what neighbouring outputs read under a tap are neighbours: column low + f + i * step at
// [f][i]. Where a line would be mostly columns between the taps, each tap column has a phase of its
// own instead, with the columns it reads and no others.
struct LinePacking {
  int64_t phases, pitch, step, low;
  const int64_t* starts;  // by tap: the first column of each phase; null where consecutive
};

// Of columns that no tap reads a line may hold this many times as many as of the others.
constexpr int64_t kWideGaps = 4;
static inline bool packs_by_tap(int64_t consecutive, int64_t taps, int64_t count) {
  return consecutive > kWideGaps * taps * count;
}

// Calls body(place in the line, phases, column of the first) for stretches that copy_line takes.
template <class Body>
static void for_each_part(const LinePacking& line, int64_t shift, const Body& body) {
  if (line.starts == nullptr) return body(int64_t(0), line.phases, line.low + shift);
  for (int64_t f = 0; f < line.phases; ++f) {
    body(f * line.pitch, int64_t(1), line.starts[f] + shift);
  }
}

// Sums of wgrad: runs of pixels make a batch; sums of up to kSumGroup batches are added in order,
// and then those sums. All is cut by the geometry alone. Where the units of work, each with outputs
// of its own, are fewer than the threads, the sums of every batch are kept and added at the end:
// the same additions.
struct Batches {
  int64_t runs, runs_each, count;
  bool split;

  int64_t kept() const { return split ? count : 1; }
  // Whether a chain of batch sums ends with this one.
  bool closes(int64_t batch) const { return (batch + 1) % kSumGroup == 0 || batch + 1 == count; }
};

static inline Batches batches_of(int64_t runs, int64_t runs_each, int64_t units, int64_t sums_bytes,
                                 int threads) {
  const int64_t most_bytes = 32 << 20;
  Batches batches = {runs, runs_each, ceil_div(runs, runs_each), false};
  batches.split = units < 2 * threads && threads > 1 && batches.count > 1 &&
                  sums_bytes * batches.count <= most_bytes;
  return batches;
}

// Calls body(unit, worker, batch, batch_end, kept): sum these batches of the unit into place
// `kept`.
template <class Body>
static void run_batches(const Batches& batches, int64_t units, int threads, const Body& body) {
  run_tasks(units * batches.kept(), threads, [&](int64_t task, int64_t worker) {
    int64_t kept = task / units;
    int64_t end = batches.split ? kept + 1 : batches.count;
    body(task % units, worker, kept, end, kept);
  });
}

template <class T>
static void clear_sums(T* sums, int64_t count) {
  for (int64_t i = 0; i < count; ++i) sums[i] = 0;
}

template <class T>
static void add_sums(T* to, const T* from, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] += from[i];
}

// Adds the sums of batch `batch` to those of its chain, and the chain to the total where it ends.
// The total is [row][col] with rows `pitch` apart, the others have their rows side by side.
template <class T>
static void add_batch(const Batches& batches, int64_t batch, const T* sums, T* chain, T* total,
                      int64_t pitch, int64_t rows, int64_t row_pitch, int64_t cols) {
  add_sums(chain, sums, rows * row_pitch);
  if (!batches.split && !batches.closes(batch)) return;
  for (int64_t row = 0; row < rows; ++row) {
    add_sums(total + row * pitch, chain + row * row_pitch, cols);
  }
  clear_sums(chain, rows * row_pitch);
}

// Adds the sums of all batches, [batch][count], in place of the first.
template <class T>
static void join_batches(const Batches& batches, T* sums, int64_t count) {
  if (!batches.split) return;
  for (int64_t i = 0; i < count; i += kLanes<T>) {
    Vec<T> total = Vec<T>::zero(), chain = Vec<T>::zero();
    for (int64_t batch = 0; batch < batches.count; ++batch) {
      chain = chain + Vec<T>::load_first(sums + batch * count + i, count - i);
      if (!batches.closes(batch)) continue;
      total = total + chain;
      chain = Vec<T>::zero();
    }
    total.store_first(sums + i, count - i);
  }
}

template <class T>
static Epilogue<T> epilogue_of(const Conv2dProblem& p, const Conv2dArrays& arrays) {
  return {p.has_bias ? static_cast<const T*>(arrays.bias) : nullptr,
          p.has_residual ? static_cast<const T*>(arrays.residual) : nullptr, p.activation};
}

// cpu_direct_whole.cpp: the filter covers the image.
bool fits_whole(const Conv2dProblem&);
void run_whole(const Conv2dProblem&, Direction, const Conv2dArrays&, const Execution&);

// cpu_direct_channels.cpp: depthwise in NHWC.
bool fits_channels(const Conv2dProblem&, Direction);
int64_t channels_workspace_bytes(const Conv2dProblem&, Direction, int threads);
void run_channels(const Conv2dProblem&, Direction, const Conv2dArrays&, const Execution&);
int64_t channels_wgrad_workspace_bytes(const Conv2dProblem&, int threads);
void run_channels_wgrad(const Conv2dProblem&, const Conv2dArrays&, const Execution&);
bool fits_packs(const Conv2dProblem&);  // wgrad of NCHW
int64_t packs_wgrad_workspace_bytes(const Conv2dProblem&, int threads);
void run_packs_wgrad(const Conv2dProblem&, const Conv2dArrays&, const Execution&);

// cpu_direct_depthwise.cpp: one channel in, each filter alone. Whether it takes the problem, and
// for wgrad the sums of a patch of one image of grad_y.
struct Patch {
  int64_t row, row_end, col, cols;
};
bool fits_planes(const Conv2dProblem&, Direction);
void run_planes(const Conv2dProblem&, Direction, const Conv2dArrays&, const Execution&);
void weigh_rows(const Conv2dProblem&, const float* x, const float* y, const Patch&,
                Vec<float>* sums);
void weigh_rows(const Conv2dProblem&, const double* x, const double* y, const Patch&,
                Vec<double>* sums);

int64_t gather_workspace_bytes(const Conv2dProblem&, Direction, int threads);
void run_gather(const Conv2dProblem&, Direction, const Conv2dArrays&, const Execution&);
// cpu_direct_wgrad_pixels.cpp: many filters.
bool fits_wgrad_pixels(const Conv2dProblem&);
int64_t wgrad_pixels_workspace_bytes(const Conv2dProblem&, int threads);
void run_wgrad_pixels(const Conv2dProblem&, const Conv2dArrays&, const Execution&);

int64_t wgrad_workspace_bytes(const Conv2dProblem&, int threads);
void run_wgrad(const Conv2dProblem&, const Conv2dArrays&, const Execution&);

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
