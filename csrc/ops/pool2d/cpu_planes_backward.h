// An average's gradient on NCHW planes, by gather: each row of grad_x adds the output rows whose
// windows cover it, and then, along the row, the windows that cover each pixel; both in ascending
// order. Nothing is scattered, and every element is written once.
//
// Output rows are first copied to scratch as gradient / divisor. With pixels split by column phase
// (column modulo stride) each tap is one contiguous run, as in cpu_planes_forward.h.
#pragma once

#include "ops/pool2d/cpu_rows.h"

namespace ck {
namespace CK_ISA {
namespace {

struct PlanesBackwardPlan {
  int64_t planes;
  int64_t first_j, all_j, strip_j, strips;  // padded column = j * stride_w + phase
  int64_t reach;                            // how many windows start left of a pixel's own j
  int64_t bands, band_h;
  int64_t ring, source_elems, phase_elems;
  bool by_pixel;  // windows too wide, or too few a row, for phases
  int64_t units, parts;
};

template <class T>
PlanesBackwardPlan plan_planes_backward(const Pool2dProblem& p, int threads) {
  PlanesBackwardPlan g = {};
  g.planes = p.n * p.c;
  g.ring = min_of(p.p, (p.r - 1) / p.stride_h + 1);
  g.reach = (p.s - 1) / p.stride_w;
  g.first_j = p.pad_left / p.stride_w;
  g.all_j = (p.pad_left + p.w - 1) / p.stride_w + 1 - g.first_j;
  const int64_t strip_elems = max_of(kLanes<T>, min_of(2048, 32768 / g.ring));
  g.strips = ceil_div(g.all_j, max_of(1, strip_elems / min_of(p.stride_w, 4)));
  g.strip_j = ceil_div(g.all_j, g.strips);
  g.phase_elems = round_up(g.strip_j, kLanes<T>);
  g.source_elems = round_up(g.reach + g.phase_elems, kLanes<T>);
  g.by_pixel = g.all_j * 4 <= kLanes<T> || g.reach > 2 * (g.all_j + p.q) + kWideMargin ||
               max_of(p.stride_w * g.phase_elems, g.ring * g.source_elems) > (int64_t(1) << 20);
  if (g.by_pixel) {
    g.ring = g.source_elems = g.phase_elems = g.reach = 0;
    g.strips = 1;
  }
  g.bands = bands_for(p.h, g.planes * g.strips, threads);
  g.band_h = ceil_div(p.h, g.bands);
  g.bands = ceil_div(p.h, g.band_h);
  g.units = g.planes * g.strips * g.bands;
  g.parts = parts_for(g.units, threads);
  return g;
}

template <class T>
class PlanesBackward {
 public:
  static PlanesBackward take(Arena& arena, const Pool2dProblem& p, const PlanesBackwardPlan& g) {
    PlanesBackward self;
    self.ring_grad_ = arena.take<T>(g.ring * g.source_elems);
    self.ring_row_ = arena.take<int64_t>(g.ring);
    self.column_sums_ = arena.take<T>(g.source_elems);
    self.phases_ = arena.take<T>(g.by_pixel ? 0 : p.stride_w * g.phase_elems);
    self.divisors_ = arena.take<T>(g.source_elems);
    self.sources_ = arena.take<const T*>(max_of(g.ring, g.reach + 1));
    return self;
  }

  void run(const Pool2dProblem& problem, const PlanesBackwardPlan& plan, const Pool2dArrays& arrays,
           Span units) {
    p_ = &problem;
    g_ = &plan;
    int64_t framed_strip = -1;
    for (int64_t unit = units.begin; unit < units.end; ++unit) {
      const int64_t plane = unit % plan.planes;
      const int64_t strip = unit / plan.planes % plan.strips;
      const int64_t band = unit / plan.planes / plan.strips;
      j0_ = plan.first_j + strip * plan.strip_j;
      q0_ = j0_ - plan.reach;
      if (strip != framed_strip && !plan.by_pixel) frame_strip();
      framed_strip = strip;
      grad_y_ = static_cast<const T*>(arrays.y) + plane * problem.p * problem.q;
      T* const grad_x = static_cast<T*>(arrays.out) + plane * problem.h * problem.w;
      for (int64_t i = 0; i < plan.ring; ++i) ring_row_[i] = -1;
      const int64_t last = min_of(problem.h, (band + 1) * plan.band_h);
      for (int64_t h = band * plan.band_h; h < last; ++h) {
        T* const row = grad_x + h * problem.w;
        if (plan.by_pixel) {
          row_by_pixel(h, row);
        } else {
          row_by_phase(h, row);
        }
      }
    }
  }

