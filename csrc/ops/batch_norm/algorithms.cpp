// THE table of batch normalisation algorithms.
#include "ops/batch_norm/batch_norm.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(BatchNormKernel, batch_norm_block_moments)
CK_DECLARE_CPU_KERNEL(BatchNormKernel, batch_norm_strict)
CK_DECLARE_GPU_KERNEL(BatchNormKernel, batch_norm_block_moments)
CK_DECLARE_GPU_KERNEL(BatchNormKernel, batch_norm_strict)

namespace {

const BatchNormRow kRows[] = {
    {"block_moments", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(batch_norm_block_moments)},
    {"strict", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(batch_norm_strict), true},
    CK_GPU_ROWS("block_moments", kFpropDgrad, 8.0, batch_norm_block_moments),
    CK_GPU_ROWS("strict", kFpropDgrad, 8.0, batch_norm_strict, true),
};

}  // namespace

std::span<const BatchNormRow> batch_norm_algorithms() { return kRows; }

}  // namespace ck
