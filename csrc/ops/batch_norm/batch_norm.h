// The host side of batch_norm: how a problem is made from a call, and which algorithms there are.
// Kernels see problem.h alone.
#pragma once

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/shape_math.h"
#include "ops/batch_norm/problem.h"

namespace ck {

struct BatchNormRequest {
  const char* op;  // the public function's name, for messages
  Direction direction;
  DType dtype;
  Layout layout;
  Shape x;
  // Name and shape of the arrays like x, and of those with one number per channel, where given.
  std::vector<std::pair<const char*, Shape>> like_x, per_channel;
  bool has_running_mean = false, has_running_var = false;  // fprop
  bool training = false;
  double eps = 0, momentum = 0;
  Activation activation = Activation::kNone;
};

// Every rule of the op and its gradient. Throws ValueError or TypeError naming argument, value and
// rule.
BatchNormProblem make_batch_norm_problem(const BatchNormRequest& request);

using BatchNormRow = AlgorithmRow<BatchNormProblem, BatchNormArrays>;
std::span<const BatchNormRow> batch_norm_algorithms();

}  // namespace ck
