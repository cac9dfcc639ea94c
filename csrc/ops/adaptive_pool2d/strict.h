// The sums of adaptive_pool2d.strict; the source is that of ops/pool2d/strict.h.
#pragma once

#include "core/strict_terms.h"
#include "ops/adaptive_pool2d/problem.h"

namespace ck {
namespace CK_BUILD {

// adaptive_range of problem.h, on both sides.
struct StrictRange {
  int64_t begin, end;

  CK_SHARED_FUNCTION StrictRange(int64_t i, int64_t side, int64_t windows)
      : begin(i * side / windows), end(((i + 1) * side + windows - 1) / windows) {}
  CK_SHARED_FUNCTION int64_t size() const { return end - begin; }
};

// The window's pixels, row by row, over their number.
struct AdaptiveAverage {
  AdaptivePool2dProblem p;

  template <class Source>
  CK_SHARED_FUNCTION typename Source::Value at(int64_t i, int64_t j, const Source& source) const {
    using T = typename Source::Number;
    const StrictRange rows(i, p.h, p.p), columns(j, p.w, p.q);
    StrictSum<typename Source::Value> sum;
    for (int64_t h = rows.begin; h < rows.end; ++h) {
      for (int64_t w = columns.begin; w < columns.end; ++w) sum.add(source.value(h * p.w + w));
    }
    return divided(sum.total(), T(rows.size()) * T(columns.size()));
  }
};

// Of the windows that hold the pixel, row by row: their shares of the gradient, or for a maximum
// the gradients of those whose index it is, the others being terms of 0.
template <bool kIsMax>
struct AdaptiveGradient {
  AdaptivePool2dProblem p;

  template <class Source>
  CK_SHARED_FUNCTION typename Source::Value at(int64_t h, int64_t w, const Source& source) const {
    using T = typename Source::Number;
    const StrictRange rows(h, p.p, p.h), columns(w, p.q, p.w);
    StrictSum<typename Source::Value> sum;
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      const T height = T(StrictRange(i, p.h, p.p).size());
      for (int64_t j = columns.begin; j < columns.end; ++j) {
        if constexpr (kIsMax) {
          sum.add(source.chosen(i * p.q + j, h * p.w + w));
        } else {
          sum.add(source.share(i * p.q + j, height * T(StrictRange(j, p.w, p.q).size())));
        }
      }
    }
    return sum.total();
  }
};

// For profilers and reports of the GPU's side.
static inline const char* strict_name(const AdaptivePool2dProblem&, Direction direction) {
  return direction == Direction::kFprop ? "adaptive_pool2d.fprop.strict"
                                        : "adaptive_pool2d.dgrad.strict";
}

}  // namespace CK_BUILD
}  // namespace ck
