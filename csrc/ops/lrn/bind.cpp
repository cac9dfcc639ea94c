#include "bind/plan.h"
#include "ops/lrn/lrn.h"

namespace ck {
namespace {

LrnProblem read_problem(const Request& call, Direction direction) {
  LrnRequest request{};
  request.op = call.op();
  request.direction = direction;
  request.layout = call.layout();
  request.x = call.required_shape("x");
  if (direction == Direction::kFprop) {
    request.dtype = call.common_dtype({"x"});
  } else {
    request.dtype = call.common_dtype({"grad_y", "x"});
    request.y = call.required_shape("grad_y");
  }
  request.size = call.integer("size", "at least 1 and below 2**31");
  request.alpha = call.number("alpha");
  request.beta = call.number("beta");
  request.k = call.number("k");
  return make_lrn_problem(request);
}

Task<LrnProblem> read_task(const Request& call, Direction direction) {
  const LrnProblem problem = read_problem(call, direction);
  return {problem, direction, {{output_shape(problem), call.result_dtype()}}};
}

OpFunction make_function(const char* name, Direction direction) {
  return {name,
          [=](const Request& call) {
            const auto task = read_task(call, direction);
            const auto chosen = select_row(lrn_algorithms(), task, call);
            return make_plan(call, chosen, task, [=](LrnArrays& arrays, auto in, auto out) {
              arrays.out = out[0];
              if (direction == Direction::kFprop) {
                arrays.x = in[0];
              } else {
                arrays.y = in[0], arrays.x = in[1];
              }
            });
          },
          [=](const Request& call) {
            return list_candidates(lrn_algorithms(), read_task(call, direction), call);
          }};
}

}  // namespace

Op describe_lrn() {
  return {"lrn",
          {make_function("local_response_norm", Direction::kFprop),
           make_function("local_response_norm_grad", Direction::kDgrad)},
          describe(lrn_algorithms())};
}

}  // namespace ck
