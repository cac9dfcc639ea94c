#include "core/error.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "ops/number_text.h"

namespace ck {
namespace {

void check_like(const char* op, const char* name, const Shape& shape, const Shape& expected,
                const Shape& logits) {
  if (shape == expected) return;
  throw_value_error("%s: %s.shape is %s, must be %s (logits.shape=%s)", op, name,
                    to_text(shape).c_str(), to_text(expected).c_str(), to_text(logits).c_str());
}

}  // namespace

CrossEntropyProblem make_cross_entropy_problem(const CrossEntropyRequest& request) {
  const char* op = request.op;
  const Shape& logits = request.logits;
  if (logits.size() < 2) {
    throw_value_error("%s: logits.shape is %s, must have at least 2 dimensions", op,
                      to_text(logits).c_str());
  }
  check_extent(op, "logits.shape", logits, size_of(request.dtype), 0, 1);
  const size_t axis = request.layout == Layout::kNCHW ? 1 : logits.size() - 1;
  Shape positions = logits;
  positions.erase(positions.begin() + int64_t(axis));
  check_like(op, "target", request.target, positions, logits);
  if (request.direction == Direction::kDgrad) {
    check_like(op, "grad_loss", request.grad, loss_shape(request.reduction, positions), logits);
  }
  if (!(request.label_smoothing >= 0 && request.label_smoothing <= 1)) {
    throw_value_error("%s: label_smoothing is %s, must be from 0 to 1", op,
                      number_text(request.label_smoothing).c_str());
  }
  CrossEntropyProblem problem{};
  problem.dtype = request.dtype;
  problem.n = logits[0];
  problem.classes = logits[axis];
  problem.pixels = 1;
  for (size_t i = 1; i < positions.size(); ++i) problem.pixels *= positions[i];
  problem.classes_last = request.layout == Layout::kNHWC || problem.pixels == 1;
  problem.label_smoothing = request.label_smoothing;
  problem.ignore_index = request.ignore_index;
  problem.reduction = request.reduction;
  return problem;
}

Shape loss_shape(Reduction reduction, const Shape& target) {
  return reduction == Reduction::kNone ? target : Shape{};
}

void check_targets(const char* op, const CrossEntropyProblem& problem, const Shape& shape,
                   const int64_t* target) {
  const auto is_bad = [&](int64_t one) {
    return (uint64_t(one) >= uint64_t(problem.classes)) & (one != problem.ignore_index);
  };
  const int64_t count = problem.n * problem.pixels;
  int64_t bad = 0;  // without a branch: most often there is none
  for (int64_t i = 0; i < count; ++i) bad += is_bad(target[i]);
  for (int64_t i = 0; bad > 0; ++i) {
    if (!is_bad(target[i])) continue;
    std::string place;
    int64_t rest = i;
    for (size_t axis = shape.size(); axis-- > 0; rest /= shape[axis])
      place = std::to_string(rest % shape[axis]) + (place.empty() ? "" : ", ") + place;
    throw_value_error("%s: target[%s] is %lld, must be from 0 to %lld, or ignore_index=%lld", op,
                      place.c_str(), (long long)target[i], (long long)problem.classes - 1,
                      (long long)problem.ignore_index);
  }
}

}  // namespace ck
