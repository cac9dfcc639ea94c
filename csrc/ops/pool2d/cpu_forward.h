// Forward pooling, row by row: each image row is reduced along its windows once, and an output row
// then reduces the rows its windows span. A window of R x S costs R/stride + S operations, not
// R * S, and visits its pixels in row-major order, so the first of equal maxima (or NaNs) wins.
//
// A strip of output columns keeps the reduced rows in a ring in scratch, small enough for L1.
// Padding of a maximum is -inf. A best that ends as -inf therefore may name a padding pixel; then
// every pixel of the window is -inf, and the index is that of the window's first pixel.
#pragma once

#include "ops/pool2d/cpu_rows.h"

namespace ck {
namespace CK_ISA {
namespace {

enum class Pooling { kMax, kMaxIndexed, kAverage };

struct ForwardPlan {
  int64_t pitch;           // elements of a pixel in scratch: 1, or a block of channels
  int64_t channel_blocks;  // of NHWC
  int64_t planes, strips, strip_q, bands, band_p;
  int64_t tile_h, tile_w;  // the window, dilated
  int64_t phases, phase_elems;
  bool by_pixel;  // reduce straight from the image, along channels
  int64_t ring, row_elems;
  int64_t units, chunks;
};

template <class T>
static ForwardPlan plan_forward(const Pool2dProblem& p, int threads) {
  const bool nhwc = p.layout == Layout::kNHWC;
  ForwardPlan g = {};
  g.channel_blocks = nhwc ? ceil_div(p.c, 64) : 1;
  g.pitch = nhwc ? ceil_div(p.c, g.channel_blocks) : 1;
  g.planes = nhwc ? p.n * g.channel_blocks : p.n * p.c;
  g.tile_h = (p.r - 1) * p.dilation_h + 1;
  g.tile_w = (p.s - 1) * p.dilation_w + 1;
  g.ring = least(g.tile_h, p.h);

  const int64_t strip_elems = most(kLanes<T>, least(2048, 32768 / g.ring));
  g.strip_q = most(1, least(p.q, strip_elems / g.pitch));
  g.strips = ceil_div(p.q, g.strip_q);
  g.strip_q = ceil_div(p.q, g.strips);
  g.row_elems = round_up(g.strip_q * g.pitch + kLanes<T>, kLanes<T>);
  g.phases = least(p.stride_w, g.tile_w);
  g.phase_elems = round_up((g.tile_w - 1) / p.stride_w * g.pitch + g.row_elems, kLanes<T>);
  g.by_pixel = g.pitch >= kLanes<T> || g.phases * g.phase_elems > 65536;
  if (g.by_pixel) g.phases = g.phase_elems = 0;

  // Bands of rows only where planes alone do not feed the threads: neighbours reduce some rows
  // twice.
  const int64_t wanted = threads > 1 ? 4 * int64_t(threads) : 1;
  g.bands = most(1, least(p.p, wanted / most(1, g.planes * g.strips)));
  g.band_p = ceil_div(p.p, g.bands);
  g.bands = ceil_div(p.p, g.band_p);
  g.units = g.planes * g.strips * g.bands;
  g.chunks = least(g.units, wanted);
  return g;
}

template <class T>
struct ForwardScratch {
  T* pixels;               // the row being reduced, by phase
  T* ring_best;            // reduced rows
  BitsFor<T>* ring_place;  // where in its row each maximum was
  int64_t* ring_row;       // which row a slot holds
  const T** values;
  const BitsFor<T>** places;
  BitsFor<T>* shifts;
  T* best;
  BitsFor<T>* place;
  T* columns;  // average: real or padded columns of each window

  int64_t carve(const Pool2dProblem& p, const ForwardPlan& g, char* base) {
    Carver carver = {base, 0};
    const int64_t taps = most(p.r, p.s);
    pixels = carver.take<T>(g.phases * g.phase_elems);
    ring_best = carver.take<T>(g.ring * g.row_elems);
    ring_place = carver.take<BitsFor<T>>(p.is_max ? g.ring * g.row_elems : 0);
    ring_row = carver.take<int64_t>(g.ring);
    values = carver.take<const T*>(taps);
    places = carver.take<const BitsFor<T>*>(taps);
    shifts = carver.take<BitsFor<T>>(taps);
    best = carver.take<T>(g.row_elems);
    place = carver.take<BitsFor<T>>(p.is_max ? g.row_elems : 0);
    columns = carver.take<T>(p.is_max ? 0 : g.row_elems);
    return carver.used;
  }
};

template <class T, Pooling kPooling>
class Forward {
 public:
  Forward(const Pool2dProblem& p, const ForwardPlan& g, const Pool2dArrays& arrays, char* scratch)
      : p_(p), g_(g), arrays_(arrays) {
    s_.carve(p, g, scratch);
  }

