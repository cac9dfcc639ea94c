// The host side of cross_entropy: how a problem is made from a call, and which algorithms there
// are. Kernels see problem.h alone.
#pragma once

#include <span>

#include "core/shape_math.h"
#include "ops/cross_entropy/problem.h"

namespace ck {

struct CrossEntropyRequest {
  const char* op;  // the public function's name, for messages
  Direction direction;
  DType dtype;
  Layout layout;
  Shape logits, target;
  Shape grad;  // of grad_loss; unused in fprop
  double label_smoothing;
  int64_t ignore_index;
  Reduction reduction;
};

// Every rule of the op and its gradient that needs no data. Throws ValueError naming argument,
// value and rule.
CrossEntropyProblem make_cross_entropy_problem(const CrossEntropyRequest& request);
Shape loss_shape(Reduction reduction, const Shape& target);

// Throws ValueError naming the first target that is neither a class nor ignored.
void check_targets(const char* op, const CrossEntropyProblem& problem, const Shape& shape,
                   const int64_t* target);

using CrossEntropyRow = AlgorithmRow<CrossEntropyProblem, CrossEntropyArrays>;
std::span<const CrossEntropyRow> cross_entropy_algorithms();

}  // namespace ck
