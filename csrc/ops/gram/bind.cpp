#include "bind/plan.h"
#include "ops/gram/gram.h"

namespace ck {
namespace {

GramProblem read_problem(const Request& call, Direction direction) {
  GramRequest request{};
  request.op = call.op();
  request.direction = direction;
  request.layout = call.layout();
  request.x = call.required_shape("x");
  request.normalize = call.flag("normalize");
  if (direction == Direction::kFprop) {
    request.dtype = call.common_dtype({"x"});
  } else {
    request.dtype = call.common_dtype({"grad_gram", "x"});
    request.grad = call.required_shape("grad_gram");
  }
  return make_gram_problem(request);
}

Task<GramProblem> read_task(const Request& call, Direction direction) {
  const GramProblem problem = read_problem(call, direction);
  return {problem, direction, {{output_shape(problem, direction), call.result_dtype()}}};
}

OpFunction make_function(const char* name, Direction direction) {
  return {name,
          [=](const Request& call) {
            const auto task = read_task(call, direction);
            const auto chosen = select_row(gram_algorithms(), task, call);
            return make_plan(call, chosen, task, [=](GramArrays& arrays, auto in, auto out) {
              arrays.out = out[0];
              if (direction == Direction::kFprop) {
                arrays.x = in[0];
              } else {
                arrays.grad = in[0], arrays.x = in[1];
              }
            });
          },
          [=](const Request& call) {
            return list_candidates(gram_algorithms(), read_task(call, direction), call);
          }};
}

}  // namespace

Op describe_gram() {
  return {"gram",
          {make_function("gram_matrix", Direction::kFprop),
           make_function("gram_matrix_grad", Direction::kDgrad)},
          describe(gram_algorithms())};
}

}  // namespace ck