  void run_units(int64_t begin, int64_t end) {
    int64_t framed_strip = -1;
    for (int64_t unit = begin; unit < end; ++unit) {  // planes fastest: a strip's frame is reused
      const int64_t plane = unit % g_.planes;
      const int64_t strip = unit / g_.planes % g_.strips;
      const int64_t band = unit / g_.planes / g_.strips;
      q0_ = strip * g_.strip_q;
      q_count_ = least(g_.strip_q, p_.q - q0_);
      if (strip != framed_strip) frame_strip();
      framed_strip = strip;
      place_plane(plane);
      for (int64_t i = 0; i < g_.ring; ++i) s_.ring_row[i] = -1;
      const int64_t last = least(p_.p, (band + 1) * g_.band_p);
      for (int64_t p = band * g_.band_p; p < last; ++p) output_row(p);
    }
  }

 private:
  static constexpr bool kIsMax = kPooling != Pooling::kAverage;
  static constexpr bool kIndexed = kPooling == Pooling::kMaxIndexed;

  // Padding never changes within a strip: rows overwrite only what lies inside the image.
  void frame_strip() {
    fill(s_.pixels, g_.phases * g_.phase_elems, kIsMax ? T(-__builtin_inf()) : T(0));
    if constexpr (!kIsMax) {
      for (int64_t q = 0; q < q_count_; ++q) {
        const int64_t columns =
            clipped(q0_ + q, p_.stride_w, p_.s, p_.pad_left, p_.pad_right, p_.w);
        fill(s_.columns + q * g_.pitch, g_.pitch, T(columns));
      }
    }
  }

  // How many pixels of an average's window count, along one axis.
  int64_t clipped(int64_t i, int64_t stride, int64_t taps, int64_t lo, int64_t hi, int64_t size) {
    const int64_t start = i * stride - lo;
    if (p_.count_include_pad) return least(start + taps, size + hi) - start;
    return least(start + taps, size) - most(start, 0);
  }

  void place_plane(int64_t plane) {
    if (p_.layout == Layout::kNCHW) {
      pixel_ = 1;
      width_ = 1;
      x_ = static_cast<const T*>(arrays_.x) + plane * p_.h * p_.w;
      y_offset_ = plane * p_.p * p_.q;
    } else {
      const int64_t n = plane / g_.channel_blocks;
      const int64_t c = plane % g_.channel_blocks * g_.pitch;
      pixel_ = p_.c;
      width_ = least(g_.pitch, p_.c - c);
      x_ = static_cast<const T*>(arrays_.x) + n * p_.h * p_.w * p_.c + c;
      y_offset_ = n * p_.p * p_.q * p_.c + c;
    }
  }

  void output_row(int64_t p) {
    const int64_t start = p * p_.stride_h - p_.pad_top;
    const TapRange rows = taps_inside(start, p_.dilation_h, p_.r, p_.h);
    const int64_t taps = rows.hi - rows.lo;
    for (int64_t r = rows.lo; r < rows.hi; ++r) {
      const int64_t h = start + r * p_.dilation_h;
      if (s_.ring_row[h % g_.ring] == h) continue;
      reduce_row(h, h % g_.ring);
      s_.ring_row[h % g_.ring] = h;
    }
    for (int64_t i = 0; i < taps; ++i) {
      const int64_t r = rows.lo + i;
      const int64_t at = (start + r * p_.dilation_h) % g_.ring * g_.row_elems;
      s_.values[i] = s_.ring_best + at;
      if constexpr (kIndexed) {
        s_.places[i] = s_.ring_place + at;
        s_.shifts[i] = BitsFor<T>(r * p_.dilation_h * p_.w);
      }
    }
    const int64_t elems = q_count_ * g_.pitch;
    const int64_t whole = round_up(elems, kLanes<T>);
    if constexpr (kIsMax) {
      if (taps > 0) {
        max_of_rows<T, kIndexed, kIndexed>(taps, s_.values, s_.places, s_.shifts, whole, s_.best,
                                           s_.place);
      } else {
        fill(s_.best, elems, T(-__builtin_inf()));
        if constexpr (kIndexed) fill(s_.place, elems, BitsFor<T>(0));
      }
      if constexpr (kIndexed) store_indices(p, start, rows);
    } else {
      sum_of_rows(taps, s_.values, whole, s_.best);
      const T height = T(clipped(p, p_.stride_h, p_.r, p_.pad_top, p_.pad_bottom, p_.h));
      for (int64_t i = 0; i < elems; ++i) s_.best[i] /= s_.columns[i] * height;
    }
    T* const y = static_cast<T*>(arrays_.out) + y_offset_ + (p * p_.q + q0_) * pixel_;
    copy_pixels(y, pixel_, s_.best, g_.pitch, q_count_, width_);
  }

