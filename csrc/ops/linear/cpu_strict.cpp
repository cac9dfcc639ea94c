// linear.{fprop,dgrad,wgrad}.strict on the CPU: conv2d.strict.
#include "ops/linear/gemm.h"

namespace ck {
namespace CK_ISA {

extern const Conv2dKernel conv2d_strict;

namespace {

Reason supports(const LinearProblem& p, Direction direction) {
  return conv2d_strict.supports(as_convolution(p), direction);
}

int64_t workspace_bytes(const LinearProblem& p, Direction direction, int threads) {
  return conv2d_strict.workspace_bytes(as_convolution(p), direction, threads);
}

void run(const LinearProblem& p, Direction direction, const LinearArrays& arrays,
         const Execution& execution) {
  conv2d_strict.run(as_convolution(p), direction, as_convolution(arrays), execution);
}

}  // namespace

extern const LinearKernel linear_strict;
const LinearKernel linear_strict = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
