// The host side of im2col: how a problem is made from a call, and which algorithms there are.
// Kernels see problem.h alone.
#pragma once

#include <span>

#include "core/shape_math.h"
#include "ops/im2col/problem.h"

namespace ck {

// One call of im2col, or of col2im (dgrad), where `x` is the shape asked for.
struct Im2colRequest {
  const char* op;  // the public function's name, for messages
  Direction direction;
  DType dtype;  // dgrad
  int64_t itemsize;
  Layout layout;
  Shape x;
  Shape cols;  // unused in fprop
  Pair kernel_size;
  Pair stride{1, 1}, dilation{1, 1};
  Padding padding;
};

// Every rule of the op and its adjoint. Throws ValueError naming argument, value and rule.
Im2colProblem make_im2col_problem(const Im2colRequest& request);
Shape output_shape(const Im2colProblem& problem, Direction direction);

using Im2colRow = AlgorithmRow<Im2colProblem, Im2colArrays>;
std::span<const Im2colRow> im2col_algorithms();

}  // namespace ck
