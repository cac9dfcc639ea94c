// THE table of Gram matrix algorithms.
#include "ops/gram/gram.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(GramKernel, gram_symmetric_gemm)
CK_DECLARE_GPU_KERNEL(GramKernel, gram_symmetric_gemm)

namespace {

const GramRow kRows[] = {
    {"symmetric_gemm", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(gram_symmetric_gemm)},
    CK_GPU_ROWS("symmetric_gemm", kFpropDgrad, 8.0, gram_symmetric_gemm),
};

}  // namespace

std::span<const GramRow> gram_algorithms() { return kRows; }

}  // namespace ck
