// THE table of adaptive pooling algorithms, of maxima and averages alike.
#include "ops/adaptive_pool2d/adaptive_pool2d.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(AdaptivePool2dKernel, adaptive_pool2d_pool2d)
CK_DECLARE_CPU_KERNEL(AdaptivePool2dKernel, adaptive_pool2d_direct)
CK_DECLARE_GPU_KERNEL(AdaptivePool2dKernel, adaptive_pool2d_pool2d)
CK_DECLARE_GPU_KERNEL(AdaptivePool2dKernel, adaptive_pool2d_direct)

namespace {

const AdaptivePool2dRow kRows[] = {
    {"pool2d", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(adaptive_pool2d_pool2d)},
    {"direct", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(adaptive_pool2d_direct)},
    CK_GPU_ROWS("pool2d", kFpropDgrad, 8.0, adaptive_pool2d_pool2d),
    CK_GPU_ROWS("direct", kFpropDgrad, 8.0, adaptive_pool2d_direct),
};

}  // namespace

std::span<const AdaptivePool2dRow> adaptive_pool2d_algorithms() { return kRows; }

}  // namespace ck
