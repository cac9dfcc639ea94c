// bias_grad.wgrad.block_sums, GPU, float32 and float64, NCHW and NHWC: the sums of
// gpu/channels.cuh. Memory-bound: grad_y is read once. ptxas sm_80:
// channel_sums 32-48 registers, channel_totals 32-40, 0 spills (sm_90: 4 bytes in the float NHWC
// one). Not run on a GPU.
#include "gpu/channels.cuh"
#include "ops/bias_grad/problem.h"

namespace ck {
namespace CK_GPU {
namespace {

template <class T>
struct FinishSum {
  T* out;
  __device__ __forceinline__ void operator()(int64_t channel, const double* total) const {
    out[channel] = T(total[0]);
  }
};

template <class T>
void run_typed(const char* name, const BiasGradProblem& p, const BiasGradArrays& arrays,
               const Execution& execution) {
  reduce_channels<T, ValueSums, FinishSum<T>>(
      name, channel_shape<T>(p.layout, p.n, p.c, p.pixels), static_cast<const T*>(arrays.grad_y),
      nullptr, nullptr, static_cast<T*>(execution.workspace),
      FinishSum<T>{static_cast<T*>(arrays.out)}, execution.stream);
}

Reason supports(const BiasGradProblem&, Direction) { return accepted(); }

template <class T>
int64_t workspace_of(const BiasGradProblem& p) {
  return partial_elems<T, ValueSums>(channel_shape<T>(p.layout, p.n, p.c, p.pixels)) *
         int64_t(sizeof(T));
}

int64_t workspace_bytes(const BiasGradProblem& p, Direction, int) {
  return p.dtype == DType::kFloat32 ? workspace_of<float>(p) : workspace_of<double>(p);
}

void run(const BiasGradProblem& p, Direction, const BiasGradArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>("bias_grad.wgrad.block_sums.f32", p, arrays, execution);
  } else {
    run_typed<double>("bias_grad.wgrad.block_sums.f64", p, arrays, execution);
  }
}

}  // namespace

extern const BiasGradKernel bias_grad_block_sums;
const BiasGradKernel bias_grad_block_sums = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
