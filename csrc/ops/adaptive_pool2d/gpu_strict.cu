// adaptive_pool2d.{fprop,dgrad}.strict on the GPU: a thread makes
// one number, its terms in the order of ops/adaptive_pool2d/strict.h. A maximum is exact in any
// order: direct makes it. Not run on a GPU.
#include "gpu/strict_windows.cuh"
#include "ops/adaptive_pool2d/strict.h"

namespace ck {
namespace CK_GPU {

extern const AdaptivePool2dKernel adaptive_pool2d_direct;

namespace {

Reason supports(const AdaptivePool2dProblem& p, Direction direction) {
  return p.is_max && direction == Direction::kFprop ? adaptive_pool2d_direct.supports(p, direction)
                                                    : accepted();
}

int64_t workspace_bytes(const AdaptivePool2dProblem& p, Direction direction, int threads) {
  const bool is_direct = p.is_max && direction == Direction::kFprop;
  return is_direct ? adaptive_pool2d_direct.workspace_bytes(p, direction, threads) : 0;
}

template <class T>
void run_typed(const AdaptivePool2dProblem& p, Direction direction, const Pool2dArrays& arrays,
               const Execution& execution) {
  const StrictPlanes windows = {p.layout == Layout::kNHWC, p.n, p.c, p.h * p.w, p.p, p.q};
  const StrictPlanes pixels = {p.layout == Layout::kNHWC, p.n, p.c, p.p * p.q, p.h, p.w};
  if (direction == Direction::kFprop) {
    run_strict_windows<T>("adaptive_pool2d.fprop.strict", windows, AdaptiveAverage{p}, arrays.x,
                          nullptr, arrays.out, execution.stream);
  } else if (p.is_max) {
    run_strict_windows<T>("adaptive_pool2d.dgrad.strict", pixels, AdaptiveGradient<true>{p},
                          arrays.y, arrays.indices_in, arrays.out, execution.stream);
  } else {
    run_strict_windows<T>("adaptive_pool2d.dgrad.strict", pixels, AdaptiveGradient<false>{p},
                          arrays.y, nullptr, arrays.out, execution.stream);
  }
}

void run(const AdaptivePool2dProblem& p, Direction direction, const Pool2dArrays& arrays,
         const Execution& execution) {
  if (p.is_max && direction == Direction::kFprop)
    return adaptive_pool2d_direct.run(p, direction, arrays, execution);
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace

extern const AdaptivePool2dKernel adaptive_pool2d_strict;
const AdaptivePool2dKernel adaptive_pool2d_strict = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
