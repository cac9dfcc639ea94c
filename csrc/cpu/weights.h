// Convolution weights as an operand: one strided view for fprop and dgrad in both layouts, and how
// it is packed.
//
// An element has an outer index (channel of the result), an inner one (channel of the source) and a
// tap. In NCHW the weights are A and gemm_k is (inner, tap); in NHWC they are B and gemm_k is (tap,
// inner), as the source lies.
#pragma once

#include <cstdint>

#include "cpu/gather.h"
#include "cpu/operands.h"

namespace ck {
namespace CK_ISA {

template <class T>
struct WeightView {
  const T* at;
  int64_t outer, inner;  // sizes
  int64_t outer_stride, inner_stride, tap_stride;
  int64_t filter_width;
  Axis h, w;

  int64_t taps() const { return h.taps * w.taps; }
  int64_t depth() const { return inner * taps(); }
  int64_t tap_offset(int64_t t) const {
    return (h.weight_of(t / w.taps) * filter_width + w.weight_of(t % w.taps)) * tap_stride;
  }
  // gemm_k, counted as (inner, tap), is contiguous: rows may be used where they lie.
  bool rows_are_contiguous() const {
    return tap_stride == 1 && inner_stride == taps() && h.index_step == 1 && w.index_step == 1;
  }
};

// Rows [i, i + count) of the block of gemm_k that begins at k.
template <class T>
static void pack_rows(const WeightView<T>& weights, int64_t i, int64_t count, int64_t k,
                      const PackedRows<T>& to) {
  const int64_t depth = min_of(kDepthBlock, weights.depth() - k);
  const int64_t taps = weights.taps();
  T* row = to.row(k / kDepthBlock, i);
  const T* from = weights.at + i * weights.outer_stride;
  if (weights.rows_are_contiguous()) {
    for (int64_t n = 0; n < count; ++n, row += kPackedRow<T>, from += weights.outer_stride) {
      copy_run(from + k, depth, row);
    }
    return;
  }
  if (taps == 1 && weights.outer_stride == 1) {
    from += k * weights.inner_stride + weights.tap_offset(0);
    transpose(from, weights.inner_stride, depth, count, row, int64_t(kPackedRow<T>));
    return;
  }
  // Taps that lie side by side, in whole filters or in rows of them, are copied together.
  int64_t run = 1;
  if (weights.tap_stride == 1 && weights.w.index_step == 1) {
    run = weights.w.taps;
    if (weights.h.index_step == 1 && run == weights.filter_width) run = taps;
  }
  for (int64_t d = 0; d < depth;) {
    const int64_t inner = (k + d) / taps, tap = (k + d) % taps;
    const int64_t length = min_of(run - tap % run, depth - d);
    const T* element = from + inner * weights.inner_stride + weights.tap_offset(tap);
    if (run == 1) {
      for (int64_t n = 0; n < count; ++n) {
        row[n * kPackedRow<T> + d] = element[n * weights.outer_stride];
      }
    } else {
      for (int64_t n = 0; n < count; ++n) {
        copy_run(element + n * weights.outer_stride, length, row + n * kPackedRow<T> + d);
      }
    }
    d += length;
  }
}

// Panel j / kTileCols of the block of gemm_k that begins at k.
template <class T>
static void pack_panel(const WeightView<T>& weights, int64_t j, int64_t k,
                       const PackedPanels<T>& to) {
  const int64_t depth = min_of(kDepthBlock, weights.depth() - k);
  const int64_t width = min_of(kTileCols<T>, weights.outer - j);
  T* panel = to.panel(k, depth, j);
  for (int64_t d = 0; d < depth;) {
    const int64_t tap = (k + d) / weights.inner, inner = (k + d) % weights.inner;
    const int64_t run = min_of(depth - d, weights.inner - inner);
    const T* from = weights.at + j * weights.outer_stride + weights.tap_offset(tap) +
                    inner * weights.inner_stride;
    if (weights.inner_stride == 1) {
      transpose(from, weights.outer_stride, width, run, panel + d * kTileCols<T>,
                int64_t(kTileCols<T>));
    } else {
      for (int64_t n = 0; n < run; ++n) {
        copy_run(from + n * weights.inner_stride, width, panel + (d + n) * kTileCols<T>);
      }
    }
    d += run;
  }
}

}  // namespace CK_ISA
}  // namespace ck
