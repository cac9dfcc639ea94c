#include "bind/plan.h"
#include "bind/small_images.h"
#include "ops/adaptive_pool2d/adaptive_pool2d.h"

namespace ck {
namespace {

struct Function {
  const char* name;
  bool is_max, is_global;
  Direction direction;
};

AdaptivePool2dProblem read_problem(const Request& call, const Function& function) {
  AdaptivePool2dRequest request{};
  request.op = call.op();
  request.direction = function.direction;
  request.is_max = function.is_max, request.is_global = function.is_global;
  request.layout = call.layout();
  request.output_size = {1, 1};
  if (function.direction == Direction::kFprop) {
    request.dtype = call.common_dtype({"x"});
    request.x = call.required_shape("x");
    if (!function.is_global) {
      check_rank(call.op(), "x.shape", request.x, 4);
      const ImageSizes x = image_sizes(request.layout, request.x);
      request.output_size = call.pair_keeping("output_size", {x.h, x.w});
    }
    if (function.is_max) call.flag("return_indices");
  } else {
    request.dtype = call.common_dtype({"grad_y"});
    request.x = call.shape("x_shape");
    request.y = call.required_shape("grad_y");
    if (function.is_max) {
      request.indices = call.required_shape("indices");
      call.require_dtype("indices", "int64");
    }
  }
  return make_adaptive_pool2d_problem(request);
}

std::vector<OutputSpec> output_specs(const Request& call, const AdaptivePool2dProblem& problem,
                                     Direction direction) {
  const Shape shape = output_shape(problem, direction);
  std::vector<OutputSpec> specs = {{shape, call.result_dtype()}};
  if (problem.is_max && direction == Direction::kFprop && call.flag("return_indices"))
    specs.push_back({shape, "int64"});
  return specs;
}

void set_pointers(Pool2dArrays& arrays, const Function& function, std::span<void* const> in,
                  std::span<void* const> out) {
  arrays.out = out[0];
  if (function.direction == Direction::kFprop) {
    arrays.x = in[0];
    if (out.size() > 1) arrays.indices_out = static_cast<int64_t*>(out[1]);
  } else {
    arrays.y = in[0];
    if (function.is_max) arrays.indices_in = static_cast<const int64_t*>(in[1]);
  }
}

Task<AdaptivePool2dProblem> read_task(const Request& call, const Function& function) {
  const AdaptivePool2dProblem problem = read_problem(call, function);
  return {is_16_bit(call.result_dtype()) ? with_small_images(problem) : problem, function.direction,
          output_specs(call, problem, function.direction)};
}

OpFunction make_function(const Function& function) {
  return {function.name,
          [=](const Request& call) {
            const auto task = read_task(call, function);
            const auto preference = preferred_adaptive_pool2d(task.problem, call.backend());
            const auto chosen = select_row(adaptive_pool2d_algorithms(), task, call, preference);
            return make_plan(call, chosen, task, [=](Pool2dArrays& arrays, auto in, auto out) {
              set_pointers(arrays, function, in, out);
            });
          },
          [=](const Request& call) {
            return list_candidates(adaptive_pool2d_algorithms(), read_task(call, function), call);
          }};
}

}  // namespace

Op describe_adaptive_pool2d() {
  Op op = {"adaptive_pool2d", {}, describe(adaptive_pool2d_algorithms())};
  for (const Function& function : {
           Function{"adaptive_max_pool2d", true, false, Direction::kFprop},
           Function{"adaptive_max_pool2d_grad", true, false, Direction::kDgrad},
           Function{"adaptive_avg_pool2d", false, false, Direction::kFprop},
           Function{"adaptive_avg_pool2d_grad", false, false, Direction::kDgrad},
           Function{"global_max_pool2d", true, true, Direction::kFprop},
           Function{"global_max_pool2d_grad", true, true, Direction::kDgrad},
           Function{"global_avg_pool2d", false, true, Direction::kFprop},
           Function{"global_avg_pool2d_grad", false, true, Direction::kDgrad},
       }) {
    op.functions.push_back(make_function(function));
  }
  return op;
}

}  // namespace ck
