#include "ops/affine/problem.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(AffineKernel, affine_elementwise)
CK_DECLARE_CPU_KERNEL(AffineKernel, affine_strict)
CK_DECLARE_GPU_KERNEL(AffineKernel, affine_elementwise)

namespace {

using AffineRow = AlgorithmRow<AffineProblem, AffineArrays>;

const AffineRow kRows[] = {
    {"elementwise", Backend::kCpu, kFpropOnly, 8.0, CK_CPU_KERNEL(affine_elementwise)},
    {"strict", Backend::kCpu, kFpropOnly, 8.0, CK_CPU_KERNEL(affine_strict), true},
    CK_GPU_ROWS("elementwise", kFpropOnly, 8.0, affine_elementwise),
    CK_GPU_ROWS("strict", kFpropOnly, 8.0, affine_elementwise, true),
};

}  // namespace

const AffineKernel& affine_kernel(Backend backend, bool strict) {
  const AffineRow* row = kRows;
  while (row->backend != backend || row->strict != strict) ++row;
  return row->active();
}

}  // namespace ck
