// linear as a 1x1 convolution of one NHWC image whose rows are the rows of x: the same matrix
// product, by the kernels that conv2d has for it.
#pragma once

#include "core/algorithm.h"
#include "ops/conv2d/problem.h"
#include "ops/linear/problem.h"

namespace ck {

static inline Conv2dProblem as_convolution(const LinearProblem& p) {
  Conv2dProblem conv{};
  conv.dtype = p.dtype;
  conv.layout = Layout::kNHWC;
  conv.n = p.n > 0, conv.h = conv.p = p.n > 0 ? p.n : 1;
  conv.w = conv.q = conv.r = conv.s = 1;
  conv.c = conv.c_per_group = p.c;
  conv.k = conv.k_per_group = p.k;
  conv.stride_h = conv.stride_w = conv.dilation_h = conv.dilation_w = conv.groups = 1;
  conv.has_bias = p.has_bias, conv.has_residual = p.has_residual, conv.activation = p.activation;
  return conv;
}

static inline Conv2dArrays as_convolution(const LinearArrays& a) {
  return {a.x, a.w, a.y, a.bias, a.residual, a.out};
}

}  // namespace ck
