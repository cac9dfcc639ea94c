// What a pooling problem is: window geometry and the rule that combines a window's pixels.
#pragma once

#include <cstdint>

#include "core/algorithm.h"
#include "core/types.h"

namespace ck {

struct Pool2dProblem {
  DType dtype;
  Layout layout;
  int64_t n, c, h, w;  // input
  int64_t r, s;        // window
  int64_t p, q;        // output
  int64_t stride_h, stride_w;
  int64_t pad_top, pad_bottom, pad_left, pad_right;
  int64_t dilation_h, dilation_w;
  bool is_max;
  bool count_include_pad;  // average only: divide by the window clipped to the padded image, not by
                           // its real pixels
};

// fprop reads x and writes out, and indices_out unless null. dgrad reads y (grad_y), for max also
// indices_in. Indices are flat in h*w of the unpadded image; -1 where a dilated window meets no
// pixel.
struct Pool2dArrays {
  const void* x;
  const void* y;
  const int64_t* indices_in;
  void* out;
  int64_t* indices_out;
};

using Pool2dKernel = Kernel<Pool2dProblem, Pool2dArrays>;

}  // namespace ck
