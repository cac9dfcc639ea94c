// im2col.{fprop,dgrad}.strict on the GPU: a thread makes
// one number, its terms in the order of ops/im2col/strict.h. im2col itself only moves numbers:
// gather does. Not run on a GPU.
#include "gpu/strict_windows.cuh"
#include "ops/im2col/strict.h"

namespace ck {
namespace CK_GPU {

extern const Im2colKernel im2col_gather;

namespace {

Reason supports(const Im2colProblem& p, Direction direction) {
  return direction == Direction::kFprop ? im2col_gather.supports(p, direction) : accepted();
}

int64_t workspace_bytes(const Im2colProblem& p, Direction direction, int threads) {
  return direction == Direction::kFprop ? im2col_gather.workspace_bytes(p, direction, threads) : 0;
}

template <class T>
void run_typed(const Im2colProblem& p, const Im2colArrays& arrays, const Execution& execution) {
  const StrictPlanes pixels = {p.layout == Layout::kNHWC, p.n, p.c,
                               p.r * p.s * p.p * p.q,     p.h, p.w};
  run_strict_windows<T>("im2col.dgrad.strict", pixels, ColumnsToImage{p}, arrays.in, nullptr,
                        arrays.out, execution);
}

void run(const Im2colProblem& p, Direction direction, const Im2colArrays& arrays,
         const Execution& execution) {
  if (direction == Direction::kFprop) return im2col_gather.run(p, direction, arrays, execution);
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, arrays, execution);
  } else {
    run_typed<double>(p, arrays, execution);
  }
}

}  // namespace

extern const Im2colKernel im2col_strict;
const Im2colKernel im2col_strict = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
