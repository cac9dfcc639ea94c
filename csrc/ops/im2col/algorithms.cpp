// THE table of im2col algorithms; dgrad is col2im.
#include "ops/im2col/im2col.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(Im2colKernel, im2col_gather)
CK_DECLARE_CPU_KERNEL(Im2colKernel, im2col_strict)
CK_DECLARE_GPU_KERNEL(Im2colKernel, im2col_gather)
CK_DECLARE_GPU_KERNEL(Im2colKernel, im2col_strict)

namespace {

const Im2colRow kRows[] = {
    {"gather", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(im2col_gather)},
    {"strict", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(im2col_strict), true},
    CK_GPU_ROWS("gather", kFpropDgrad, 8.0, im2col_gather),
    CK_GPU_ROWS("strict", kFpropDgrad, 8.0, im2col_strict, true),
};

}  // namespace

std::span<const Im2colRow> im2col_algorithms() { return kRows; }

}  // namespace ck
