// The host side of adaptive_pool2d: how a problem is made from a call, and which algorithms there
// are. Kernels see problem.h alone.
#pragma once

#include <span>

#include "core/preference.h"
#include "core/shape_math.h"
#include "ops/adaptive_pool2d/problem.h"

namespace ck {

// One call of an adaptive or a global pool, or of a gradient. In dgrad `x` is the shape asked for,
// and the windows follow from that of grad_y.
struct AdaptivePool2dRequest {
  const char* op;  // the public function's name, for messages
  Direction direction;
  bool is_max, is_global;
  DType dtype;
  Layout layout;
  Shape x;
  Shape y;           // of grad_y; unused in fprop
  Shape indices;     // of a maximum's gradient; unused elsewhere
  Pair output_size;  // fprop alone
};

// Every rule of the op and its gradient. Throws ValueError naming argument, value and rule.
AdaptivePool2dProblem make_adaptive_pool2d_problem(const AdaptivePool2dRequest& request);
Shape output_shape(const AdaptivePool2dProblem& problem, Direction direction);

using AdaptivePool2dRow = AlgorithmRow<AdaptivePool2dProblem, Pool2dArrays>;
std::span<const AdaptivePool2dRow> adaptive_pool2d_algorithms();
Preference preferred_adaptive_pool2d(const AdaptivePool2dProblem& problem, Backend backend);

}  // namespace ck
