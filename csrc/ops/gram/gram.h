// The host side of gram: how a problem is made from a call, and which algorithms there are.
// Kernels see problem.h alone.
#pragma once

#include <span>

#include "core/shape_math.h"
#include "ops/gram/problem.h"

namespace ck {

struct GramRequest {
  const char* op;  // the public function's name, for messages
  Direction direction;
  DType dtype;
  Layout layout;
  Shape x;
  Shape grad;  // of grad_gram; unused in fprop
  bool normalize = false;
};

// Every rule of the op and its gradient. Throws ValueError naming argument, value and rule.
GramProblem make_gram_problem(const GramRequest& request);
Shape output_shape(const GramProblem& problem, Direction direction);

using GramRow = AlgorithmRow<GramProblem, GramArrays>;
std::span<const GramRow> gram_algorithms();

}  // namespace ck
