// Numbers of conv2d.strict that are made one by one, on both sides: gradients of pixels that
// padding shows once more.
#pragma once

#include "core/strict_sum.h"
#include "ops/conv2d/problem.h"

namespace ck {
namespace CK_BUILD {

// Elements between neighbours along each axis of an image, or of the filters (k, c, r, s).
struct StrictStrides {
  int64_t outer, channel, row, column;
};
static CK_SHARED_FUNCTION StrictStrides strict_strides(Layout layout, int64_t c, int64_t h,
                                                       int64_t w) {
  if (layout == Layout::kNCHW) return {c * h * w, h * w, w, 1};
  return {c * h * w, 1, w * c, c};
}

// Of w: tap (r, s) of the window lies elsewhere in a flipped filter.
static CK_SHARED_FUNCTION int64_t weight_at(const Conv2dProblem& p, const StrictStrides& of_w,
                                            int64_t k, int64_t c, int64_t r, int64_t s) {
  if (p.flip_kernel) r = p.r - 1 - r, s = p.s - 1 - s;
  return k * of_w.outer + c * of_w.channel + r * of_w.row + s * of_w.column;
}

// Whether padding shows pixel `at` of an axis.
static CK_SHARED_FUNCTION bool is_shown_around(PaddingMode mode, int64_t at, int64_t size,
                                               int64_t pad_low, int64_t pad_high) {
  const auto below = positions_showing(mode, at, size, pad_low, pad_high, 0);
  const auto above = positions_showing(mode, at, size, pad_low, pad_high, 2);
  return below.begin < below.end || above.begin < above.end;
}

// grad_x of a pixel: the terms (k, a, b, r, s), (a, b) being the places of the padded image that
// show the pixel, and (r, s) the taps for which a place lies a whole number of strides from a
// window's begin.
template <class T>
struct StrictInputGradient {
  Conv2dProblem p;
  StrictStrides of_w, of_y;
  const T *w, *grad_y;

  static StrictInputGradient of(const Conv2dProblem& p, const T* w, const T* grad_y) {
    return {p, strict_strides(p.layout, p.c_per_group, p.r, p.s),
            strict_strides(p.layout, p.k, p.p, p.q), w, grad_y};
  }

  CK_SHARED_FUNCTION T at(int64_t image, int64_t channel, int64_t row, int64_t column) const {
    const int64_t first = channel / p.c_per_group * p.k_per_group;
    const int64_t c = channel % p.c_per_group;
    StrictSum<T> sum;
    for (int64_t k = first; k < first + p.k_per_group; ++k) {
      const T* const gradients = grad_y + image * of_y.outer + k * of_y.channel;
      for (int i = 0; i < 3; ++i) {
        const auto rows = positions_showing(p.padding_mode, row, p.h, p.pad_top, p.pad_bottom, i);
        for (int64_t a = rows.begin; a < rows.end; ++a) {
          for (int j = 0; j < 3; ++j) {
            const auto columns =
                positions_showing(p.padding_mode, column, p.w, p.pad_left, p.pad_right, j);
            for (int64_t b = columns.begin; b < columns.end; ++b)
              add_place(a, b, k, c, gradients, &sum);
          }
        }
      }
    }
    return sum.total();
  }

 private:
  CK_SHARED_FUNCTION void add_place(int64_t a, int64_t b, int64_t k, int64_t c, const T* gradients,
                                    StrictSum<T>* sum) const {
    for (int64_t r = 0; r < p.r; ++r) {
      const int64_t top = a + p.pad_top - r * p.dilation_h;
      if (top % p.stride_h != 0) continue;
      for (int64_t s = 0; s < p.s; ++s) {
        const int64_t left = b + p.pad_left - s * p.dilation_w;
        if (left % p.stride_w != 0) continue;
        const int64_t i = top / p.stride_h, j = left / p.stride_w;
        const bool inside = i >= 0 && i < p.p && j >= 0 && j < p.q;
        sum->add_product(w[weight_at(p, of_w, k, c, r, s)],
                         inside ? gradients[i * of_y.row + j * of_y.column] : T(0));
      }
    }
  }
};

}  // namespace CK_BUILD
}  // namespace ck
