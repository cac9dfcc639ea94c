// The host side of linear: how a problem is made from a call, and which algorithms there are.
// Kernels see problem.h alone.
#pragma once

#include <optional>
#include <span>

#include "core/preference.h"
#include "core/shape_math.h"
#include "ops/linear/problem.h"

namespace ck {

// In dgrad x follows from grad_y and w, in wgrad w from grad_y and x.
struct LinearRequest {
  const char* op;  // the public function's name, for messages
  Direction direction;
  DType dtype;
  Shape x, w, y;
  std::optional<Shape> bias, residual;
  Activation activation = Activation::kNone;
};

// Every rule of the op and its gradients. Throws ValueError naming argument, value and rule.
LinearProblem make_linear_problem(const LinearRequest& request);
Shape output_shape(const LinearRequest& request);

using LinearRow = AlgorithmRow<LinearProblem, LinearArrays>;
std::span<const LinearRow> linear_algorithms();
// The algorithm to try first, and why; the table's order follows.
Preference preferred_linear(const LinearProblem& problem, Direction direction, Backend backend);

}  // namespace ck
