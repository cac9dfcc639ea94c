// What an adaptive pooling problem is: windows that share an image out to a grid of outputs.
#pragma once

#include <cstdint>

#include "core/algorithm.h"
#include "core/types.h"
#include "ops/pool2d/problem.h"

namespace ck {

struct AdaptivePool2dProblem {
  DType dtype;
  Layout layout;
  int64_t n, c, h, w;  // input
  int64_t p, q;        // output
  bool is_max;
};

// [begin, end): along one side of `side` pixels the pixels of window i of `windows`, and, with both
// exchanged, the windows that hold pixel i.
struct AdaptiveRange {
  int64_t begin, end;
};
static inline AdaptiveRange adaptive_range(int64_t i, int64_t side, int64_t windows) {
  return {i * side / windows, ((i + 1) * side + windows - 1) / windows};
}

// The size of the largest range. A range begins and ends somewhere in a pixel; it has the two
// partial ones unless it always begins or ends with a whole one.
static inline int64_t largest_adaptive_range(int64_t side, int64_t windows) {
  const int64_t rest = side % windows;
  return side / windows + (rest == 0 ? 0 : windows % rest == 0 ? 1 : 2);
}

// fprop reads x and writes out, and indices_out unless null. dgrad reads y (grad_y), for max also
// indices_in. Indices are flat in h*w.
using AdaptivePool2dKernel = Kernel<AdaptivePool2dProblem, Pool2dArrays>;

}  // namespace ck
