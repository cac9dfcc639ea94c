// gram.{fprop,dgrad}.strict on the CPU; how stands in ops/gram/strict.h. Twice the multiplications
// of symmetric_gemm.
#include "ops/gram/strict.h"

#include "cpu/operands.h"
#include "cpu/tasks.h"

namespace ck {
namespace CK_ISA {

extern const Conv2dKernel conv2d_strict;

namespace {

int64_t filter_bytes(const GramProblem& p, Direction direction) {
  if (direction == Direction::kFprop) return 0;
  return round_up(p.n * p.c * p.c * size_of(p.dtype), 64);
}

Reason supports(const GramProblem& p, Direction direction) {
  return conv2d_strict.supports(as_convolution(p), direction_in_convolution(direction));
}

int64_t workspace_bytes(const GramProblem& p, Direction direction, int threads) {
  return filter_bytes(p, direction) +
         conv2d_strict.workspace_bytes(as_convolution(p), direction_in_convolution(direction),
                                       threads);
}

template <class T>
void run_typed(const GramProblem& p, Direction direction, const GramArrays& arrays,
               const Execution& execution) {
  T* const filters = static_cast<T*>(execution.workspace);
  if (direction == Direction::kDgrad) {
    const T* const grad = static_cast<const T*>(arrays.grad);
    run_tasks(p.n * p.c, execution.threads, [&](int64_t row, int64_t) {
      const int64_t i = row % p.c;
      const T* const matrix = grad + (row - i) * p.c;
      for (int64_t j = 0; j < p.c; ++j) {
        filters[row * p.c + j] = matrix[i * p.c + j] + matrix[j * p.c + i];
      }
    });
  }
  Execution inner = execution;
  inner.workspace = static_cast<char*>(execution.workspace) + filter_bytes(p, direction);
  run_strict_products<T>(p, direction, arrays, filters, conv2d_strict, inner);
  if (!p.normalize) return;
  const T divisor = T(p.c) * T(p.h * p.w);
  const int64_t row = direction == Direction::kFprop ? p.c : p.h * p.w;
  run_tasks(p.n * p.c, execution.threads, [&](int64_t task, int64_t) {
    T* const to = static_cast<T*>(arrays.out) + task * row;
    for (int64_t i = 0; i < row; ++i) to[i] /= divisor;
  });
}

void run(const GramProblem& p, Direction direction, const GramArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace

extern const GramKernel gram_strict;
const GramKernel gram_strict = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
