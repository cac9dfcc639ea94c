// Forward pooling of NCHW planes, row by row: each image row is reduced along its windows once, and
// an output row then reduces the rows its windows span. A window of R x S costs R/stride + S
// operations, not R * S, and visits its pixels in row-major order, so the first of equal maxima (or
// NaNs) wins.
//
// Image rows are first copied to scratch, split by column phase (column modulo stride) and framed
// by what padding stands for: after that every tap is one contiguous run, whatever stride, dilation
// and padding were, and whole vectors are the only case. The copy costs a load and a store an
// element; without it stride 2 shuffles each tap anew, and each edge wants loops of its own.
//
// A strip of output columns keeps the reduced rows in a ring in scratch, small enough for L1.
// Padding of a maximum is -inf. A best that ends as -inf therefore may name a padding pixel; then
// every pixel of the window is -inf, and the index is that of the window's first pixel.
#pragma once

#include "ops/pool2d/cpu_rows.h"

namespace ck {
namespace CK_ISA {
namespace {

struct PlanesForwardPlan {
  int64_t planes, strips, strip_q, bands, band_p;
  int64_t tile_h, tile_w;  // the window, dilated
  int64_t phases, phase_elems;
  bool by_pixel;  // windows too wide for scratch: straight from the image, pixel by pixel
  int64_t taps;   // rows, or columns, of a window that are reduced at a time
  int64_t ring, row_elems;
  int64_t units, parts;
};

template <class T>
PlanesForwardPlan plan_planes_forward(const Pool2dProblem& p, int threads) {
  PlanesForwardPlan g = {};
  g.planes = p.n * p.c;
  g.tile_h = (p.r - 1) * p.dilation_h + 1;
  g.tile_w = (p.s - 1) * p.dilation_w + 1;
  g.ring = min_of(g.tile_h, p.h);

  g.strips = ceil_div(p.q, max_of(kLanes<T>, min_of(2048, 32768 / g.ring)));
  g.strip_q = ceil_div(p.q, g.strips);
  g.row_elems = round_up(g.strip_q, kLanes<T>);
  g.phases = min_of(p.stride_w, g.tile_w);
  g.phase_elems = round_up((g.tile_w - 1) / p.stride_w + g.row_elems, kLanes<T>);
  g.by_pixel = g.phases * g.phase_elems > 65536 || g.tile_w > 2 * p.w + kWideMargin;
  if (g.by_pixel) g.phases = g.phase_elems = 0;
  g.taps = max_of(taps_seen(p.r, p.dilation_h, p.h), g.by_pixel ? 0 : p.s);

  // Bands of rows only where planes alone do not feed the threads: neighbours reduce rows twice.
  g.bands = bands_for(p.p, g.planes * g.strips, threads);
  g.band_p = ceil_div(p.p, g.bands);
  g.bands = ceil_div(p.p, g.band_p);
  g.units = g.planes * g.strips * g.bands;
  g.parts = parts_for(g.units, threads);
  return g;
}

template <class T, Pooling kPooling>
class PlanesForward {
 public:
  static PlanesForward take(Arena& arena, const PlanesForwardPlan& g) {
    PlanesForward self;
    const int64_t places = kIndexed ? g.row_elems : 0;
    self.pixels_ = arena.take<T>(g.phases * g.phase_elems);
    self.ring_best_ = arena.take<T>(g.ring * g.row_elems);
    self.ring_place_ = arena.take<Place<T>>(g.ring * places);
    self.ring_row_ = arena.take<int64_t>(g.ring);
    self.values_ = arena.take<const T*>(g.taps);
    self.places_ = arena.take<const Place<T>*>(g.taps);
    self.shifts_ = arena.take<Place<T>>(g.taps);
    self.best_ = arena.take<T>(g.row_elems);
    self.place_ = arena.take<Place<T>>(places);
    self.columns_ = arena.take<T>(kIsMax ? 0 : g.row_elems);
    return self;
  }

