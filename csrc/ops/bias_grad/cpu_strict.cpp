// bias_grad.wgrad.strict on the CPU: the sums of cpu/strict_channels.h.
#include "cpu/strict_channels.h"
#include "ops/bias_grad/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

Reason supports(const BiasGradProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const BiasGradProblem&, Direction, int) { return 0; }

template <class T>
void run_typed(const BiasGradProblem& p, const BiasGradArrays& arrays, const Execution& execution) {
  strict_channel_sums({p.layout, p.n, p.c, p.pixels},
                      ValueSum<T>{{static_cast<const T*>(arrays.grad_y)}, nullptr},
                      static_cast<T*>(arrays.out), execution.threads);
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

}  // namespace CK_ISA
}  // namespace ck
