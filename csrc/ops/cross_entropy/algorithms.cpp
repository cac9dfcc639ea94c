// THE table of cross-entropy's algorithms.
#include "ops/cross_entropy/cross_entropy.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(CrossEntropyKernel, cross_entropy_softmax)
CK_DECLARE_CPU_KERNEL(CrossEntropyKernel, cross_entropy_strict)
CK_DECLARE_GPU_KERNEL(CrossEntropyKernel, cross_entropy_softmax)
CK_DECLARE_GPU_KERNEL(CrossEntropyKernel, cross_entropy_strict)

namespace {

const CrossEntropyRow kRows[] = {
    {"softmax", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(cross_entropy_softmax)},
    {"strict", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(cross_entropy_strict), true},
    CK_GPU_ROWS("softmax", kFpropDgrad, 8.0, cross_entropy_softmax),
    CK_GPU_ROWS("strict", kFpropDgrad, 8.0, cross_entropy_strict, true),
};

}  // namespace

std::span<const CrossEntropyRow> cross_entropy_algorithms() { return kRows; }

}  // namespace ck
