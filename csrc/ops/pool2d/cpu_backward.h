// Backward pooling by gather: each row of grad_x visits the output rows whose windows cover it, and
// in them the windows that cover each pixel, output rows and columns ascending. Nothing is
// scattered, so rows are independent, and every element is written once.
//
// Output rows are first copied to scratch: for a maximum as (gradient, place), where place is the
// index relative to the first pixel row of the window and -1 for an index that is no pixel of it;
// for an average as gradient / divisor, whose rows can be summed before columns are. With pixels
// split by column phase (column modulo stride), each tap is one contiguous run.
#pragma once

#include "ops/pool2d/cpu_rows.h"

namespace ck {
namespace CK_ISA {
namespace {

struct BackwardPlan {
  int64_t pitch, channel_blocks, planes;
  int64_t first_j, strip_j, strips;  // padded column = j * stride_w + phase
  int64_t reach;                     // how many windows start left of a pixel's own j
  int64_t bands, band_h;
  int64_t ring, source_elems, phase_elems;
  bool by_pixel;
  int64_t units, chunks;
};

template <class T>
static BackwardPlan plan_backward(const Pool2dProblem& p, int threads) {
  const bool nhwc = p.layout == Layout::kNHWC;
  BackwardPlan g = {};
  g.channel_blocks = nhwc ? ceil_div(p.c, 64) : 1;
  g.pitch = nhwc ? ceil_div(p.c, g.channel_blocks) : 1;
  g.planes = nhwc ? p.n * g.channel_blocks : p.n * p.c;
  g.ring = least(p.p, (p.r - 1) * p.dilation_h / p.stride_h + 1);
  g.reach = (p.s - 1) * p.dilation_w / p.stride_w;

  g.first_j = p.pad_left / p.stride_w;
  const int64_t all_j = (p.pad_left + p.w - 1) / p.stride_w + 1 - g.first_j;
  const int64_t strip_elems = most(kLanes<T>, least(2048, 32768 / g.ring));
  g.strip_j = most(1, least(all_j, strip_elems / g.pitch / least(p.stride_w, 4)));
  g.strips = ceil_div(all_j, g.strip_j);
  g.strip_j = ceil_div(all_j, g.strips);
  g.phase_elems = round_up(g.strip_j * g.pitch, kLanes<T>);
  g.source_elems = round_up(g.reach * g.pitch + g.phase_elems, kLanes<T>);
  g.by_pixel = all_j * g.pitch * 4 <= kLanes<T> ||
               most(p.stride_w * g.phase_elems, g.ring * g.source_elems) > (int64_t(1) << 20);
  if (g.by_pixel) {
    g.ring = g.source_elems = g.phase_elems = g.reach = 0;
    g.strips = 1;
  }

  const int64_t wanted = threads > 1 ? 4 * int64_t(threads) : 1;
  g.bands = most(1, least(p.h, wanted / most(1, g.planes * g.strips)));
  g.band_h = ceil_div(p.h, g.bands);
  g.bands = ceil_div(p.h, g.band_h);
  g.units = g.planes * g.strips * g.bands;
  g.chunks = least(g.units, wanted);
  return g;
}

template <class T>
struct BackwardScratch {
  T* ring_grad;
  BitsFor<T>* ring_place;
  int64_t* ring_row;
  T* column_sums;       // average: covering rows added up
  T* phases;            // the row of grad_x, by phase
  BitsFor<T>* columns;  // maximum: image column of each pixel of phase 0
  T* divisor_columns;   // average: counted columns of each window
  const T** grads;
  const BitsFor<T>** places;
  BitsFor<T>* shifts;

  // How many windows cover a pixel, at most; also enough for rows alone or columns alone.
  static int64_t pairs(const Pool2dProblem& p, const BackwardPlan& g) {
    return most(g.ring, 1) * least(p.s, g.reach + 1);
  }

