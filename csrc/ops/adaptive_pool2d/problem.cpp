#include "core/error.h"
#include "ops/adaptive_pool2d/adaptive_pool2d.h"

namespace ck {
namespace {

// Where a range ends is computed in 64 bits.
constexpr int64_t kMaxProduct = int64_t(1) << 62;

void check_product(const char* op, Pair image, Pair output) {
  if (saturating_product(image.h + 1, output.h + 1) <= kMaxProduct &&
      saturating_product(image.w + 1, output.w + 1) <= kMaxProduct) {
    return;
  }
  throw_value_error(
      "%s: an output of %s for an image of %s, height times height and width times "
      "width must be below 2**62",
      op, to_text(output).c_str(), to_text(image).c_str());
}

void check_grad(const AdaptivePool2dRequest& request, const ImageSizes& x) {
  check_rank(request.op, "grad_y.shape", request.y, 4);
  const ImageSizes y = image_sizes(request.layout, request.y);
  const int64_t p = request.is_global ? 1 : y.h, q = request.is_global ? 1 : y.w;
  const Shape expected = image_shape(request.layout, x.n, x.c, p, q);
  check_shape(request.op, "grad_y.shape", request.y, expected,
              request.is_global ? "x_shape's batch and channels, one pixel"
                                : "x_shape's batch and channels");
  check_extent(request.op, "grad_y.shape", request.y, size_of(request.dtype), 0, 1);
  if (request.is_max)
    check_shape(request.op, "indices.shape", request.indices, request.y, "the shape of grad_y");
}

}  // namespace

AdaptivePool2dProblem make_adaptive_pool2d_problem(const AdaptivePool2dRequest& request) {
  const char* op = request.op;
  const bool is_grad = request.direction == Direction::kDgrad;
  const char* x_name = is_grad ? "x_shape" : "x.shape";
  check_rank(op, x_name, request.x, 4);
  check_extent(op, x_name, request.x, size_of(request.dtype), 0, 1);
  const ImageSizes x = image_sizes(request.layout, request.x);

  AdaptivePool2dProblem problem{};
  problem.dtype = request.dtype;
  problem.layout = request.layout;
  problem.n = x.n, problem.c = x.c, problem.h = x.h, problem.w = x.w;
  problem.is_max = request.is_max;
  Pair output = request.output_size;
  if (is_grad) {
    check_grad(request, x);
    const ImageSizes y = image_sizes(request.layout, request.y);
    output = {y.h, y.w};
  } else {
    check_pair(op, "output_size", output, 1);
  }
  problem.p = output.h, problem.q = output.w;
  const int64_t itemsize = request.is_max ? int64_t(sizeof(int64_t)) : size_of(request.dtype);
  check_extent(op, "the output's shape", output_shape(problem, Direction::kFprop), itemsize, 0, 1);
  check_product(op, {x.h, x.w}, output);
  return problem;
}

Shape output_shape(const AdaptivePool2dProblem& problem, Direction direction) {
  if (direction == Direction::kDgrad) {
    return image_shape(problem.layout, problem.n, problem.c, problem.h, problem.w);
  }
  return image_shape(problem.layout, problem.n, problem.c, problem.p, problem.q);
}

}  // namespace ck