  void run(const Pool2dProblem& problem, const PlanesForwardPlan& plan, const Pool2dArrays& arrays,
           Span units) {
    p_ = &problem;
    g_ = &plan;
    int64_t framed_strip = -1;
    for (int64_t unit = units.begin; unit < units.end; ++unit) {  // planes fastest: strips stay
      const int64_t plane = unit % plan.planes;
      const int64_t strip = unit / plan.planes % plan.strips;
      const int64_t band = unit / plan.planes / plan.strips;
      q0_ = strip * plan.strip_q;
      q_count_ = min_of(plan.strip_q, problem.q - q0_);
      if (strip != framed_strip) frame_strip();
      framed_strip = strip;
      x_ = static_cast<const T*>(arrays.x) + plane * problem.h * problem.w;
      const int64_t out = plane * problem.p * problem.q + q0_;
      y_ = static_cast<T*>(arrays.out) + out;
      indices_ = kIndexed ? arrays.indices_out + out : nullptr;
      for (int64_t i = 0; i < plan.ring; ++i) ring_row_[i] = -1;
      const int64_t last = min_of(problem.p, (band + 1) * plan.band_p);
      for (int64_t i = band * plan.band_p; i < last; ++i) output_row(i);
    }
  }

 private:
  static constexpr bool kIsMax = kPooling != Pooling::kAverage;
  static constexpr bool kIndexed = kPooling == Pooling::kMaxIndexed;

  // Padding never changes within a strip: rows overwrite only what lies inside the image.
  void frame_strip() {
    fill(pixels_, g_->phases * g_->phase_elems, kIsMax ? kMinusInfinity<T> : T(0));
    if constexpr (!kIsMax) {
      for (int64_t j = 0; j < g_->row_elems; ++j) {
        columns_[j] = j < q_count_ ? T(counted_columns(*p_, q0_ + j)) : T(1);
      }
    }
  }

  void output_row(int64_t i) {
    const Pool2dProblem& p = *p_;
    const int64_t start = i * p.stride_h - p.pad_top;
    const TapRange rows = taps_inside(start, p.dilation_h, p.r, p.h);
    for (int64_t r = rows.lo; r < rows.hi; ++r) {
      const int64_t h = start + r * p.dilation_h;
      if (ring_row_[h % g_->ring] == h) continue;
      reduce_row(h, h % g_->ring);
      ring_row_[h % g_->ring] = h;
    }
    for (int64_t t = 0; t < rows.size(); ++t) {
      const int64_t r = rows.lo + t;
      const int64_t at = (start + r * p.dilation_h) % g_->ring * g_->row_elems;
      values_[t] = ring_best_ + at;
      if constexpr (kIndexed) {
        places_[t] = ring_place_ + at;
        shifts_[t] = Place<T>(t * p.dilation_h * p.w);
      }
    }
    if constexpr (kIsMax) {
      if (rows.size() > 0) {
        max_of_rows<T, kIndexed, kIndexed>(rows.size(), values_, places_, shifts_, g_->row_elems,
                                           best_, place_);
      } else {
        fill(best_, q_count_, kMinusInfinity<T>);
      }
      if constexpr (kIndexed) store_indices(indices_ + i * p.q, start, rows);
    } else {
      sum_of_rows(rows.size(), values_, g_->row_elems, best_);
      const T height = T(counted_rows(p, i));
      for (int64_t j = 0; j < g_->row_elems; ++j) best_[j] /= columns_[j] * height;
    }
    move(y_ + i * p.q, best_, q_count_);
  }

