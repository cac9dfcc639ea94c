// bias_grad.wgrad.strict on the GPU: the sums of gpu/strict_channels.cuh. Not run on a GPU.
#include "gpu/strict_channels.cuh"
#include "ops/bias_grad/problem.h"

namespace ck {
namespace CK_GPU {
namespace {

Reason supports(const BiasGradProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const BiasGradProblem&, Direction, int) { return 0; }

template <class T>
void run_typed(const BiasGradProblem& p, const BiasGradArrays& arrays, const Execution& execution) {
  strict_channel_sums("bias_grad.wgrad.strict", {p.layout, p.n, p.c, p.pixels},
                      ValueSum<T>{{static_cast<const T*>(arrays.grad_y)}, nullptr},
                      static_cast<T*>(arrays.out), execution.stream);
}

void run(const BiasGradProblem& p, Direction, const BiasGradArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, arrays, execution);
  } else {
    run_typed<double>(p, arrays, execution);
  }
}

}  // namespace

extern const BiasGradKernel bias_grad_strict;
const BiasGradKernel bias_grad_strict = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