  int64_t carve(const Pool2dProblem& p, const BackwardPlan& g, char* base) {
    Carver carver = {base, 0};
    ring_grad = carver.take<T>(g.ring * g.source_elems);
    ring_place = carver.take<BitsFor<T>>(p.is_max ? g.ring * g.source_elems : 0);
    ring_row = carver.take<int64_t>(g.ring);
    column_sums = carver.take<T>(p.is_max ? 0 : g.source_elems);
    phases = carver.take<T>(p.stride_w * g.phase_elems);
    columns = carver.take<BitsFor<T>>(p.is_max ? g.phase_elems : 0);
    divisor_columns = carver.take<T>(p.is_max ? 0 : g.source_elems);
    grads = carver.take<const T*>(pairs(p, g));
    places = carver.take<const BitsFor<T>*>(p.is_max ? pairs(p, g) : 0);
    shifts = carver.take<BitsFor<T>>(p.is_max ? pairs(p, g) : 0);
    return carver.used;
  }
};

// Elementwise sum of the gradients whose place is the pixel's own.
template <class T>
static void gather_rows(int64_t taps, const T* const* grads, const BitsFor<T>* const* places,
                        const BitsFor<T>* shifts, const BitsFor<T>* columns, int64_t elems,
                        T* out) {
  typedef typename Vec<T>::Raw Raw;
  typedef typename Vec<T>::RawBits Places;
  for (int64_t i = 0; i < elems; i += kLanes<T>) {
    Places own;
    __builtin_memcpy(&own, columns + i, sizeof(own));
    Raw total = {};
    for (int64_t first = 0; first < taps; first += kSumBlock) {
      const int64_t end = least(taps, first + kSumBlock);
      Raw sum = {};
      for (int64_t t = first; t < end; ++t) {
        Places place;
        __builtin_memcpy(&place, places[t] + i, sizeof(place));
        // A gradient elsewhere counts as +0, also where it is infinite or NaN.
        const Places here = place == own + shifts[t];
        sum += Raw(Places(Vec<T>::load(grads[t] + i).raw) & here);
      }
      total = first == 0 ? sum : total + sum;
    }
    Vec<T>{total}.store(out + i);
  }
}

template <class T, bool kIsMax>
class Backward {
 public:
  Backward(const Pool2dProblem& p, const BackwardPlan& g, const Pool2dArrays& arrays, char* scratch)
      : p_(p), g_(g), arrays_(arrays) {
    s_.carve(p, g, scratch);
  }

  void run_units(int64_t begin, int64_t end) {
    int64_t framed_strip = -1;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t plane = unit % g_.planes;
      const int64_t strip = unit / g_.planes % g_.strips;
      const int64_t band = unit / g_.planes / g_.strips;
      j0_ = g_.first_j + strip * g_.strip_j;
      q0_ = j0_ - g_.reach;
      if (strip != framed_strip && !g_.by_pixel) frame_strip();
      framed_strip = strip;
      place_plane(plane);
      for (int64_t i = 0; i < g_.ring; ++i) s_.ring_row[i] = -1;
      const int64_t last = least(p_.h, (band + 1) * g_.band_h);
      for (int64_t h = band * g_.band_h; h < last; ++h) {
        if (g_.by_pixel) {
          row_by_pixel(h);
          continue;
        }
        if constexpr (kIsMax) {
          maximum_row(h);
        } else {
          average_row(h);
        }
        store_row(h);
      }
    }
  }

 private:
  // Windows beyond the output are framed as gradient 0 at no pixel; rows never touch the frame.
  void frame_strip() {
    fill(s_.ring_grad, g_.ring * g_.source_elems, T(0));
    if constexpr (kIsMax) {
      fill(s_.ring_place, g_.ring * g_.source_elems, BitsFor<T>(-1));
      for (int64_t i = 0; i < g_.phase_elems; ++i) {
        s_.columns[i] = BitsFor<T>((j0_ + i / g_.pitch) * p_.stride_w - p_.pad_left);
      }
    } else {
      for (int64_t i = 0; i < g_.source_elems; ++i) {
        const int64_t q = q0_ + i / g_.pitch;
        s_.divisor_columns[i] = T(counted(q, p_.stride_w, p_.s, p_.pad_left, p_.pad_right, p_.w));
      }
    }
    const int64_t source_pixels = g_.source_elems / g_.pitch;
    q_lo_ = most(0, q0_);
    q_hi_ = most(q_lo_, least(p_.q, q0_ + source_pixels));
  }

  int64_t counted(int64_t i, int64_t stride, int64_t taps, int64_t lo, int64_t hi,
                  int64_t size) const {
    const int64_t start = i * stride - lo;
    if (p_.count_include_pad) return least(start + taps, size + hi) - start;
    return least(start + taps, size) - most(start, 0);
  }

