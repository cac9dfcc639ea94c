// THE table of convolution algorithms. Tests, listings and benchmarks walk it. The last row of each
// backend accepts every valid problem padded with zeros, im2col the others. Order is the preference
// where preferred_conv2d names none.
#include "ops/conv2d/conv2d.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(Conv2dKernel, conv2d_implicit_gemm)
CK_DECLARE_CPU_KERNEL(Conv2dKernel, conv2d_1x1)
CK_DECLARE_CPU_KERNEL(Conv2dKernel, conv2d_im2col)
CK_DECLARE_CPU_KERNEL(Conv2dKernel, conv2d_direct)
CK_DECLARE_CPU_KERNEL(Conv2dKernel, conv2d_strict)

CK_DECLARE_GPU_KERNEL(Conv2dKernel, conv2d_1x1)
CK_DECLARE_GPU_KERNEL(Conv2dKernel, conv2d_implicit_gemm)
CK_DECLARE_GPU_KERNEL(Conv2dKernel, conv2d_im2col)
CK_DECLARE_GPU_KERNEL(Conv2dKernel, conv2d_direct)
CK_DECLARE_GPU_KERNEL(Conv2dKernel, conv2d_strict)

namespace {

const Conv2dRow kRows[] = {
    {"1x1", Backend::kCpu, kAllDirections, 8.0, CK_CPU_KERNEL(conv2d_1x1)},
    {"implicit_gemm", Backend::kCpu, kAllDirections, 8.0, CK_CPU_KERNEL(conv2d_implicit_gemm)},
    {"im2col", Backend::kCpu, kAllDirections, 8.0, CK_CPU_KERNEL(conv2d_im2col)},
    {"direct", Backend::kCpu, kAllDirections, 8.0, CK_CPU_KERNEL(conv2d_direct)},
    {"strict", Backend::kCpu, kAllDirections, 8.0, CK_CPU_KERNEL(conv2d_strict), true},
    CK_GPU_ROWS("1x1", kAllDirections, 8.0, conv2d_1x1),
    CK_GPU_ROWS("implicit_gemm", kAllDirections, 8.0, conv2d_implicit_gemm),
    CK_GPU_ROWS("im2col", kAllDirections, 8.0, conv2d_im2col),
    CK_GPU_ROWS("direct", kAllDirections, 8.0, conv2d_direct),
    CK_GPU_ROWS("strict", kAllDirections, 8.0, conv2d_strict, true),
};

}  // namespace

std::span<const Conv2dRow> conv2d_algorithms() { return kRows; }

}  // namespace ck
