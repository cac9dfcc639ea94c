#include <algorithm>

#include "core/error.h"
#include "ops/pool2d/pool2d.h"

namespace ck {
namespace {

// A window that lies in the padding alone would have no value, so a pad must not hold one.
void check_padding(const Pool2dRequest& request, const Geometry& geometry) {
  const Pair kernel = {request.dilation.h * (request.kernel_size.h - 1) + 1,
                       request.dilation.w * (request.kernel_size.w - 1) + 1};
  if (std::max(geometry.pad_top, geometry.pad_bottom) < kernel.h &&
      std::max(geometry.pad_left, geometry.pad_right) < kernel.w) {
    return;
  }
  const bool dilated = request.dilation.h != 1 || request.dilation.w != 1;
  throw_value_error("%s: padding is %s, must be smaller than the kernel %s%s", request.op,
                    to_text(request.padding).c_str(), to_text(kernel).c_str(),
                    dilated ? " (dilation included)" : "");
}

void check_like_output(const char* op, const char* name, const Shape& shape, const Shape& expected,
                       bool is_max) {
  if (shape == expected) return;
  throw_value_error("%s: %s.shape is %s, must be %s (the shape of %s's output)", op, name,
                    to_text(shape).c_str(), to_text(expected).c_str(),
                    is_max ? "max_pool2d" : "avg_pool2d");
}

}  // namespace

Pool2dProblem make_pool2d_problem(const Pool2dRequest& request) {
  const char* op = request.op;
  const char* x_name = request.direction == Direction::kDgrad ? "x_shape" : "x.shape";
  check_rank(op, x_name, request.x, 4);
  check_extent(op, x_name, request.x, size_of(request.dtype), 0, 1);
  check_pair(op, "kernel_size", request.kernel_size, 1);
  const ImageSizes x = image_sizes(request.layout, request.x);
  const Geometry geometry = slide_window(op, {x.h, x.w}, request.kernel_size, request.stride,
                                         request.dilation, request.padding, request.ceil_mode);
  check_padding(request, geometry);

  Pool2dProblem problem{};
  problem.dtype = request.dtype;
  problem.layout = request.layout;
  problem.n = x.n, problem.c = x.c, problem.h = x.h, problem.w = x.w;
  problem.r = request.kernel_size.h, problem.s = request.kernel_size.w;
  problem.p = geometry.p, problem.q = geometry.q;
  problem.stride_h = request.stride.h, problem.stride_w = request.stride.w;
  problem.pad_top = geometry.pad_top, problem.pad_bottom = geometry.pad_bottom;
  problem.pad_left = geometry.pad_left, problem.pad_right = geometry.pad_right;
  problem.dilation_h = request.dilation.h, problem.dilation_w = request.dilation.w;
  problem.is_max = request.is_max;
  problem.count_include_pad = request.count_include_pad;

  const Shape y = output_shape(problem, Direction::kFprop);
  const int64_t itemsize = request.is_max ? int64_t(sizeof(int64_t)) : size_of(request.dtype);
  check_extent(op, "the output's shape", y, itemsize, 0, 1);
  if (request.direction == Direction::kDgrad) {
    check_like_output(op, "grad_y", request.y, y, request.is_max);
    if (request.is_max) check_like_output(op, "indices", request.indices, y, true);
  }
  return problem;
}

Shape output_shape(const Pool2dProblem& problem, Direction direction) {
  if (direction == Direction::kDgrad) {
    return image_shape(problem.layout, problem.n, problem.c, problem.h, problem.w);
  }
  return image_shape(problem.layout, problem.n, problem.c, problem.p, problem.q);
}

}  // namespace ck
