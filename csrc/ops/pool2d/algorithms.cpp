// THE table of pooling algorithms, of maxima and averages alike.
#include "ops/pool2d/pool2d.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(Pool2dKernel, pool2d_direct)
CK_DECLARE_CPU_KERNEL(Pool2dKernel, pool2d_strict)
CK_DECLARE_GPU_KERNEL(Pool2dKernel, pool2d_direct)
CK_DECLARE_GPU_KERNEL(Pool2dKernel, pool2d_strict)

namespace {

const Pool2dRow kRows[] = {
    {"direct", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(pool2d_direct)},
    {"strict", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(pool2d_strict), true},
    CK_GPU_ROWS("direct", kFpropDgrad, 8.0, pool2d_direct),
    CK_GPU_ROWS("strict", kFpropDgrad, 8.0, pool2d_strict, true),
};

}  // namespace

std::span<const Pool2dRow> pool2d_algorithms() { return kRows; }

}  // namespace ck
