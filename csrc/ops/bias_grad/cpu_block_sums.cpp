// bias_grad.wgrad.block_sums, cpu: the sums of cpu/channels.h. Memory-bound: grad_y is read once.
#include "cpu/channels.h"
#include "ops/bias_grad/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

template <class T>
void run_typed(const BiasGradProblem& p, const BiasGradArrays& arrays, const Execution& execution) {
  double* const totals = static_cast<double*>(execution.workspace);
  T* const out = static_cast<T*>(arrays.out);
  reduce_channels<T>(channel_blocks<T>(p.layout, p.n, p.c, p.pixels),
                     Sum<T>{static_cast<const T*>(arrays.grad_y)}, totals, execution.threads);
  for (int64_t c = 0; c < p.c; ++c) out[c] = T(totals[c]);
}

Reason supports(const BiasGradProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const BiasGradProblem& p, Direction, int) {
  const ChannelBlocks blocks = p.dtype == DType::kFloat32
                                   ? channel_blocks<float>(p.layout, p.n, p.c, p.pixels)
                                   : channel_blocks<double>(p.layout, p.n, p.c, p.pixels);
  return channel_workspace(blocks, Sum<float>::kFields) * int64_t(sizeof(double));
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

extern const BiasGradKernel bias_grad_block_sums;
const BiasGradKernel bias_grad_block_sums = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
