// gram.strict as products of conv2d.strict, one image at a time:
//   fprop   G = F F^T, the weight gradient of a 1x1 convolution whose output gradient is F itself:
//           gemm_k = (h, w). Symmetric to the bit, as factors commute
//   dgrad   (dG + dG^T) F, a 1x1 convolution whose filters are that sum: gemm_k = c
// Each finished product is divided by C*H*W where that is asked for.
#pragma once

#include "ops/conv2d/problem.h"
#include "ops/gram/problem.h"

namespace ck {

static inline Conv2dProblem as_convolution(const GramProblem& p) {
  Conv2dProblem conv{};
  conv.dtype = p.dtype;
  conv.layout = p.layout;
  conv.n = 1;
  conv.c = conv.k = conv.c_per_group = conv.k_per_group = p.c;
  conv.h = conv.p = p.h, conv.w = conv.q = p.w;
  conv.r = conv.s = conv.groups = 1;
  conv.stride_h = conv.stride_w = conv.dilation_h = conv.dilation_w = 1;
  return conv;
}

static inline Direction direction_in_convolution(Direction direction) {
  return direction == Direction::kFprop ? Direction::kWgrad : Direction::kFprop;
}

// Runs all images with the convolution's kernel; `filters` are (n, c, c) in dgrad.
template <class T>
static void run_strict_products(const GramProblem& p, Direction direction, const GramArrays& arrays,
                                const T* filters, const Conv2dKernel& kernel,
                                const Execution& execution) {
  const int64_t image = p.c * p.h * p.w, gram = p.c * p.c;
  for (int64_t n = 0; n < p.n; ++n) {
    const T* const x = static_cast<const T*>(arrays.x) + n * image;
    Conv2dArrays product{};
    product.x = x;
    if (direction == Direction::kFprop) {
      product.y = x;
      product.out = static_cast<T*>(arrays.out) + n * gram;
    } else {
      product.w = filters + n * gram;
      product.out = static_cast<T*>(arrays.out) + n * image;
    }
    kernel.run(as_convolution(p), direction_in_convolution(direction), product, execution);
  }
}

}  // namespace ck
