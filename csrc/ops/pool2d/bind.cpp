#include "bind/plan.h"
#include "bind/small_images.h"
#include "ops/pool2d/pool2d.h"

namespace ck {
namespace {

Pool2dProblem read_problem(const Request& call, bool is_max, Direction direction) {
  Pool2dRequest request{};
  request.op = call.op();
  request.direction = direction;
  request.is_max = is_max;
  request.layout = call.layout();
  if (direction == Direction::kFprop) {
    request.dtype = call.common_dtype({"x"});
    request.x = call.required_shape("x");
  } else {
    request.dtype = call.common_dtype({"grad_y"});
    request.x = call.shape("x_shape");
    request.y = call.required_shape("grad_y");
  }
  request.kernel_size = call.pair("kernel_size");
  request.stride = call.pair_or("stride", request.kernel_size);
  request.padding = call.padding("padding", false);
  request.ceil_mode = call.flag("ceil_mode");
  request.dilation = {1, 1};
  if (is_max) {
    request.dilation = call.pair("dilation");
    if (direction == Direction::kFprop) {
      call.flag("return_indices");
    } else {
      request.indices = call.required_shape("indices");
      call.require_dtype("indices", "int64");
    }
  } else {
    request.count_include_pad = call.flag("count_include_pad");
  }
  return make_pool2d_problem(request);
}

std::vector<OutputSpec> output_specs(const Request& call, const Pool2dProblem& problem,
                                     Direction direction) {
  const Shape shape = output_shape(problem, direction);
  std::vector<OutputSpec> specs = {{shape, call.result_dtype()}};
  if (problem.is_max && direction == Direction::kFprop && call.flag("return_indices"))
    specs.push_back({shape, "int64"});
  return specs;
}

void set_pointers(Pool2dArrays& arrays, bool is_max, Direction direction, std::span<void* const> in,
                  std::span<void* const> out) {
  arrays.out = out[0];
  if (direction == Direction::kFprop) {
    arrays.x = in[0];
    if (out.size() > 1) arrays.indices_out = static_cast<int64_t*>(out[1]);
  } else {
    arrays.y = in[0];
    if (is_max) arrays.indices_in = static_cast<const int64_t*>(in[1]);
  }
}

Task<Pool2dProblem> read_task(const Request& call, bool is_max, Direction direction) {
  const Pool2dProblem problem = read_problem(call, is_max, direction);
  return {is_16_bit(call.result_dtype()) ? with_small_images(problem) : problem, direction,
          output_specs(call, problem, direction)};
}

OpFunction make_function(const char* name, bool is_max, Direction direction) {
  return {name,
          [=](const Request& call) {
            const auto task = read_task(call, is_max, direction);
            const auto chosen = select_row(pool2d_algorithms(), task, call);
            return make_plan(call, chosen, task, [=](Pool2dArrays& arrays, auto in, auto out) {
              set_pointers(arrays, is_max, direction, in, out);
            });
          },
          [=](const Request& call) {
            return list_candidates(pool2d_algorithms(), read_task(call, is_max, direction), call);
          }};
}

}  // namespace

Op describe_pool2d() {
  return {"pool2d",
          {make_function("max_pool2d", true, Direction::kFprop),
           make_function("max_pool2d_grad", true, Direction::kDgrad),
           make_function("avg_pool2d", false, Direction::kFprop),
           make_function("avg_pool2d_grad", false, Direction::kDgrad)},
          describe(pool2d_algorithms())};
}

}  // namespace ck
