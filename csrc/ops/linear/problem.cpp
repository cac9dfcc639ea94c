#include "core/error.h"
#include "ops/linear/linear.h"

namespace ck {
namespace {

Shape with_last(Shape shape, int64_t side) {
  shape.back() = side;
  return shape;
}

int64_t rows_of(const Shape& shape) {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

// Leading sides may be 0: no rows.
void check_rows(const char* op, const char* what, const Shape& shape, int64_t itemsize) {
  if (shape.empty()) {
    throw_value_error("%s: %s is (), needs at least 1 dimension", op, what);
  }
  if (shape.back() < 1) {
    throw_value_error("%s: %s is %s, its last side must be at least 1", op, what,
                      to_text(shape).c_str());
  }
  Shape all = shape;
  all.insert(all.begin(), 1);
  check_extent(op, what, all, itemsize, 0, 0);
}

void check_last(const char* op, const char* what, const Shape& shape, int64_t expected,
                const Shape& w) {
  if (shape.back() == expected) return;
  throw_value_error("%s: %s is %s, its last side must be %lld (w.shape=%s)", op, what,
                    to_text(shape).c_str(), (long long)expected, to_text(w).c_str());
}

}  // namespace

LinearProblem make_linear_problem(const LinearRequest& request) {
  const char* op = request.op;
  const int64_t itemsize = size_of(request.dtype);
  LinearProblem problem{};
  problem.dtype = request.dtype;
  if (request.direction != Direction::kDgrad) check_rows(op, "x.shape", request.x, itemsize);
  if (request.direction != Direction::kFprop) check_rows(op, "grad_y.shape", request.y, itemsize);
  if (request.direction == Direction::kWgrad) {
    if (with_last(request.y, 1) != with_last(request.x, 1)) {
      throw_value_error("%s: grad_y.shape is %s, must have the leading sides of x.shape, %s", op,
                        to_text(request.y).c_str(), to_text(request.x).c_str());
    }
    problem.n = rows_of(request.x), problem.c = request.x.back(), problem.k = request.y.back();
    check_extent(op, "the gradient's shape", {problem.k, problem.c}, itemsize, 1, 1);
    return problem;
  }
  check_rank(op, "w.shape", request.w, 2);
  check_extent(op, "w.shape", request.w, itemsize, 1, 1);
  problem.k = request.w[0], problem.c = request.w[1];
  if (request.direction == Direction::kDgrad) {
    check_last(op, "grad_y.shape", request.y, problem.k, request.w);
    problem.n = rows_of(request.y);
  } else {
    check_last(op, "x.shape", request.x, problem.c, request.w);
    problem.n = rows_of(request.x);
  }
  const Shape out = output_shape(request);
  check_rows(op, "the output's shape", out, itemsize);
  if (request.bias) {
    check_shape(op, "bias.shape", *request.bias, Shape{problem.k}, "one value for each row of w");
  }
  if (request.residual)
    check_shape(op, "residual.shape", *request.residual, out, "the output's shape");
  problem.has_bias = request.bias.has_value();
  problem.has_residual = request.residual.has_value();
  problem.activation = request.activation;
  return problem;
}

Shape output_shape(const LinearRequest& request) {
  switch (request.direction) {
    case Direction::kDgrad:
      return with_last(request.y, request.w[1]);
    case Direction::kWgrad:
      return {request.y.back(), request.x.back()};
    case Direction::kFprop:
      break;
  }
  return with_last(request.x, request.w[0]);
}

}  // namespace ck
