// The host side of conv2d: how a problem is made from a call, and which algorithms there are.
// Kernels see problem.h alone.
#pragma once

#include <optional>
#include <span>

#include "core/preference.h"
#include "core/shape_math.h"
#include "ops/conv2d/problem.h"

namespace ck {

// One call of conv2d or of either gradient. In dgrad `x` is the shape asked for, in wgrad `w` is.
struct Conv2dRequest {
  const char* op;  // the public function's name, for messages
  Direction direction;
  DType dtype;
  Layout layout;
  Shape x, w;
  Shape y;  // of grad_y; unused in fprop
  std::optional<Shape> bias, residual;
  Pair stride{1, 1}, dilation{1, 1};
  Padding padding;
  PaddingMode padding_mode = PaddingMode::kZeros;
  int64_t groups = 1;
  bool flip_kernel = false;
  Activation activation = Activation::kNone;
};

// Every rule of the op and its gradients. Throws ValueError naming argument, value and rule.
Conv2dProblem make_conv2d_problem(const Conv2dRequest& request);
Shape output_shape(const Conv2dProblem& problem, Direction direction);

using Conv2dRow = AlgorithmRow<Conv2dProblem, Conv2dArrays>;
std::span<const Conv2dRow> conv2d_algorithms();
// The algorithm to try first, and why; the table's order follows.
Preference preferred_conv2d(const Conv2dProblem& problem, Direction direction, Backend backend);

}  // namespace ck
