#include "bind/plan.h"
#include "ops/linear/linear.h"

namespace ck {
namespace {

LinearRequest read_request(const Request& call, Direction direction) {
  LinearRequest request{};
  request.op = call.op();
  request.direction = direction;
  switch (direction) {
    case Direction::kFprop:
      request.dtype = call.common_dtype({"x", "w", "bias", "residual"});
      request.x = call.required_shape("x"), request.w = call.required_shape("w");
      request.bias = call.shape_of("bias"), request.residual = call.shape_of("residual");
      request.activation = call.activation();
      break;
    case Direction::kDgrad:
      request.dtype = call.common_dtype({"grad_y", "w"});
      request.y = call.required_shape("grad_y"), request.w = call.required_shape("w");
      break;
    case Direction::kWgrad:
      request.dtype = call.common_dtype({"grad_y", "x"});
      request.y = call.required_shape("grad_y"), request.x = call.required_shape("x");
      break;
  }
  return request;
}

void set_pointers(LinearArrays& arrays, Direction direction, std::span<void* const> in,
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

Task<LinearProblem> read_task(const Request& call, Direction direction) {
  const LinearRequest request = read_request(call, direction);
  return {make_linear_problem(request), direction, {{output_shape(request), call.result_dtype()}}};
}

OpFunction make_function(const char* name, Direction direction) {
  return {name,
          [=](const Request& call) {
            const auto task = read_task(call, direction);
            const auto preference = preferred_linear(task.problem, direction, call.backend());
            const auto chosen = select_row(linear_algorithms(), task, call, preference);
            return make_plan(call, chosen, task, [=](LinearArrays& arrays, auto in, auto out) {
              set_pointers(arrays, direction, in, out);
            });
          },
          [=](const Request& call) {
            return list_candidates(linear_algorithms(), read_task(call, direction), call);
          }};
}

}  // namespace

Op describe_linear() {
  return {"linear",
          {make_function("linear", Direction::kFprop),
           make_function("linear_input_grad", Direction::kDgrad),
           make_function("linear_weight_grad", Direction::kWgrad)},
          describe(linear_algorithms())};
}

}  // namespace ck
