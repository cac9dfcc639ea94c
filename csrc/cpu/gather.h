// Convolution as a gather: which source pixel an output pixel reads under a tap, for fprop, wgrad
// and (by stride classes) dgrad alike.
//
// Along one axis: source = i * stride + offset + t * offset_step for output index i and tap t.
// fprop has offset -pad and step dilation. In dgrad only taps with r * dilation = h + pad (mod
// stride) reach pixel h; the pixels of one class (h + pad) mod stride share their taps and read the
// rows of grad_y at stride 1. Taps are listed so that offsets ascend, which makes neighbouring taps
// neighbours in memory; `index` says which weight a tap is.
#pragma once

#include <cstdint>

#include "cpu/gemm.h"

namespace ck {
namespace CK_ISA {

static CK_INLINE int64_t floor_div(int64_t a, int64_t b) {
  return a >= 0 ? a / b : -((b - 1 - a) / b);
}
static CK_INLINE int64_t floor_mod(int64_t a, int64_t b) { return a - floor_div(a, b) * b; }

static CK_INLINE int64_t greatest_common_divisor(int64_t a, int64_t b) {
  while (b != 0) {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

struct Axis {
  int64_t source;               // size of the source
  int64_t taps;                 // may be 0
  int64_t stride;               // source steps per output index
  int64_t offset, offset_step;  // source offset of tap t: offset + t * offset_step
  int64_t index, index_step;    // weight index of tap t, likewise
  int64_t count, first,
      step;  // output indices: i in [0, count) is element first + i * step of the output

  CK_INLINE int64_t weight_of(int64_t t) const { return index + t * index_step; }

  // Strided sources are read phase by phase: source rows of equal residue modulo stride, so that a
  // tap reads consecutive elements. Residues of the taps repeat with this period; phases no tap
  // reads are left out.
  CK_INLINE int64_t phases() const {
    const int64_t step_size = offset_step < 0 ? -offset_step : offset_step;
    const int64_t period = stride / greatest_common_divisor(stride, step_size);
    return taps < period ? taps : period;
  }
  CK_INLINE int64_t phase_slot(int64_t t) const { return t % max_of(1, phases()); }
  CK_INLINE int64_t residue(int64_t slot) const {
    return floor_mod(offset + slot * offset_step, stride);
  }
  CK_INLINE int64_t shift(int64_t t) const { return floor_div(offset + t * offset_step, stride); }
  CK_INLINE int64_t phase_size() const { return ceil_div(source, stride); }
};

static CK_INLINE Axis forward_axis(int64_t source, int64_t filter, int64_t out, int64_t stride,
                                   int64_t pad, int64_t dilation, bool flip) {
  return {source, filter, stride, -pad, dilation, flip ? filter - 1 : 0, flip ? -1 : 1, out, 0, 1};
}

// The same taps in the order of the weights. Where only tables see the offsets (NCHW), that order
// lets weights be used as they lie.
static CK_INLINE Axis in_weight_order(Axis axis) {
  if (axis.index_step > 0 || axis.taps == 0) return axis;
  axis.offset += (axis.taps - 1) * axis.offset_step;
  axis.offset_step = -axis.offset_step;
  axis.index += (axis.taps - 1) * axis.index_step;
  axis.index_step = -axis.index_step;
  return axis;
}

// The pixels first, first + stride, ... of the input (size `out`): they get their gradient from the
// same taps.
static CK_INLINE Axis backward_axis(int64_t out, int64_t filter, int64_t source, int64_t stride,
                                    int64_t pad, int64_t dilation, bool flip, int64_t first) {
  const int64_t klass = (first + pad) % stride;
  const int64_t tap_step = stride / greatest_common_divisor(dilation, stride);
  int64_t r = 0;
  while (r < tap_step && r < filter && r * dilation % stride != klass) ++r;
  Axis axis = {source, 0,     1, 0, 1, 0, 1, first < out ? (out - 1 - first) / stride + 1 : 0,
               first,  stride};
  if (r >= tap_step || r >= filter) return axis;
  axis.taps = (filter - 1 - r) / tap_step + 1;
  const int64_t last = r + (axis.taps - 1) * tap_step;     // the largest r has the smallest offset
  axis.offset = (first + pad - last * dilation) / stride;  // exact by the choice of class
  axis.offset_step = tap_step * dilation / stride;
  axis.index = flip ? filter - 1 - last : last;
  axis.index_step = flip ? tap_step : -tap_step;
  return axis;
}

}  // namespace CK_ISA
}  // namespace ck
