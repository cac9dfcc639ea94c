#include "core/error.h"
#include "ops/batch_norm/batch_norm.h"
#include "ops/number_text.h"

namespace ck {
namespace {

void check_running(const BatchNormRequest& request) {
  if (request.direction != Direction::kFprop) return;
  const bool both = request.has_running_mean && request.has_running_var;
  const char* missing = request.has_running_mean ? "running_var" : "running_mean";
  if (both || (request.training && !request.has_running_mean && !request.has_running_var)) return;
  if (request.training) {
    throw_type_error("%s: %s is None, but %s is given; give both or none", request.op, missing,
                     request.has_running_mean ? "running_mean" : "running_var");
  }
  throw_type_error("%s: %s is None, must be an array unless training", request.op, missing);
}

void check_fraction(const BatchNormRequest& request) {
  if (request.eps < 0) {
    throw_value_error("%s: eps is %s, must be at least 0", request.op,
                      number_text(request.eps).c_str());
  }
  if (request.momentum < 0 || request.momentum > 1) {
    throw_value_error("%s: momentum is %s, must be from 0 to 1", request.op,
                      number_text(request.momentum).c_str());
  }
}

}  // namespace

BatchNormProblem make_batch_norm_problem(const BatchNormRequest& request) {
  const char* op = request.op;
  check_rank(op, "x.shape", request.x, 4);
  check_extent(op, "x.shape", request.x, size_of(request.dtype), 0, 1);
  const ImageSizes x = image_sizes(request.layout, request.x);
  for (const auto& [name, shape] : request.like_x) {
    if (shape == request.x) continue;
    throw_value_error("%s: %s.shape is %s, must be %s (the shape of x)", op, name,
                      to_text(shape).c_str(), to_text(request.x).c_str());
  }
  const Shape channels = {x.c};
  for (const auto& [name, shape] : request.per_channel) {
    if (shape == channels) continue;
    throw_value_error("%s: %s.shape is %s, must be %s, one number for each channel (x.shape=%s)",
                      op, name, to_text(shape).c_str(), to_text(channels).c_str(),
                      to_text(request.x).c_str());
  }
  check_running(request);
  check_fraction(request);
  if (request.training && x.n * x.h * x.w < 2) {
    throw_value_error(
        "%s: x.shape is %s, training needs at least 2 values per channel to have a variance", op,
        to_text(request.x).c_str());
  }
  return {request.dtype,    request.layout,    x.n, x.c, x.h * x.w, request.training, request.eps,
          request.momentum, request.activation};
}

}  // namespace ck
