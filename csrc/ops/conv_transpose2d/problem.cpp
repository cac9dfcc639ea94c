#include <algorithm>

#include "core/error.h"
#include "ops/conv_transpose2d/conv_transpose2d.h"

namespace ck {
namespace {

void check_channels(const ConvTranspose2dRequest& request, const char* x_name, const char* w_name,
                    int64_t channels, int64_t filters) {
  const char* op = request.op;
  const int64_t groups = request.groups;
  if (groups < 1)
    throw_value_error("%s: groups is %lld, must be at least 1", op, (long long)groups);
  if (filters != channels) {
    throw_value_error("%s: %s[0] is %lld, must be x's %lld channels (%s=%s, %s=%s)", op, w_name,
                      (long long)filters, (long long)channels, x_name, to_text(request.x).c_str(),
                      w_name, to_text(request.w).c_str());
  }
  if (channels % groups != 0) {
    throw_value_error("%s: groups is %lld, must divide x's %lld channels (%s=%s)", op,
                      (long long)groups, (long long)channels, x_name, to_text(request.x).c_str());
  }
}

// (x - 1) * stride - pads + dilation * (window - 1) + 1 + output_padding.
int64_t output_side(const char* op, const char* name, int64_t image, int64_t window, int64_t stride,
                    int64_t dilation, int64_t low, int64_t high, int64_t extra) {
  using Wide = __int128;
  const Wide side =
      Wide(image - 1) * stride - low - high + Wide(dilation) * (window - 1) + 1 + extra;
  if (side >= 1 && side <= Wide(kMaxBytes)) return int64_t(side);
  throw_value_error(
      "%s: the output's %s would be %lld ((%lld - 1) * %lld - %lld - %lld + %lld * (%lld - 1) + 1 "
      "+ "
      "%lld), must be at least 1 and at most 2**50",
      op, name, (long long)std::clamp<Wide>(side, INT64_MIN, INT64_MAX), (long long)image,
      (long long)stride, (long long)low, (long long)high, (long long)dilation, (long long)window,
      (long long)extra);
}

void check_numbers(const ConvTranspose2dRequest& request) {
  const char* op = request.op;
  const Padding& pad = request.padding;
  check_pair(op, "stride", request.stride, 1);
  check_pair(op, "dilation", request.dilation, 1);
  for (const int64_t side : {pad.top, pad.bottom, pad.left, pad.right}) {
    if (side >= 0 && side <= kMaxParameter) continue;
    throw_value_error("%s: padding is %s, must be at least 0 and below 2**31", op,
                      to_text(pad).c_str());
  }
  const Pair extra = request.output_padding, stride = request.stride, dilation = request.dilation;
  if (extra.h < 0 || extra.w < 0 || extra.h >= std::max(stride.h, dilation.h) ||
      extra.w >= std::max(stride.w, dilation.w)) {
    throw_value_error(
        "%s: output_padding is %s, must be at least 0 and below the larger of stride %s and "
        "dilation %s",
        op, to_text(extra).c_str(), to_text(stride).c_str(), to_text(dilation).c_str());
  }
}

}  // namespace

Conv2dProblem make_conv_transpose2d_problem(const ConvTranspose2dRequest& request) {
  const char* op = request.op;
  const Layout layout = request.layout;
  const char* x_name = request.direction == Direction::kDgrad ? "x_shape" : "x.shape";
  const char* w_name = request.direction == Direction::kWgrad ? "w_shape" : "w.shape";
  check_rank(op, x_name, request.x, 4);
  check_rank(op, w_name, request.w, 4);
  check_extent(op, x_name, request.x, size_of(request.dtype), 0, 1);
  check_extent(op, w_name, request.w, size_of(request.dtype), 1, 1);
  const ImageSizes x = image_sizes(layout, request.x), w = image_sizes(layout, request.w);
  check_channels(request, x_name, w_name, x.c, w.n);
  check_numbers(request);
  const Padding& pad = request.padding;
  const int64_t h = output_side(op, "height", x.h, w.h, request.stride.h, request.dilation.h,
                                pad.top, pad.bottom, request.output_padding.h);
  const int64_t wide = output_side(op, "width", x.w, w.w, request.stride.w, request.dilation.w,
                                   pad.left, pad.right, request.output_padding.w);
  const Shape y = image_shape(layout, x.n, saturating_product(w.c, request.groups), h, wide);
  check_extent(op, "the output's shape", y, size_of(request.dtype), 0, 1);
  if (request.direction != Direction::kFprop)
    check_shape(op, "grad_y.shape", request.y, y, "the shape of conv_transpose2d's output");

  if (request.bias) {
    check_shape(op, "bias.shape", *request.bias, Shape{w.c * request.groups},
                "one value for each output channel");
  }
  if (request.residual)
    check_shape(op, "residual.shape", *request.residual, y, "the output's shape");

  Conv2dRequest convolution{};
  convolution.op = op;
  convolution.direction = Direction::kFprop;
  convolution.dtype = request.dtype;
  convolution.layout = layout;
  convolution.x = y, convolution.w = request.w;
  convolution.stride = request.stride, convolution.dilation = request.dilation;
  convolution.padding = pad;
  convolution.groups = request.groups;
  convolution.flip_kernel = request.flip_kernel;
  Conv2dProblem problem = make_conv2d_problem(convolution);
  // An output padding of the stride or more, which a wider dilation allows, leaves windows that no
  // pixel of x stands for.
  problem.p = x.h, problem.q = x.w;
  return problem;
}

Direction direction_of_convolution(Direction direction) {
  return direction == Direction::kFprop   ? Direction::kDgrad
         : direction == Direction::kDgrad ? Direction::kFprop
                                          : Direction::kWgrad;
}

}  // namespace ck
