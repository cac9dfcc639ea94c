// The sums of im2col.strict's dgrad, col2im; the source is that of ops/pool2d/strict.h, its numbers
// the columns of a plane.
#pragma once

#include "core/strict_terms.h"
#include "ops/im2col/problem.h"

namespace ck {
namespace CK_BUILD {

// The columns that the pixel went to, taps (r, s) ascending.
struct ColumnsToImage {
  Im2colProblem p;

  template <class Source>
  CK_SHARED_FUNCTION typename Source::Value at(int64_t h, int64_t w, const Source& source) const {
    StrictSum<typename Source::Value> sum;
    for (int64_t r = 0; r < p.r; ++r) {
      const int64_t i = window(h + p.pad_top - r * p.dilation_h, p.stride_h, p.p);
      if (i < 0) continue;
      for (int64_t s = 0; s < p.s; ++s) {
        const int64_t j = window(w + p.pad_left - s * p.dilation_w, p.stride_w, p.q);
        if (j >= 0) sum.add(source.value(column(i * p.q + j, r * p.s + s)));
      }
    }
    return sum.total();
  }

 private:
  // The window that begins at this padded coordinate, or -1.
  CK_SHARED_FUNCTION static int64_t window(int64_t start, int64_t stride, int64_t windows) {
    return start >= 0 && start % stride == 0 && start / stride < windows ? start / stride : -1;
  }
  CK_SHARED_FUNCTION int64_t column(int64_t window, int64_t tap) const {
    return p.layout == Layout::kNCHW ? tap * p.p * p.q + window : window * p.r * p.s + tap;
  }
};

}  // namespace CK_BUILD
}  // namespace ck
