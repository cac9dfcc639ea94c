// Batch normalisation: y = activation(weight * (x - mean) / sqrt(variance + eps) + bias +
// residual), channel by channel, with the statistics of the batch (training) or given ones.
#pragma once

#include <cstdint>

#include "core/algorithm.h"
#include "core/types.h"

namespace ck {

struct BatchNormProblem {
  DType dtype;
  Layout layout;
  int64_t n, c, pixels;
  bool training;
  double eps, momentum;   // fprop only
  Activation activation;  // fprop only
};

// Arrays of one number per channel are of the problem's dtype too. Null: weight, bias, residual,
// save_mean_out and save_invstd_out where absent or not wanted; in training also both running
// arrays. Everything else that a direction reads or writes is there.
struct BatchNormArrays {
  const void* x;
  const void *weight, *bias, *residual;
  const void *running_mean, *running_var;        // fprop reads them
  const void *grad_y, *save_mean, *save_invstd;  // dgrad reads them
  void* out;                                     // y or grad_x
  void *save_mean_out, *save_invstd_out;         // fprop
  void *running_mean_out, *running_var_out;      // fprop in training: the running arrays themselves
  void *grad_weight, *grad_bias;                 // dgrad
};

using BatchNormKernel = Kernel<BatchNormProblem, BatchNormArrays>;

}  // namespace ck
