#include <algorithm>

#include "core/error.h"
#include "ops/conv2d/conv2d.h"

namespace ck {
namespace {

Shape filter_shape(Layout layout, int64_t k, int64_t c_per_group, int64_t r, int64_t s) {
  return layout == Layout::kNCHW ? Shape{k, c_per_group, r, s} : Shape{k, r, s, c_per_group};
}

void check_channels(const Conv2dRequest& request, const char* x_name, const char* w_name, int64_t c,
                    int64_t k, int64_t c_per_group) {
  const char* op = request.op;
  const int64_t groups = request.groups;
  const std::string shapes = format_text("(%s=%s, %s=%s)", x_name, to_text(request.x).c_str(),
                                         w_name, to_text(request.w).c_str());
  if (groups < 1)
    throw_value_error("%s: groups is %lld, must be at least 1", op, (long long)groups);
  if (c % groups != 0) {
    throw_value_error("%s: groups is %lld, must divide x's %lld channels %s", op, (long long)groups,
                      (long long)c, shapes.c_str());
  }
  if (k % groups != 0) {
    throw_value_error("%s: groups is %lld, must divide w's %lld filters %s", op, (long long)groups,
                      (long long)k, shapes.c_str());
  }
  if (c_per_group != c / groups) {
    const int channel_axis = request.layout == Layout::kNCHW ? 1 : 3;
    throw_value_error(
        "%s: %s[%d] is %lld, but x has %lld channels in groups=%lld, so it must be %lld %s", op,
        w_name, channel_axis, (long long)c_per_group, (long long)c, (long long)groups,
        (long long)(c / groups), shapes.c_str());
  }
}

// The map of a padding: a reflection leaves out the pixel at the border, a circle takes each pixel
// once.
PaddingMode check_padding_mode(const char* op, PaddingMode mode, Pair image, const Geometry& g) {
  const int64_t high = std::max(g.pad_top, g.pad_bottom), wide = std::max(g.pad_left, g.pad_right);
  if (high == 0 && wide == 0) return PaddingMode::kZeros;
  const bool reflect = mode == PaddingMode::kReflect;
  if (!reflect && mode != PaddingMode::kCircular) return mode;
  const int64_t spare = reflect ? 1 : 0;
  if (high + spare <= image.h && wide + spare <= image.w) return mode;
  throw_value_error(
      "%s: padding is ((%lld, %lld), (%lld, %lld)), must be %s the image's sides %s "
      "where padding_mode is '%s'",
      op, (long long)g.pad_top, (long long)g.pad_bottom, (long long)g.pad_left,
      (long long)g.pad_right, reflect ? "below" : "at most", to_text(image).c_str(),
      reflect ? "reflect" : "circular");
}

}  // namespace

Conv2dProblem make_conv2d_problem(const Conv2dRequest& request) {
  const char* op = request.op;
  const Layout layout = request.layout;
  const char* x_name = request.direction == Direction::kDgrad ? "x_shape" : "x.shape";
  const char* w_name = request.direction == Direction::kWgrad ? "w_shape" : "w.shape";
  check_rank(op, x_name, request.x, 4);
  check_rank(op, w_name, request.w, 4);
  check_extent(op, x_name, request.x, size_of(request.dtype), 0, 1);
  check_extent(op, w_name, request.w, size_of(request.dtype), 1, 1);
  const ImageSizes x = image_sizes(layout, request.x);
  const ImageSizes w = image_sizes(layout, request.w);
  check_channels(request, x_name, w_name, x.c, w.n, w.c);
  const Geometry geometry = slide_window(op, {x.h, x.w}, {w.h, w.w}, request.stride,
                                         request.dilation, request.padding, false);
  Conv2dProblem problem{};
  problem.dtype = request.dtype;
  problem.layout = layout;
  problem.n = x.n, problem.c = x.c, problem.h = x.h, problem.w = x.w;
  problem.k = w.n, problem.r = w.h, problem.s = w.w;
  problem.p = geometry.p, problem.q = geometry.q;
  problem.stride_h = request.stride.h, problem.stride_w = request.stride.w;
  problem.pad_top = geometry.pad_top, problem.pad_bottom = geometry.pad_bottom;
  problem.pad_left = geometry.pad_left, problem.pad_right = geometry.pad_right;
  problem.padding_mode = check_padding_mode(op, request.padding_mode, {x.h, x.w}, geometry);
  problem.dilation_h = request.dilation.h, problem.dilation_w = request.dilation.w;
  problem.groups = request.groups;
  problem.c_per_group = x.c / request.groups;
  problem.k_per_group = w.n / request.groups;
  problem.flip_kernel = request.flip_kernel;
  problem.has_bias = request.bias.has_value();
  problem.has_residual = request.residual.has_value();
  problem.activation = request.activation;

  const Shape y = output_shape(problem, Direction::kFprop);
  check_extent(op, "the output's shape", y, size_of(request.dtype), 0, 1);
  if (request.direction != Direction::kFprop) {
    check_shape(op, "grad_y.shape", request.y, y, "the shape of conv2d's output");
  }
  if (request.bias)
    check_shape(op, "bias.shape", *request.bias, Shape{w.n}, "one value for each filter");
  if (request.residual)
    check_shape(op, "residual.shape", *request.residual, y, "the output's shape");
  return problem;
}

Shape output_shape(const Conv2dProblem& problem, Direction direction) {
  switch (direction) {
    case Direction::kDgrad:
      return image_shape(problem.layout, problem.n, problem.c, problem.h, problem.w);
    case Direction::kWgrad:
      return filter_shape(problem.layout, problem.k, problem.c_per_group, problem.r, problem.s);
    case Direction::kFprop:
      break;
  }
  return image_shape(problem.layout, problem.n, problem.k, problem.p, problem.q);
}

}  // namespace ck
