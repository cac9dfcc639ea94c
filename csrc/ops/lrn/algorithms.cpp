// THE table of local response normalisation's algorithms.
#include "ops/lrn/lrn.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(LrnKernel, lrn_direct)
CK_DECLARE_CPU_KERNEL(LrnKernel, lrn_strict)
CK_DECLARE_GPU_KERNEL(LrnKernel, lrn_direct)
CK_DECLARE_GPU_KERNEL(LrnKernel, lrn_strict)

namespace {

const LrnRow kRows[] = {
    {"direct", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(lrn_direct)},
    {"strict", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(lrn_strict), true},
    CK_GPU_ROWS("direct", kFpropDgrad, 8.0, lrn_direct),
    CK_GPU_ROWS("strict", kFpropDgrad, 8.0, lrn_strict, true),
};

}  // namespace

std::span<const LrnRow> lrn_algorithms() { return kRows; }

}  // namespace ck
