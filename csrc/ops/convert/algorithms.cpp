#include "ops/convert/problem.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(ConvertKernel, convert_elementwise)
CK_DECLARE_GPU_KERNEL(ConvertKernel, convert_elementwise)

namespace {

using ConvertRow = AlgorithmRow<ConvertProblem, ConvertArrays>;

const ConvertRow kRows[] = {
    {"elementwise", Backend::kCpu, kFpropDgrad, 0.0, CK_CPU_KERNEL(convert_elementwise)},
    CK_GPU_ROWS("elementwise", kFpropDgrad, 0.0, convert_elementwise),
};

}  // namespace

const ConvertKernel& convert_kernel(Backend backend) {
  const ConvertRow* row = kRows;
  while (row->backend != backend) ++row;
  return row->active();
}

}  // namespace ck
