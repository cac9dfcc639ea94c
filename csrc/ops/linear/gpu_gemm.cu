// linear.{fprop,dgrad,wgrad}.gemm on the GPU: conv2d.1x1. Not run on a GPU.
#include "gpu/device.cuh"
#include "ops/linear/gemm.h"

namespace ck {
namespace CK_GPU {

extern const Conv2dKernel conv2d_1x1;

namespace {

Reason supports(const LinearProblem& p, Direction direction) {
  return conv2d_1x1.supports(as_convolution(p), direction);
}

int64_t workspace_bytes(const LinearProblem& p, Direction direction, int threads) {
  return conv2d_1x1.workspace_bytes(as_convolution(p), direction, threads);
}

void run(const LinearProblem& p, Direction direction, const LinearArrays& arrays,
         const Execution& execution) {
  conv2d_1x1.run(as_convolution(p), direction, as_convolution(arrays), execution);
}

}  // namespace

extern const LinearKernel linear_gemm;
const LinearKernel linear_gemm = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
