#include "bind/plan.h"
#include "ops/im2col/im2col.h"

namespace ck {
namespace {

Im2colProblem read_problem(const Request& call, Direction direction) {
  Im2colRequest request{};
  request.op = call.op();
  request.direction = direction;
  request.layout = call.layout();
  if (direction == Direction::kFprop) {
    request.x = call.required_shape("x");
    request.itemsize = call.itemsize("x");
  } else {
    request.dtype = call.common_dtype({"cols"});
    request.itemsize = size_of(request.dtype);
    request.x = call.shape("x_shape");
    request.cols = call.required_shape("cols");
  }
  request.kernel_size = call.pair("kernel_size");
  request.stride = call.pair("stride");
  request.dilation = call.pair("dilation");
  request.padding = call.padding("padding", true);
  return make_im2col_problem(request);
}

Task<Im2colProblem> read_task(const Request& call, Direction direction) {
  const Im2colProblem problem = read_problem(call, direction);
  Task<Im2colProblem> task{
      problem, direction, {{output_shape(problem, direction), call.result_dtype()}}};
  task.moves_items = direction == Direction::kFprop;
  return task;
}

OpFunction make_function(const char* name, Direction direction) {
  return {name,
          [=](const Request& call) {
            const auto task = read_task(call, direction);
            const auto chosen = select_row(im2col_algorithms(), task, call);
            return make_plan(call, chosen, task, [](Im2colArrays& arrays, auto in, auto out) {
              arrays.in = in[0], arrays.out = out[0];
            });
          },
          [=](const Request& call) {
            return list_candidates(im2col_algorithms(), read_task(call, direction), call);
          }};
}

}  // namespace

Op describe_im2col() {
  return {"im2col",
          {make_function("im2col", Direction::kFprop), make_function("col2im", Direction::kDgrad)},
          describe(im2col_algorithms())};
}

}  // namespace ck