  void place_plane(int64_t plane) {
    if (p_.layout == Layout::kNCHW) {
      pixel_ = 1;
      width_ = 1;
      x_offset_ = plane * p_.h * p_.w;
      y_offset_ = plane * p_.p * p_.q;
    } else {
      const int64_t n = plane / g_.channel_blocks;
      const int64_t c = plane % g_.channel_blocks * g_.pitch;
      pixel_ = p_.c;
      width_ = least(g_.pitch, p_.c - c);
      x_offset_ = n * p_.h * p_.w * p_.c + c;
      y_offset_ = n * p_.p * p_.q * p_.c + c;
    }
  }

  int64_t load_output_row(int64_t p) {
    const int64_t slot = p % g_.ring;
    if (s_.ring_row[slot] == p) return slot;
    s_.ring_row[slot] = p;
    const int64_t offset = y_offset_ + (p * p_.q + q_lo_) * pixel_;
    const int64_t at = slot * g_.source_elems + (q_lo_ - q0_) * g_.pitch;
    T* const grad = s_.ring_grad + at;
    copy_pixels(grad, g_.pitch, static_cast<const T*>(arrays_.y) + offset, pixel_, q_hi_ - q_lo_,
                width_);
    if constexpr (kIsMax) {
      const int64_t* const indices = arrays_.indices_in + offset;
      BitsFor<T>* const place = s_.ring_place + at;
      const uint64_t base = uint64_t((p * p_.stride_h - p_.pad_top) * p_.w);
      if (width_ == 1 && pixel_ == 1) {
        for (int64_t i = 0; i < q_hi_ - q_lo_; ++i) place[i] = relative(indices[i], base);
      } else {
        for (int64_t i = 0; i < q_hi_ - q_lo_; ++i) {
          for (int64_t c = 0; c < width_; ++c) {
            place[i * g_.pitch + c] = relative(indices[i * pixel_ + c], base);
          }
        }
      }
    } else {
      const int64_t elems = (q_hi_ - q_lo_) * g_.pitch;
      const T* const columns = s_.divisor_columns + (q_lo_ - q0_) * g_.pitch;
      const T rows = T(counted(p, p_.stride_h, p_.r, p_.pad_top, p_.pad_bottom, p_.h));
      for (int64_t i = 0; i < elems; ++i) grad[i] /= columns[i] * rows;
    }
    return slot;
  }

  // Any int64 may stand in a user's index array: what does not fit is no pixel.
  static CK_INLINE BitsFor<T> relative(int64_t index, uint64_t base) {
    constexpr uint64_t kLargest = ~uint64_t(0) >> (65 - 8 * sizeof(T));
    const uint64_t place = uint64_t(index) - base;
    return place <= kLargest ? BitsFor<T>(place) : BitsFor<T>(-1);
  }

  // The output rows whose windows cover image row h, ascending, as (p, r).
  template <class Visit>
  void covering_rows(int64_t h, Visit visit) const {
    const int64_t t = h + p_.pad_top;
    const int64_t tile = (p_.r - 1) * p_.dilation_h;
    const int64_t first = t > tile ? ceil_div(t - tile, p_.stride_h) : 0;
    for (int64_t p = first; p <= least(p_.p - 1, t / p_.stride_h); ++p) {
      const int64_t offset = t - p * p_.stride_h;
      if (offset % p_.dilation_h == 0) visit(p, offset / p_.dilation_h);
    }
  }

  // Where the windows that cover a phase's pixels start, left to right, as elements before them.
  template <class Visit>
  void covering_columns(int64_t phase, Visit visit) const {
    for (int64_t d = g_.reach; d >= 0; --d) {
      const int64_t offset = d * p_.stride_w + phase;
      if (offset % p_.dilation_w == 0 && offset / p_.dilation_w < p_.s) visit(d * g_.pitch);
    }
  }

  void maximum_row(int64_t h) {
    for (int64_t k = 0; k < p_.stride_w; ++k) {
      int64_t taps = 0;
      covering_rows(h, [&](int64_t p, int64_t r) {
        const int64_t source = load_output_row(p) * g_.source_elems + g_.reach * g_.pitch;
        covering_columns(k, [&](int64_t before) {
          s_.grads[taps] = s_.ring_grad + source - before;
          s_.places[taps] = s_.ring_place + source - before;
          s_.shifts[taps++] = BitsFor<T>(r * p_.dilation_h * p_.w + k);
        });
      });
      gather_rows(taps, s_.grads, s_.places, s_.shifts, s_.columns, g_.phase_elems,
                  s_.phases + k * g_.phase_elems);
    }
  }