 private:
  // Windows beyond the output are framed as gradient 0; rows never touch the frame.
  void frame_strip() {
    fill(ring_grad_, g_->ring * g_->source_elems, T(0));
    q_lo_ = max_of(0, q0_);
    q_hi_ = max_of(q_lo_, min_of(p_->q, q0_ + g_->source_elems));
    for (int64_t q = q_lo_; q < q_hi_; ++q) divisors_[q - q0_] = T(counted_columns(*p_, q));
  }

  int64_t load_output_row(int64_t i) {
    const int64_t slot = i % g_->ring;
    if (ring_row_[slot] == i) return slot;
    ring_row_[slot] = i;
    const T height = T(counted_rows(*p_, i));
    T* const grad = ring_grad_ + slot * g_->source_elems + q_lo_ - q0_;
    const T* const from = grad_y_ + i * p_->q + q_lo_;
    const T* const columns = divisors_ + q_lo_ - q0_;
    for (int64_t j = 0; j < q_hi_ - q_lo_; ++j) grad[j] = from[j] / (columns[j] * height);
    return slot;
  }

  void row_by_phase(int64_t h, T* row) {
    const Pool2dProblem& p = *p_;
    const Span rows = covering(h + p.pad_top, p.stride_h, p.r, p.p);
    int64_t taps = 0;
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      sources_[taps++] = ring_grad_ + load_output_row(i) * g_->source_elems;
    }
    sum_of_rows(taps, sources_, g_->source_elems, column_sums_);
    for (int64_t k = 0; k < p.stride_w; ++k) {
      taps = 0;
      for (int64_t d = g_->reach; d >= 0; --d) {
        if (d * p.stride_w + k < p.s) sources_[taps++] = column_sums_ + g_->reach - d;
      }
      sum_of_rows(taps, sources_, g_->phase_elems, phases_ + k * g_->phase_elems);
    }
    store_row(row);
  }

  void store_row(T* row) {
    const Pool2dProblem& p = *p_;
    if (p.stride_w == 2) {
      // Whole pairs together, then what is left at either end.
      const int64_t count = min_of(g_->strip_j, g_->first_j + g_->all_j - j0_);
      const int64_t first = j0_ * 2 >= p.pad_left ? 0 : 1;
      const int64_t column = (j0_ + first) * 2 - p.pad_left;
      const int64_t pairs = max_of(0, min_of(count - first, (p.w - column) / 2));
      interleave_two(row + column, phases_ + first, phases_ + g_->phase_elems + first, pairs);
      if (first == 1) row[0] = phases_[g_->phase_elems];
      if (column + 2 * pairs < p.w && first + pairs < count) {
        row[column + 2 * pairs] = phases_[first + pairs];
      }
      return;
    }
    for (int64_t k = 0; k < p.stride_w; ++k) {
      const int64_t column = j0_ * p.stride_w + k - p.pad_left;
      const TapRange inside = taps_inside(column, p.stride_w, g_->strip_j, p.w);
      copy_pixels(row + column + inside.lo * p.stride_w, p.stride_w,
                  phases_ + k * g_->phase_elems + inside.lo, 1, inside.size(), 1);
    }
  }

  void row_by_pixel(int64_t h, T* row) {
    const Pool2dProblem& p = *p_;
    const Span rows = covering(h + p.pad_top, p.stride_h, p.r, p.p);
    for (int64_t w = 0; w < p.w; ++w) {
      const Span columns = covering(w + p.pad_left, p.stride_w, p.s, p.q);
      LongSum<T> sum;
      for (int64_t i = rows.begin; i < rows.end; ++i) {
        const T height = T(counted_rows(p, i));
        for (int64_t j = columns.begin; j < columns.end; ++j) {
          sum.add(grad_y_[i * p.q + j] / (T(counted_columns(p, j)) * height));
        }
      }
      row[w] = sum.total();
    }
  }

  const Pool2dProblem* p_;
  const PlanesBackwardPlan* g_;
  T* ring_grad_;
  int64_t* ring_row_;
  T* column_sums_;  // covering rows added up
  T* phases_;       // the row of grad_x, by phase
  T* divisors_;     // counted columns of each window
  const T** sources_;
  int64_t j0_, q0_, q_lo_, q_hi_;
  const T* grad_y_;
};

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
