#include "bind/plan.h"
#include "ops/cross_entropy/cross_entropy.h"

namespace ck {
namespace {

CrossEntropyProblem read_problem(const Request& call, Direction direction) {
  CrossEntropyRequest request{};
  request.op = call.op();
  request.direction = direction;
  request.layout = call.layout();
  if (direction == Direction::kFprop) {
    request.dtype = call.common_dtype({"logits"});
  } else {
    request.dtype = call.common_dtype({"grad_loss", "logits"});
    request.grad = call.required_shape("grad_loss");
  }
  request.logits = call.required_shape("logits");
  request.target = call.required_shape("target");
  call.require_dtype("target", "int64");
  request.label_smoothing = call.number("label_smoothing");
  request.ignore_index = call.integer("ignore_index", "from -2**63 to 2**63 - 1");
  request.reduction = Reduction(call.word("reduction", {"none", "sum", "mean"}));
  return make_cross_entropy_problem(request);
}

// A mean's gradient needs the number of all positions that count.
BatchRule rule_of(Reduction reduction, Direction direction) {
  const bool sums_gradient = reduction == Reduction::kSum && direction == Direction::kDgrad;
  if (sums_gradient) return {true, {"grad_loss"}};
  return {reduction == Reduction::kNone, {}};
}

Task<CrossEntropyProblem> read_task(const Request& call, Direction direction) {
  const CrossEntropyProblem problem = read_problem(call, direction);
  const BatchRule rule = rule_of(problem.reduction, direction);
  const Shape shape = direction == Direction::kFprop
                          ? loss_shape(problem.reduction, call.required_shape("target"))
                          : call.required_shape("logits");
  return {problem, direction, {{shape, call.result_dtype(), rule.independent}}, rule};
}

Plan plan_call(const Request& call, Direction direction) {
  const auto task = read_task(call, direction);
  const bool forward = direction == Direction::kFprop;
  const auto chosen = select_row(cross_entropy_algorithms(), task, call);
  Plan plan = make_plan(call, chosen, task, [=](CrossEntropyArrays& arrays, auto in, auto out) {
    arrays.out = out[0];
    if (!forward) arrays.grad = in[0];
    arrays.logits = in[forward ? 0 : 1];
    arrays.target = static_cast<const int64_t*>(in[forward ? 1 : 2]);
  });
  // Only here are the targets at hand before anything is written; a device would have to be waited
  // for, so its kernels answer a bad target with NaN.
  if (plan.backend == Backend::kCpu) {
    plan.run = [=, op = std::string(call.op()), shape = call.required_shape("target"),
                kernel = plan.run](auto in, auto out, const Execution& execution) {
      const auto* target = static_cast<const int64_t*>(in[forward ? 1 : 2]);
      check_targets(op.c_str(), task.problem, shape, target);
      kernel(in, out, execution);
    };
  }
  return plan;
}

OpFunction make_function(const char* name, Direction direction) {
  return {name, [=](const Request& call) { return plan_call(call, direction); },
          [=](const Request& call) {
            return list_candidates(cross_entropy_algorithms(), read_task(call, direction), call);
          }};
}

}  // namespace

Op describe_cross_entropy() {
  return {"cross_entropy",
          {make_function("cross_entropy", Direction::kFprop),
           make_function("cross_entropy_grad", Direction::kDgrad)},
          describe(cross_entropy_algorithms())};
}

}  // namespace ck
