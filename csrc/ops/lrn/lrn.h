// The host side of lrn: how a problem is made from a call, and which algorithms there are.
// Kernels see problem.h alone.
#pragma once

#include <span>

#include "core/shape_math.h"
#include "ops/lrn/problem.h"

namespace ck {

struct LrnRequest {
  const char* op;  // the public function's name, for messages
  Direction direction;
  DType dtype;
  Layout layout;
  Shape x;
  Shape y;  // of grad_y; unused in fprop
  int64_t size;
  double alpha, beta, k;
};

// Every rule of the op and its gradient. Throws ValueError naming argument, value and rule.
LrnProblem make_lrn_problem(const LrnRequest& request);
Shape output_shape(const LrnProblem& problem);

using LrnRow = AlgorithmRow<LrnProblem, LrnArrays>;
std::span<const LrnRow> lrn_algorithms();

}  // namespace ck