  void reduce_row(int64_t h, int64_t slot) {
    const T* const row = x_ + h * p_.w * pixel_;
    T* const best = s_.ring_best + slot * g_.row_elems;
    BitsFor<T>* const place = kIndexed ? s_.ring_place + slot * g_.row_elems : nullptr;
    if (g_.by_pixel) {
      reduce_by_pixel(row, best, place);
      return;
    }
    for (int64_t k = 0; k < g_.phases; ++k) {
      // Padded column q0 * stride + k + j * stride is pixel number `column` + j * stride.
      const int64_t column = q0_ * p_.stride_w + k - p_.pad_left;
      const TapRange inside = taps_inside(column, p_.stride_w, g_.phase_elems / g_.pitch, p_.w);
      copy_pixels(s_.pixels + k * g_.phase_elems + inside.lo * g_.pitch, g_.pitch,
                  row + (column + inside.lo * p_.stride_w) * pixel_, p_.stride_w * pixel_,
                  inside.hi - inside.lo, width_);
    }
    for (int64_t s = 0; s < p_.s; ++s) {
      const int64_t t = s * p_.dilation_w;
      s_.values[s] = s_.pixels + t % p_.stride_w * g_.phase_elems + t / p_.stride_w * g_.pitch;
      if constexpr (kIndexed) s_.shifts[s] = BitsFor<T>(t);
    }
    reduce_taps(p_.s, round_up(q_count_ * g_.pitch, kLanes<T>), best, place);
  }

  void reduce_by_pixel(const T* row, T* best, BitsFor<T>* place) {
    for (int64_t q = 0; q < q_count_; ++q) {
      const int64_t start = (q0_ + q) * p_.stride_w - p_.pad_left;
      const TapRange columns = taps_inside(start, p_.dilation_w, p_.s, p_.w);
      const int64_t taps = columns.hi - columns.lo;
      for (int64_t i = 0; i < taps; ++i) {
        const int64_t t = (columns.lo + i) * p_.dilation_w;
        s_.values[i] = row + (start + t) * pixel_;
        if constexpr (kIndexed) s_.shifts[i] = BitsFor<T>(t);
      }
      T* const to = best + q * g_.pitch;
      if (taps > 0) {
        reduce_taps(taps, width_, to, kIndexed ? place + q * g_.pitch : nullptr);
      } else {
        fill(to, width_, kIsMax ? T(-__builtin_inf()) : T(0));
        if constexpr (kIndexed) fill(place + q * g_.pitch, width_, BitsFor<T>(0));
      }
    }
  }

  void reduce_taps(int64_t taps, int64_t elems, T* best, BitsFor<T>* place) {
    if constexpr (kIsMax) {
      max_of_rows<T, kIndexed, false>(taps, s_.values, nullptr, s_.shifts, elems, best, place);
    } else {
      sum_of_rows(taps, s_.values, elems, best);
    }
  }

  void store_indices(int64_t p, int64_t start_h, TapRange rows) {
    int64_t* const out = arrays_.indices_out + y_offset_ + (p * p_.q + q0_) * pixel_;
    const int64_t origin = start_h * p_.w + q0_ * p_.stride_w - p_.pad_left;
    bool lowest = false;
    if (width_ == 1 && pixel_ == 1) {
      for (int64_t q = 0; q < q_count_; ++q) {
        out[q] = origin + q * p_.stride_w + s_.place[q];
        lowest |= s_.best[q] == T(-__builtin_inf());
      }
    } else {
      for (int64_t q = 0; q < q_count_; ++q) {
        for (int64_t c = 0; c < width_; ++c) {
          out[q * pixel_ + c] = origin + q * p_.stride_w + s_.place[q * g_.pitch + c];
          lowest |= s_.best[q * g_.pitch + c] == T(-__builtin_inf());
        }
      }
    }
    if (!lowest) return;
    for (int64_t q = 0; q < q_count_; ++q) {
      const int64_t start_w = (q0_ + q) * p_.stride_w - p_.pad_left;
      const TapRange columns = taps_inside(start_w, p_.dilation_w, p_.s, p_.w);
      const bool meets_pixel = rows.lo < rows.hi && columns.lo < columns.hi;
      const int64_t first =
          (start_h + rows.lo * p_.dilation_h) * p_.w + start_w + columns.lo * p_.dilation_w;
      for (int64_t c = 0; c < width_; ++c) {
        if (s_.best[q * g_.pitch + c] == T(-__builtin_inf())) {
          out[q * pixel_ + c] = meets_pixel ? first : -1;
        }
      }
    }
  }

  const Pool2dProblem& p_;
  const ForwardPlan& g_;
  const Pool2dArrays& arrays_;
  ForwardScratch<T> s_;
  int64_t q0_ = 0, q_count_ = 0;
  const T* x_ = nullptr;
  int64_t y_offset_ = 0, pixel_ = 1, width_ = 1;
};

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
