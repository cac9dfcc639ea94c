#include <algorithm>

#include "bind/plan.h"
#include "ops/batch_norm/batch_norm.h"

namespace ck {
namespace {

// In the order of the calls' arrays.
constexpr const char* kForward[] = {"x",        "weight",       "bias",
                                    "residual", "running_mean", "running_var"};
constexpr const char* kGradient[] = {"grad_y", "x", "weight", "save_mean", "save_invstd"};
const std::vector<std::string> kPerChannel = {"weight",      "bias",      "running_mean",
                                              "running_var", "save_mean", "save_invstd"};

// Numbers per channel stand in the type that kernels compute in.
std::string channel_dtype(DType dtype) { return dtype == DType::kFloat64 ? "float64" : "float32"; }

void add_array(const Request& call, const char* name, bool required, BatchNormRequest* request) {
  const auto shape = required ? call.required_shape(name) : call.shape_of(name);
  if (!shape) return;
  if (std::find(kPerChannel.begin(), kPerChannel.end(), name) == kPerChannel.end()) {
    request->like_x.emplace_back(name, *shape);
    return;
  }
  const std::string dtype = call.dtype_of(name), wanted = channel_dtype(request->dtype);
  if (dtype != wanted) {
    throw_type_error("%s: %s.dtype is %s, must be %s where x.dtype is %s", call.op(), name,
                     dtype.c_str(), wanted.c_str(), call.dtype_of("x").c_str());
  }
  request->per_channel.emplace_back(name, *shape);
}

BatchNormProblem read_problem(const Request& call, Direction direction) {
  const bool forward = direction == Direction::kFprop;
  BatchNormRequest request{};
  request.op = call.op();
  request.direction = direction;
  request.layout = call.layout();
  request.x = call.required_shape("x");
  request.training = call.flag("training");
  if (forward) {
    request.dtype = call.common_dtype({"x", "residual"});
    for (const char* name : kForward) add_array(call, name, false, &request);
    request.has_running_mean = call.shape_of("running_mean").has_value();
    request.has_running_var = call.shape_of("running_var").has_value();
    request.eps = call.number("eps");
    request.momentum = call.number("momentum");
    request.activation = call.activation();
    call.flag("return_stats");
  } else {
    request.dtype = call.common_dtype({"grad_y", "x"});
    for (const char* name : kGradient)
      add_array(call, name, std::string(name) != "weight", &request);
  }
  return make_batch_norm_problem(request);
}

// What a call returns beside y, and changes.
struct Results {
  bool stats;    // the statistics
  bool running;  // the running arrays, in place
};

Results results_of(const Request& call, const BatchNormProblem& problem) {
  return {call.flag("return_stats"), problem.training && call.shape_of("running_mean").has_value()};
}

// y, the statistics where wanted, the running arrays where they change; or the three gradients.
std::vector<OutputSpec> output_specs(const Request& call, const BatchNormProblem& problem,
                                     Direction direction) {
  const OutputSpec per_channel = {{problem.c}, channel_dtype(problem.dtype), false};
  std::vector<OutputSpec> specs = {{call.required_shape("x"), call.dtype_of("x")}};
  Results results{true, false};
  if (direction == Direction::kFprop) results = results_of(call, problem);
  specs.insert(specs.end(), 2 * size_t(results.stats) + 2 * size_t(results.running), per_channel);
  return specs;
}

void set_pointers(BatchNormArrays& arrays, Direction direction, const Results& results,
                  std::span<void* const> in, std::span<void* const> out) {
  arrays.out = out[0];
  if (direction == Direction::kFprop) {
    arrays.x = in[0], arrays.weight = in[1], arrays.bias = in[2], arrays.residual = in[3];
    arrays.running_mean = in[4], arrays.running_var = in[5];
    const size_t running = results.stats ? 3 : 1;
    if (results.stats) arrays.save_mean_out = out[1], arrays.save_invstd_out = out[2];
    if (results.running)
      arrays.running_mean_out = out[running], arrays.running_var_out = out[running + 1];
  } else {
    arrays.grad_y = in[0], arrays.x = in[1], arrays.weight = in[2];
    arrays.save_mean = in[3], arrays.save_invstd = in[4];
    arrays.grad_weight = out[1], arrays.grad_bias = out[2];
  }
}

// Arrays of 16 bits are widened by the image, and a large one leaves the cache. Where statistics
// are given and channels lie side by side, each pixel is an image too.
BatchNormProblem with_small_images(BatchNormProblem problem) {
  if (problem.layout == Layout::kNHWC) problem.n *= problem.pixels, problem.pixels = 1;
  return problem;
}

Task<BatchNormProblem> read_task(const Request& call, Direction direction) {
  const BatchNormProblem problem = read_problem(call, direction);
  // Statistics and the gradients of weight and bias are made of the whole batch.
  const bool independent = direction == Direction::kFprop && !problem.training;
  const bool small = independent && is_16_bit(call.result_dtype());
  return {small ? with_small_images(problem) : problem,
          direction,
          output_specs(call, problem, direction),
          {independent, kPerChannel}};
}

OpFunction make_function(const char* name, Direction direction) {
  return {name,
          [=](const Request& call) {
            const auto task = read_task(call, direction);
            const auto chosen = select_row(batch_norm_algorithms(), task, call);
            Results results{};
            if (direction == Direction::kFprop) results = results_of(call, task.problem);
            return make_plan(call, chosen, task, [=](BatchNormArrays& arrays, auto in, auto out) {
              set_pointers(arrays, direction, results, in, out);
            });
          },
          [=](const Request& call) {
            return list_candidates(batch_norm_algorithms(), read_task(call, direction), call);
          }};
}

}  // namespace

Op describe_batch_norm() {
  return {"batch_norm",
          {make_function("batch_norm", Direction::kFprop),
           make_function("batch_norm_grad", Direction::kDgrad)},
          describe(batch_norm_algorithms())};
}

}  // namespace ck
