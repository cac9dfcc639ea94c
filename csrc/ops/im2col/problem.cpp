#include "core/error.h"
#include "ops/im2col/im2col.h"

namespace ck {

Im2colProblem make_im2col_problem(const Im2colRequest& request) {
  const char* op = request.op;
  const char* x_name = request.direction == Direction::kDgrad ? "x_shape" : "x.shape";
  check_rank(op, x_name, request.x, 4);
  check_extent(op, x_name, request.x, request.itemsize, 0, 1);
  check_pair(op, "kernel_size", request.kernel_size, 1);
  const ImageSizes x = image_sizes(request.layout, request.x);
  const Geometry geometry = slide_window(op, {x.h, x.w}, request.kernel_size, request.stride,
                                         request.dilation, request.padding, false);
  Im2colProblem problem{};
  problem.dtype = request.dtype;
  problem.itemsize = request.itemsize;
  problem.layout = request.layout;
  problem.n = x.n, problem.c = x.c, problem.h = x.h, problem.w = x.w;
  problem.r = request.kernel_size.h, problem.s = request.kernel_size.w;
  problem.p = geometry.p, problem.q = geometry.q;
  problem.stride_h = request.stride.h, problem.stride_w = request.stride.w;
  problem.pad_top = geometry.pad_top, problem.pad_bottom = geometry.pad_bottom;
  problem.pad_left = geometry.pad_left, problem.pad_right = geometry.pad_right;
  problem.dilation_h = request.dilation.h, problem.dilation_w = request.dilation.w;

  const Shape cols = output_shape(problem, Direction::kFprop);
  check_extent(op, "the columns' shape", cols, request.itemsize, 0, 1);
  if (request.direction == Direction::kDgrad && request.cols != cols) {
    throw_value_error("%s: cols.shape is %s, must be %s (x_shape=%s, kernel_size=%s)", op,
                      to_text(request.cols).c_str(), to_text(cols).c_str(),
                      to_text(request.x).c_str(), to_text(request.kernel_size).c_str());
  }
  return problem;
}

Shape output_shape(const Im2colProblem& problem, Direction direction) {
  if (direction == Direction::kDgrad) {
    return image_shape(problem.layout, problem.n, problem.c, problem.h, problem.w);
  }
  // Saturating: this shape is what check_extent then refuses.
  const int64_t taps = saturating_product(saturating_product(problem.c, problem.r), problem.s);
  const int64_t pixels = saturating_product(problem.p, problem.q);
  if (problem.layout == Layout::kNCHW) return {problem.n, taps, pixels};
  return {problem.n, pixels, taps};
}

}  // namespace ck
