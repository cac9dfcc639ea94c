// The sums of pool2d.strict, for one pixel of the result and any source of numbers (a lane's, or
// vectors of them). A source gives value(pixel), share(pixel, divisor) = value / divisor, and
// chosen(window, pixel): the window's gradient where its index is that pixel, else 0.
#pragma once

#include "core/strict_terms.h"
#include "ops/pool2d/problem.h"

namespace ck {
namespace CK_BUILD {

// How many pixels of window i an average counts along one axis.
static CK_SHARED_FUNCTION int64_t counted_pixels(int64_t i, int64_t stride, int64_t taps,
                                                 int64_t pad, int64_t size, int64_t pad_end,
                                                 bool include_pad) {
  const int64_t start = i * stride - pad;
  if (include_pad) return lesser(start + taps, size + pad_end) - start;
  return lesser(start + taps, size) - greater(start, 0);
}
static CK_SHARED_FUNCTION int64_t counted_rows(const Pool2dProblem& p, int64_t i) {
  return counted_pixels(i, p.stride_h, p.r, p.pad_top, p.h, p.pad_bottom, p.count_include_pad);
}
static CK_SHARED_FUNCTION int64_t counted_columns(const Pool2dProblem& p, int64_t j) {
  return counted_pixels(j, p.stride_w, p.s, p.pad_left, p.w, p.pad_right, p.count_include_pad);
}

// The windows [first, last] of one axis that reach padded coordinate t.
static CK_SHARED_FUNCTION int64_t first_reaching(int64_t t, int64_t stride, int64_t reach) {
  return t > reach ? (t - reach + stride - 1) / stride : 0;
}
static CK_SHARED_FUNCTION int64_t last_reaching(int64_t t, int64_t stride, int64_t windows) {
  return lesser(windows - 1, t / stride);
}

// The window's pixels, row by row, over their counted number.
struct AveragePool {
  Pool2dProblem p;

  template <class Source>
  CK_SHARED_FUNCTION typename Source::Value at(int64_t i, int64_t j, const Source& source) const {
    using T = typename Source::Number;
    const int64_t top = i * p.stride_h - p.pad_top, left = j * p.stride_w - p.pad_left;
    const int64_t bottom = lesser(top + p.r, p.h), right = lesser(left + p.s, p.w);
    StrictSum<typename Source::Value> sum;
    for (int64_t h = greater(top, 0); h < bottom; ++h) {
      for (int64_t w = greater(left, 0); w < right; ++w) sum.add(source.value(h * p.w + w));
    }
    return divided(sum.total(), T(counted_rows(p, i)) * T(counted_columns(p, j)));
  }
};

// The gradients of the windows that hold the pixel, each over its counted number, row by row.
struct AveragePoolGradient {
  Pool2dProblem p;

  template <class Source>
  CK_SHARED_FUNCTION typename Source::Value at(int64_t h, int64_t w, const Source& source) const {
    using T = typename Source::Number;
    const int64_t t_h = h + p.pad_top, t_w = w + p.pad_left;
    const int64_t last_i = last_reaching(t_h, p.stride_h, p.p);
    const int64_t first_j = first_reaching(t_w, p.stride_w, p.s - 1);
    const int64_t last_j = last_reaching(t_w, p.stride_w, p.q);
    StrictSum<typename Source::Value> sum;
    for (int64_t i = first_reaching(t_h, p.stride_h, p.r - 1); i <= last_i; ++i) {
      const T rows = T(counted_rows(p, i));
      for (int64_t j = first_j; j <= last_j; ++j)
        sum.add(source.share(i * p.q + j, rows * T(counted_columns(p, j))));
    }
    return sum.total();
  }
};

// Of the windows that have the pixel among theirs, row by row, the gradients of those whose index
// it is; the others are terms of 0.
struct MaxPoolGradient {
  Pool2dProblem p;

  template <class Source>
  CK_SHARED_FUNCTION typename Source::Value at(int64_t h, int64_t w, const Source& source) const {
    const int64_t t_h = h + p.pad_top, t_w = w + p.pad_left;
    const int64_t last_i = last_reaching(t_h, p.stride_h, p.p);
    const int64_t first_j = first_reaching(t_w, p.stride_w, (p.s - 1) * p.dilation_w);
    const int64_t last_j = last_reaching(t_w, p.stride_w, p.q);
    StrictSum<typename Source::Value> sum;
    for (int64_t i = first_reaching(t_h, p.stride_h, (p.r - 1) * p.dilation_h); i <= last_i; ++i) {
      if ((t_h - i * p.stride_h) % p.dilation_h != 0) continue;
      for (int64_t j = first_j; j <= last_j; ++j) {
        if ((t_w - j * p.stride_w) % p.dilation_w != 0) continue;
        sum.add(source.chosen(i * p.q + j, h * p.w + w));
      }
    }
    return sum.total();
  }
};

// For profilers and reports of the GPU's side.
static inline const char* strict_name(const Pool2dProblem&, Direction direction) {
  return direction == Direction::kFprop ? "pool2d.fprop.strict" : "pool2d.dgrad.strict";
}

}  // namespace CK_BUILD
}  // namespace ck
