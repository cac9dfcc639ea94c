// copy: rules, table and binding. Not public: the dispatcher runs it on inputs that are not dense.
#include "bind/plan.h"
#include "ops/copy/problem.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(CopyKernel, copy_strided)
CK_DECLARE_GPU_KERNEL(CopyKernel, copy_strided)

namespace {

using CopyRow = AlgorithmRow<CopyProblem, CopyArrays>;

const CopyRow kRows[] = {
    {"strided", Backend::kCpu, kFpropOnly, 0.0, CK_CPU_KERNEL(copy_strided)},
    CK_GPU_ROWS("strided", kFpropOnly, 0.0, copy_strided),
};

CopyProblem read_problem(const Request& call) {
  const Shape shape = call.required_shape("x"), strides = call.shape("strides");
  const int64_t itemsize = itemsize_of(call.dtype_of("x"));
  if (shape.size() > size_t(kMaxRank) || strides.size() != shape.size()) {
    throw_value_error(
        "copy: x has %zu dimensions and %zu strides, must have one for each of up to %d",
        shape.size(), strides.size(), kMaxRank);
  }
  check_extent("copy", "x.shape", shape, itemsize, 0, 0);
  CopyProblem problem{};
  problem.itemsize = itemsize;
  problem.rank = int(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) {
    problem.shape[i] = shape[i];
    problem.src_strides[i] = strides[i];
  }
  return problem;
}

ByteRange source_bytes(const CopyProblem& problem) {
  ByteRange range = {0, problem.itemsize};
  for (int i = 0; i < problem.rank; ++i) {
    if (problem.shape[i] == 0) return {0, 0};
    const int64_t last = (problem.shape[i] - 1) * problem.src_strides[i];
    (last < 0 ? range.begin : range.end) += last;
  }
  return range;
}

Task<CopyProblem> read_task(const Request& call) {
  return {read_problem(call), Direction::kFprop, {{call.required_shape("x"), call.dtype_of("x")}}};
}

}  // namespace

Op describe_copy() {
  const std::span<const CopyRow> rows = kRows;
  OpFunction copy = {
      "copy",
      [=](const Request& call) {
        const auto task = read_task(call);
        Plan plan = make_plan(
            call, select_row(rows, task, call), task,
            [](CopyArrays& arrays, auto in, auto out) { arrays.src = in[0], arrays.dst = out[0]; });
        plan.strided_input = source_bytes(task.problem);
        return plan;
      },
      [=](const Request& call) { return list_candidates(rows, read_task(call), call); }};
  return {"copy", {copy}, describe(rows)};
}

}  // namespace ck
