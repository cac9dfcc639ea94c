// im2col lays every window of an image out as a column; its adjoint, col2im, sums columns back into
// an image. NCHW: cols (N, C*R*S, P*Q) with rows (c, r, s). NHWC: cols (N, P*Q, R*S*C) with columns
// (r, s, c).
#pragma once

#include <cstdint>

#include "core/algorithm.h"
#include "core/types.h"

namespace ck {

struct Im2colProblem {
  DType dtype;       // dgrad
  int64_t itemsize;  // fprop, which moves elements of 1, 2, 4, 8 or 16 bytes, whatever they are
  Layout layout;
  int64_t n, c, h, w;
  int64_t r, s;
  int64_t p, q;
  int64_t stride_h, stride_w;
  int64_t pad_top, pad_bottom, pad_left, pad_right;
  int64_t dilation_h, dilation_w;
};

// fprop (im2col): in is the image, out the columns. dgrad (col2im): in is the columns, out the
// image.
struct Im2colArrays {
  const void* in;
  void* out;
};

using Im2colKernel = Kernel<Im2colProblem, Im2colArrays>;

}  // namespace ck
