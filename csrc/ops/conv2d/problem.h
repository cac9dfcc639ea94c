// What a convolution is: geometry, types, epilogue. Built and validated in problem.cpp, read by
// every kernel.
#pragma once

#include <cstdint>

#include "core/algorithm.h"
#include "core/padding_mode.h"
#include "core/types.h"

namespace ck {

struct Conv2dProblem {
  DType dtype;
  Layout layout;
  int64_t n, c, h, w;  // input
  int64_t k, r, s;     // filters
  int64_t p, q;        // output
  int64_t stride_h, stride_w;
  int64_t pad_top, pad_bottom, pad_left, pad_right;
  PaddingMode padding_mode;  // kZeros where nothing is padded
  int64_t dilation_h, dilation_w;
  int64_t groups, c_per_group, k_per_group;
  bool flip_kernel;  // tap (i, j) reads w[.., r-1-i, s-1-j]: the mathematical convolution
  // The epilogue, fprop only: y = activation(conv + bias + residual).
  bool has_bias, has_residual;
  Activation activation;
};

// fprop reads x, w, bias, residual and writes y; dgrad reads y (grad_y) and w; wgrad reads x and y
// (grad_y). All arrays are dense in the problem's layout and aligned to their element. `out` is
// written in full.
struct Conv2dArrays {
  const void* x;
  const void* w;
  const void* y;
  const void* bias;
  const void* residual;
  void* out;
};

using Conv2dKernel = Kernel<Conv2dProblem, Conv2dArrays>;

}  // namespace ck
