#include "bind/plan.h"
#include "ops/conv2d/conv2d.h"

namespace ck {
namespace {

Conv2dProblem read_problem(const Request& call, Direction direction) {
  Conv2dRequest request{};
  request.op = call.op();
  request.direction = direction;
  request.layout = call.layout();
  request.dtype = direction == Direction::kFprop ? call.common_dtype({"x", "w", "bias", "residual"})
                  : direction == Direction::kDgrad ? call.common_dtype({"grad_y", "w"})
                                                   : call.common_dtype({"grad_y", "x"});
  request.x = direction == Direction::kDgrad ? call.shape("x_shape") : call.required_shape("x");
  request.w = direction == Direction::kWgrad ? call.shape("w_shape") : call.required_shape("w");
  request.stride = call.pair("stride");
  request.dilation = call.pair("dilation");
  request.padding = call.padding("padding", true);
  request.padding_mode = call.padding_mode();
  request.groups = call.integer("groups");
  request.flip_kernel = call.flag("flip_kernel");
  if (direction == Direction::kFprop) {
    request.bias = call.shape_of("bias");
    request.residual = call.shape_of("residual");
    request.activation = call.activation();
  } else {
    request.y = call.required_shape("grad_y");
  }
  return make_conv2d_problem(request);
}

void set_pointers(Conv2dArrays& arrays, Direction direction, std::span<void* const> in,
                  std::span<void* const> out) {
  arrays.out = out[0];
  switch (direction) {
    case Direction::kFprop:
      arrays.x = in[0], arrays.w = in[1], arrays.bias = in[2], arrays.residual = in[3];
      return;
    case Direction::kDgrad:
      arrays.y = in[0], arrays.w = in[1];
      return;
    case Direction::kWgrad:
      arrays.y = in[0], arrays.x = in[1];
      return;
  }
}

Task<Conv2dProblem> read_task(const Request& call, Direction direction) {
  const Conv2dProblem problem = read_problem(call, direction);
  return {problem, direction, {{output_shape(problem, direction), call.result_dtype()}}};
}

OpFunction make_function(const char* name, Direction direction) {
  return {name,
          [=](const Request& call) {
            const auto task = read_task(call, direction);
            const auto preference = preferred_conv2d(task.problem, direction, call.backend());
            const auto chosen = select_row(conv2d_algorithms(), task, call, preference);
            return make_plan(call, chosen, task, [=](Conv2dArrays& arrays, auto in, auto out) {
              set_pointers(arrays, direction, in, out);
            });
          },
          [=](const Request& call) {
            return list_candidates(conv2d_algorithms(), read_task(call, direction), call);
          }};
}

}  // namespace

Op describe_conv2d() {
  return {"conv2d",
          {make_function("conv2d", Direction::kFprop),
           make_function("conv2d_input_grad", Direction::kDgrad),
           make_function("conv2d_weight_grad", Direction::kWgrad)},
          describe(conv2d_algorithms())};
}

}  // namespace ck
