#include "core/error.h"
#include "ops/gram/gram.h"

namespace ck {

GramProblem make_gram_problem(const GramRequest& request) {
  const char* op = request.op;
  check_rank(op, "x.shape", request.x, 4);
  check_extent(op, "x.shape", request.x, size_of(request.dtype), 0, 1);
  const ImageSizes x = image_sizes(request.layout, request.x);
  GramProblem problem{};
  problem.dtype = request.dtype;
  problem.layout = request.layout;
  problem.n = x.n, problem.c = x.c, problem.h = x.h, problem.w = x.w;
  problem.normalize = request.normalize;

  const Shape gram = output_shape(problem, Direction::kFprop);
  check_extent(op, "the Gram matrix's shape", gram, size_of(request.dtype), 0, 1);
  if (request.direction == Direction::kDgrad && request.grad != gram) {
    throw_value_error("%s: grad_gram.shape is %s, must be %s (x.shape=%s)", op,
                      to_text(request.grad).c_str(), to_text(gram).c_str(),
                      to_text(request.x).c_str());
  }
  return problem;
}

Shape output_shape(const GramProblem& problem, Direction direction) {
  if (direction == Direction::kDgrad) {
    return image_shape(problem.layout, problem.n, problem.c, problem.h, problem.w);
  }
  return {problem.n, problem.c, problem.c};
}

}  // namespace ck
