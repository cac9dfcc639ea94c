#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "ops/lrn/lrn.h"
#include "ops/number_text.h"

namespace ck {
namespace {

constexpr double kLargestBeta = 100;

void check_at_least_zero(const char* op, const char* name, double value) {
  if (value < 0) {
    throw_value_error("%s: %s is %s, must be at least 0", op, name, number_text(value).c_str());
  }
}

}  // namespace

LrnProblem make_lrn_problem(const LrnRequest& request) {
  const char* op = request.op;
  check_rank(op, "x.shape", request.x, 4);
  check_extent(op, "x.shape", request.x, size_of(request.dtype), 0, 1);
  if (request.direction == Direction::kDgrad && request.y != request.x) {
    throw_value_error("%s: grad_y.shape is %s, must be that of x, %s", op,
                      to_text(request.y).c_str(), to_text(request.x).c_str());
  }
  if (request.size < 1 || request.size > kMaxParameter) {
    throw_value_error("%s: size is %lld, must be at least 1 and below 2**31", op,
                      (long long)request.size);
  }
  // A sum below zero would have no power.
  check_at_least_zero(op, "alpha", request.alpha);
  check_at_least_zero(op, "k", request.k);
  if (std::fabs(request.beta) > kLargestBeta) {
    throw_value_error("%s: beta is %s, must be from %g to %g", op,
                      number_text(request.beta).c_str(), -kLargestBeta, kLargestBeta);
  }
  const ImageSizes x = image_sizes(request.layout, request.x);
  LrnProblem problem{};
  problem.dtype = request.dtype;
  problem.layout = request.layout;
  problem.n = x.n, problem.c = x.c, problem.h = x.h, problem.w = x.w;
  problem.before = std::min(request.size / 2, x.c - 1);
  problem.after = std::min((request.size - 1) / 2, x.c - 1);
  problem.alpha = request.alpha / double(request.size);
  problem.beta = request.beta;
  problem.k = request.k;
  return problem;
}

Shape output_shape(const LrnProblem& problem) {
  return image_shape(problem.layout, problem.n, problem.c, problem.h, problem.w);
}

}  // namespace ck
