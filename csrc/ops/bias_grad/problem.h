// Gradient of a bias: the sum of grad_y over images and pixels, for each channel.
#pragma once

#include <cstdint>

#include "core/algorithm.h"
#include "core/types.h"

namespace ck {

struct BiasGradProblem {
  DType dtype;
  Layout layout;
  int64_t n, c, pixels;
};

// Its direction is wgrad. out has c elements: zeros for an empty batch.
struct BiasGradArrays {
  const void* grad_y;
  void* out;
};

using BiasGradKernel = Kernel<BiasGradProblem, BiasGradArrays>;

}  // namespace ck
