#include "bind/plan.h"
#include "ops/affine/problem.h"
#include "ops/conv_transpose2d/conv_transpose2d.h"

namespace ck {
namespace {

Conv2dProblem read_problem(const Request& call, Direction direction) {
  ConvTranspose2dRequest request{};
  request.op = call.op();
  request.direction = direction;
  request.layout = call.layout();
  request.dtype = direction == Direction::kFprop ? call.common_dtype({"x", "w", "bias", "residual"})
                  : direction == Direction::kDgrad ? call.common_dtype({"grad_y", "w"})
                                                   : call.common_dtype({"grad_y", "x"});
  request.x = direction == Direction::kDgrad ? call.shape("x_shape") : call.required_shape("x");
  request.w = direction == Direction::kWgrad ? call.shape("w_shape") : call.required_shape("w");
  if (direction == Direction::kFprop) {
    request.bias = call.shape_of("bias");
    request.residual = call.shape_of("residual");
  } else {
    request.y = call.required_shape("grad_y");
  }
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

// y = activation(y + bias + residual), in place.
Finish<Conv2dProblem> epilogue(const Request& call) {
  const Activation activation = call.activation();
  if (activation == Activation::kNone && !call.shape_of("bias") && !call.shape_of("residual"))
    return {};
  const bool strict = call.precision() == Precision::kStrict || call.algo() == "strict";
  const AffineKernel* kernel = &affine_kernel(call.backend(), strict);
  const auto affine = [=](const Conv2dProblem& p) {
    return AffineProblem{p.dtype, p.layout, p.n, p.c, p.h * p.w, activation};
  };
  return {[=](const Conv2dProblem& p) {
            return kernel->workspace_bytes(affine(p), Direction::kFprop, 1);
          },
          [=](const Conv2dProblem& p, std::span<void* const> in, std::span<void* const> out,
              const Execution& execution) {
            AffineArrays arrays{};
            arrays.x = out[0], arrays.out = out[0];
            arrays.shift = in[2], arrays.residual = in[3];
            kernel->run(affine(p), Direction::kFprop, arrays, execution);
          }};
}

// The convolution from y to x, which the kernels know.
Task<Conv2dProblem> read_task(const Request& call, Direction direction) {
  const Conv2dProblem problem = read_problem(call, direction);
  const Direction inner = direction_of_convolution(direction);
  Task<Conv2dProblem> task{problem, inner, {{output_shape(problem, inner), call.result_dtype()}}};
  if (direction == Direction::kFprop) task.finish = epilogue(call);
  return task;
}

// conv2d's choice for that convolution, whose input channels are the result's.
Preference preferred(const Task<Conv2dProblem>& task, Backend backend) {
  Preference preference = preferred_conv2d(task.problem, task.direction, backend);
  if (!preference.reason.empty())
    preference.reason = "for the convolution from y to x: " + preference.reason;
  return preference;
}

OpFunction make_function(const char* name, Direction direction) {
  return {name,
          [=](const Request& call) {
            const auto task = read_task(call, direction);
            const auto preference = preferred(task, call.backend());
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

Op describe_conv_transpose2d() {
  return {"conv_transpose2d",
          {make_function("conv_transpose2d", Direction::kFprop),
           make_function("conv_transpose2d_input_grad", Direction::kDgrad),
           make_function("conv_transpose2d_weight_grad", Direction::kWgrad)},
          describe(conv2d_algorithms())};
}

}  // namespace ck
