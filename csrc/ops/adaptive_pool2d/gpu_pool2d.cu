// adaptive_pool2d.{fprop,dgrad}.pool2d on the GPU: pool2d.direct, for windows that are all alike.
// Not run on a GPU.
#include "gpu/device.cuh"
#include "ops/adaptive_pool2d/as_pool2d.h"

namespace ck {
namespace CK_GPU {

extern const Pool2dKernel pool2d_direct;

namespace {

Reason supports(const AdaptivePool2dProblem& p, Direction direction) {
  return supports_as_pool2d(p, direction, pool2d_direct);
}

int64_t workspace_bytes(const AdaptivePool2dProblem& p, Direction direction, int threads) {
  return pool2d_direct.workspace_bytes(as_pool2d(p), direction, threads);
}

void run(const AdaptivePool2dProblem& p, Direction direction, const Pool2dArrays& arrays,
         const Execution& execution) {
  pool2d_direct.run(as_pool2d(p), direction, arrays, execution);
}

}  // namespace

extern const AdaptivePool2dKernel adaptive_pool2d_pool2d;
const AdaptivePool2dKernel adaptive_pool2d_pool2d = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
