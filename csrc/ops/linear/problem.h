// A fully connected layer: y = activation(x w^T + bias + residual) on rows of x.
#pragma once

#include <cstdint>

#include "core/algorithm.h"
#include "core/types.h"

namespace ck {

struct LinearProblem {
  DType dtype;
  int64_t n, c, k;  // rows, features in, features out
  bool has_bias, has_residual;
  Activation activation;
};

// fprop reads x (n, c), w (k, c), bias and residual and writes out = y (n, k). dgrad reads y (=
// grad_y) and w and writes out like x; wgrad reads y and x and writes out like w.
struct LinearArrays {
  const void *x, *w, *y, *bias, *residual;
  void* out;
};

using LinearKernel = Kernel<LinearProblem, LinearArrays>;

}  // namespace ck
