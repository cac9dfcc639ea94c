// THE table of Gram matrix algorithms.
#include "ops/gram/gram.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(GramKernel, gram_symmetric_gemm)
CK_DECLARE_CPU_KERNEL(GramKernel, gram_strict)
CK_DECLARE_GPU_KERNEL(GramKernel, gram_symmetric_gemm)
CK_DECLARE_GPU_KERNEL(GramKernel, gram_strict)

namespace {

const GramRow kRows[] = {
    {"symmetric_gemm", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(gram_symmetric_gemm)},
    {"strict", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(gram_strict), true},
    CK_GPU_ROWS("symmetric_gemm", kFpropDgrad, 8.0, gram_symmetric_gemm),
    CK_GPU_ROWS("strict", kFpropDgrad, 8.0, gram_strict, true),
};

}  // namespace

std::span<const GramRow> gram_algorithms() { return kRows; }

}  // namespace ck
