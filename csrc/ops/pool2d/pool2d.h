// The host side of pool2d: how a problem is made from a call, and which algorithms there are.
// Kernels see problem.h alone.
#pragma once

#include <optional>
#include <span>

#include "core/shape_math.h"
#include "ops/pool2d/problem.h"

namespace ck {

// One call of max_pool2d, avg_pool2d or a gradient. In dgrad `x` is the shape asked for.
struct Pool2dRequest {
  const char* op;  // the public function's name, for messages
  Direction direction;
  bool is_max;
  DType dtype;
  Layout layout;
  Shape x;
  Shape y;        // of grad_y; unused in fprop
  Shape indices;  // of a maximum's gradient; unused elsewhere
  Pair kernel_size;
  Pair stride, dilation{1, 1};
  Padding padding;
  bool ceil_mode = false;
  bool count_include_pad = true;
};

// Every rule of the op and its gradient. Throws ValueError naming argument, value and rule.
Pool2dProblem make_pool2d_problem(const Pool2dRequest& request);
Shape output_shape(const Pool2dProblem& problem, Direction direction);

using Pool2dRow = AlgorithmRow<Pool2dProblem, Pool2dArrays>;
std::span<const Pool2dRow> pool2d_algorithms();

}  // namespace ck
