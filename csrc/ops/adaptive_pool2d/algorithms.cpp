// THE table of adaptive pooling algorithms, of maxima and averages alike, and what `auto` tries
// first.
#include "core/error.h"
#include "ops/adaptive_pool2d/adaptive_pool2d.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(AdaptivePool2dKernel, adaptive_pool2d_pool2d)
CK_DECLARE_CPU_KERNEL(AdaptivePool2dKernel, adaptive_pool2d_direct)
CK_DECLARE_CPU_KERNEL(AdaptivePool2dKernel, adaptive_pool2d_strict)
CK_DECLARE_GPU_KERNEL(AdaptivePool2dKernel, adaptive_pool2d_pool2d)
CK_DECLARE_GPU_KERNEL(AdaptivePool2dKernel, adaptive_pool2d_direct)
CK_DECLARE_GPU_KERNEL(AdaptivePool2dKernel, adaptive_pool2d_strict)

namespace {

// From this many pixels a window on, direct is the faster one on the cpu. Timed on one AVX-512 core
// (Zen 5): both directions, both layouts.
constexpr int64_t kLargeMax = 65, kLargeAverage = 16;

const AdaptivePool2dRow kRows[] = {
    {"pool2d", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(adaptive_pool2d_pool2d)},
    {"direct", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(adaptive_pool2d_direct)},
    {"strict", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(adaptive_pool2d_strict), true},
    CK_GPU_ROWS("pool2d", kFpropDgrad, 8.0, adaptive_pool2d_pool2d),
    CK_GPU_ROWS("direct", kFpropDgrad, 8.0, adaptive_pool2d_direct),
    CK_GPU_ROWS("strict", kFpropDgrad, 8.0, adaptive_pool2d_strict, true),
};

}  // namespace

std::span<const AdaptivePool2dRow> adaptive_pool2d_algorithms() { return kRows; }

Preference preferred_adaptive_pool2d(const AdaptivePool2dProblem& p, Backend backend) {
  const int64_t pixels = (p.h / p.p) * (p.w / p.q);
  const int64_t large = p.is_max ? kLargeMax : kLargeAverage;
  if (backend != Backend::kCpu || pixels < large) return {};
  return {"direct", format_text("windows of %lld pixels; from %lld on direct is faster",
                                (long long)pixels, (long long)large)};
}

}  // namespace ck
