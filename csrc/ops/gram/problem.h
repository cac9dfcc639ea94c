// Gram matrix of feature maps: G[n] = F F^T with F = (C, H*W), optionally divided by C*H*W.
#pragma once

#include <cstdint>

#include "core/algorithm.h"
#include "core/types.h"

namespace ck {

struct GramProblem {
  DType dtype;
  Layout layout;
  int64_t n, c, h, w;
  bool normalize;
};

// fprop reads x and writes out (N, C, C). dgrad reads x and grad (N, C, C, any matrix) and writes
// out like x: (grad + grad^T) F.
struct GramArrays {
  const void* x;
  const void* grad;
  void* out;
};

using GramKernel = Kernel<GramProblem, GramArrays>;

}  // namespace ck