  void average_row(int64_t h) {
    int64_t taps = 0;
    covering_rows(h, [&](int64_t p, int64_t) {
      s_.grads[taps++] = s_.ring_grad + load_output_row(p) * g_.source_elems;
    });
    sum_of_rows(taps, s_.grads, g_.source_elems, s_.column_sums);
    for (int64_t k = 0; k < p_.stride_w; ++k) {
      taps = 0;
      covering_columns(k, [&](int64_t before) {
        s_.grads[taps++] = s_.column_sums + g_.reach * g_.pitch - before;
      });
      sum_of_rows(taps, s_.grads, g_.phase_elems, s_.phases + k * g_.phase_elems);
    }
  }

  // A row whose windows are too long for phases, or so few that phases would be nearly empty.
  void row_by_pixel(int64_t h) {
    T* const row = static_cast<T*>(arrays_.out) + x_offset_ + h * p_.w * pixel_;
    const T* const y = static_cast<const T*>(arrays_.y) + y_offset_;
    const int64_t tile = (p_.s - 1) * p_.dilation_w;
    for (int64_t w = 0; w < p_.w; ++w) {
      const int64_t t = w + p_.pad_left;
      const int64_t first = t > tile ? ceil_div(t - tile, p_.stride_w) : 0;
      const int64_t last = least(p_.q - 1, t / p_.stride_w);
      for (int64_t c = 0; c < width_; ++c) {
        T total = 0, sum = 0;
        int64_t terms = 0;
        covering_rows(h, [&](int64_t p, int64_t) {
          const int64_t rows =
              kIsMax ? 0 : counted(p, p_.stride_h, p_.r, p_.pad_top, p_.pad_bottom, p_.h);
          for (int64_t q = first; q <= last; ++q) {
            if ((t - q * p_.stride_w) % p_.dilation_w != 0) continue;
            const int64_t at = (p * p_.q + q) * pixel_ + c;
            if (kIsMax) {
              if (arrays_.indices_in[y_offset_ + at] == h * p_.w + w) sum += y[at];
            } else {
              sum += y[at] /
                     (T(counted(q, p_.stride_w, p_.s, p_.pad_left, p_.pad_right, p_.w)) * T(rows));
            }
            if (++terms % kSumBlock == 0) {
              total += sum;
              sum = 0;
            }
          }
        });
        row[w * pixel_ + c] = total + sum;
      }
    }
  }

  void store_row(int64_t h) {
    T* const row = static_cast<T*>(arrays_.out) + x_offset_ + h * p_.w * pixel_;
    const int64_t strip_end =
        least(g_.first_j + (p_.pad_left + p_.w - 1) / p_.stride_w + 1, j0_ + g_.strip_j);
    if (p_.stride_w == 2 && pixel_ == 1 && width_ == 1) {
      // Whole pairs together; the odd ends below.
      const int64_t first = j0_ * 2 >= p_.pad_left ? 0 : 1;
      const int64_t column = (j0_ + first) * 2 - p_.pad_left;
      const int64_t pairs = most(0, least(strip_end - j0_ - first, (p_.w - column) / 2));
      interleave_two(row + column, s_.phases + first, s_.phases + g_.phase_elems + first, pairs);
      if (first == 1) row[0] = s_.phases[g_.phase_elems];
      if (column + 2 * pairs < p_.w && j0_ + first + pairs < strip_end) {
        row[column + 2 * pairs] = s_.phases[first + pairs];
      }
      return;
    }
    for (int64_t k = 0; k < p_.stride_w; ++k) {
      const int64_t column = j0_ * p_.stride_w + k - p_.pad_left;
      const TapRange inside = taps_inside(column, p_.stride_w, g_.strip_j, p_.w);
      copy_pixels(row + (column + inside.lo * p_.stride_w) * pixel_, p_.stride_w * pixel_,
                  s_.phases + k * g_.phase_elems + inside.lo * g_.pitch, g_.pitch,
                  inside.hi - inside.lo, width_);
    }
  }

  const Pool2dProblem& p_;
  const BackwardPlan& g_;
  const Pool2dArrays& arrays_;
  BackwardScratch<T> s_;
  int64_t j0_ = 0, q0_ = 0, q_lo_ = 0, q_hi_ = 0;
  int64_t x_offset_ = 0, y_offset_ = 0, pixel_ = 1, width_ = 1;
};

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