  void reduce_row(int64_t h, int64_t slot) {
    const Pool2dProblem& p = *p_;
    const T* const row = x_ + h * p.w;
    T* const best = ring_best_ + slot * g_->row_elems;
    Place<T>* const place = kIndexed ? ring_place_ + slot * g_->row_elems : nullptr;
    if (g_->by_pixel) {
      for (int64_t j = 0; j < q_count_; ++j) {
        reduce_pixel(row, (q0_ + j) * p.stride_w - p.pad_left, best + j,
                     kIndexed ? place + j : nullptr);
      }
      return;
    }
    for (int64_t k = 0; k < g_->phases; ++k) {
      // Padded column q0 * stride + k + j * stride is image column `column` + j * stride.
      const int64_t column = q0_ * p.stride_w + k - p.pad_left;
      const TapRange inside = taps_inside(column, p.stride_w, g_->phase_elems, p.w);
      copy_pixels(pixels_ + k * g_->phase_elems + inside.lo, 1,
                  row + column + inside.lo * p.stride_w, p.stride_w, inside.size(), 1);
    }
    for (int64_t s = 0; s < p.s; ++s) {
      const int64_t t = s * p.dilation_w;
      values_[s] = pixels_ + t % p.stride_w * g_->phase_elems + t / p.stride_w;
      if constexpr (kIndexed) shifts_[s] = Place<T>(t);
    }
    if constexpr (kIsMax) {
      max_of_rows<T, kIndexed, false>(p.s, values_, nullptr, shifts_, g_->row_elems, best, place);
    } else {
      sum_of_rows(p.s, values_, g_->row_elems, best);
    }
  }

  void reduce_pixel(const T* row, int64_t left, T* best, Place<T>* place) {
    const Pool2dProblem& p = *p_;
    const TapRange inside = taps_inside(left, p.dilation_w, p.s, p.w);
    T value = kMinusInfinity<T>;
    LongSum<T> sum;
    int64_t winner = 0;
    for (int64_t s = inside.lo; s < inside.hi; ++s) {
      const T other = row[left + s * p.dilation_w];
      if constexpr (kIsMax) {
        if (other > value || (other != other && value == value)) {
          value = other;
          winner = (s - inside.lo) * p.dilation_w;
        }
      } else {
        sum.add(other);
      }
    }
    *best = kIsMax ? value : sum.total();
    if constexpr (kIndexed) *place = Place<T>(winner);
  }

  // Places count from the window's first row inside the image, and from the window's left end or,
  // by pixel, from its first column inside.
  void store_indices(int64_t* out, int64_t top, TapRange rows) {
    const Pool2dProblem& p = *p_;
    if (rows.size() == 0) return fill(out, q_count_, int64_t(-1));
    const int64_t first = (top + rows.lo * p.dilation_h) * p.w;
    const auto columns_of = [&](int64_t j) {
      return taps_inside((q0_ + j) * p.stride_w - p.pad_left, p.dilation_w, p.s, p.w);
    };
    typename Vec<T>::RawBits lowest = {};
    for (int64_t j = 0; j < g_->row_elems; j += kLanes<T>) {
      lowest |= Vec<T>::load(best_ + j).raw == kMinusInfinity<T>;
    }
    for (int64_t j = 0; j < q_count_; ++j) {
      out[j] = first + (q0_ + j) * p.stride_w - p.pad_left + place_[j];
      if (g_->by_pixel) out[j] += columns_of(j).lo * p.dilation_w;
    }
    bool any = false;
    for (int i = 0; i < kLanes<T>; ++i) any |= lowest[i] != 0;
    if (!any) return;
    for (int64_t j = 0; j < q_count_; ++j) {
      if (best_[j] != kMinusInfinity<T>) continue;
      const int64_t left = (q0_ + j) * p.stride_w - p.pad_left;
      const TapRange columns = columns_of(j);
      out[j] = columns.size() > 0 ? first + left + columns.lo * p.dilation_w : -1;
    }
  }

  const Pool2dProblem* p_;
  const PlanesForwardPlan* g_;
  T* pixels_;             // the row being reduced, by phase
  T* ring_best_;          // reduced rows
  Place<T>* ring_place_;  // where in its row each maximum was
  int64_t* ring_row_;     // which row a slot holds
  const T** values_;
  const Place<T>** places_;
  Place<T>* shifts_;
  T* best_;
  Place<T>* place_;
  T* columns_;  // average: counted columns of each window
  int64_t q0_, q_count_;
  const T* x_;
  T* y_;
  int64_t* indices_;
};

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
