// Per-channel affine map with an epilogue, for other ops to end with:
//
//   y = activation((x - center[c] - center_rest[c]) * scale[c] + shift[c]
//                  + residual_scale[c] * residual)
//
// Every array but x may be null and then changes no bit: without center and scale the sum is that
// of a convolution's own epilogue. center_rest holds what rounding took off the center, so that
// numbers far from zero lose nothing.
#pragma once

#include <cstdint>

#include "core/algorithm.h"
#include "core/types.h"

namespace ck {

struct AffineProblem {
  DType dtype;
  Layout layout;
  int64_t n, c, pixels;
  Activation activation;
};

// x, residual and out are (n, c, pixels), or (n, pixels, c) for NHWC; the others have c elements.
// out may be x or residual itself; it must not overlap anything else.
struct AffineArrays {
  const void* x;
  const void *center, *center_rest;
  const void *scale, *shift;
  const void *residual, *residual_scale;
  void* out;
};

using AffineKernel = Kernel<AffineProblem, AffineArrays>;

// The backend's kernel for the instruction set in use, with the stated order and activations where
// it is to be strict. Its direction is fprop.
const AffineKernel& affine_kernel(Backend backend, bool strict);

}  // namespace ck
