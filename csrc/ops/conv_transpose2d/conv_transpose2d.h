// Transposed convolution: the convolution whose input gradient it is. It has rules of its own and
// no kernels; its forward is conv2d's dgrad with an epilogue of one more pass (ops/affine), its
// input gradient conv2d's fprop.
#pragma once

#include <optional>

#include "core/shape_math.h"
#include "ops/conv2d/conv2d.h"

namespace ck {

struct ConvTranspose2dRequest {
  const char* op;       // the public function's name, for messages
  Direction direction;  // of the transposed convolution
  DType dtype;
  Layout layout;
  Shape x, w;
  Shape y;  // of grad_y; unused in fprop
  std::optional<Shape> bias, residual;
  Pair stride{1, 1}, dilation{1, 1}, output_padding{0, 0};
  Padding padding;  // numbers
  int64_t groups = 1;
  bool flip_kernel = false;
};

// Every rule of the op and its gradients. The result is the convolution from y to x.
Conv2dProblem make_conv_transpose2d_problem(const ConvTranspose2dRequest& request);
// The direction of that convolution.
Direction direction_of_convolution(Direction direction);

}  // namespace ck
