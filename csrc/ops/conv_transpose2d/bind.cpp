#include "bind/plan.h"
#include "ops/conv_transpose2d/conv_transpose2d.h"

namespace ck {
namespace {

Conv2dProblem read_problem(const Request& call, Direction direction) {
  ConvTranspose2dRequest request{};
  request.op = call.op();
  request.direction = direction;
  request.layout = call.layout();
  request.dtype = direction == Direction::kFprop   ? call.common_dtype({"x", "w"})
                  : direction == Direction::kDgrad ? call.common_dtype({"grad_y", "w"})
                                                   : call.common_dtype({"grad_y", "x"});
  request.x = direction == Direction::kDgrad ? call.shape("x_shape") : call.required_shape("x");
  request.w = direction == Direction::kWgrad ? call.shape("w_shape") : call.required_shape("w");
  if (direction != Direction::kFprop) request.y = call.required_shape("grad_y");
  request.stride = call.pair("stride");
  request.dilation = call.pair("dilation");
  request.output_padding = call.pair("output_padding");
  request.padding = call.padding("padding", false);
  request.groups = call.integer("groups");
  request.flip_kernel = call.flag("flip_kernel");
  return make_conv_transpose2d_problem(request);
}

// The convolution goes from y to x.
void set_pointers(Conv2dArrays& arrays, Direction direction, std::span<void* const> in,
                  std::span<void* const> out) {
  arrays.out = out[0];
  switch (direction) {
    case Direction::kFprop:
      arrays.y = in[0], arrays.w = in[1];
      return;
    case Direction::kDgrad:
      arrays.x = in[0], arrays.w = in[1];
      return;
    case Direction::kWgrad:
      arrays.x = in[0], arrays.y = in[1];
      return;
  }
}

OpFunction make_function(const char* name, Direction direction) {
  const Direction inner = direction_of_convolution(direction);
  return {name,
          [=](const Request& call) {
            const Conv2dProblem problem = read_problem(call, direction);
            const Conv2dRow& row = select_row(conv2d_algorithms(), problem, inner, call,
                                              preferred_conv2d(problem, inner, call.backend()));
            return make_plan(call, row, problem, inner,
                             {{output_shape(problem, inner), call.result_dtype()}},
                             [=](Conv2dArrays& arrays, auto in, auto out) {
                               set_pointers(arrays, direction, in, out);
                             });
          },
          [=](const Request& call) {
            return list_candidates(conv2d_algorithms(), read_problem(call, direction), inner,
                                   call.backend());
          }};
}

}  // namespace

Op describe_conv_transpose2d() {
  return {"conv_transpose2d",
          {make_function("conv_transpose2d", Direction::kFprop),
           make_function("conv_transpose2d_input_grad", Direction::kDgrad),
           make_function("conv_transpose2d_weight_grad", Direction::kWgrad)},
          describe(conv2d_algorithms())};
}

}  // namespace ck
