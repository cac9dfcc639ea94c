// THE table of convolution algorithms. Tests, listings and benchmarks walk it. The last row of each
// backend accepts every valid problem. Order is the preference where preferred_conv2d names none.
#include <cstring>

#include "ops/conv2d/conv2d.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(Conv2dKernel, conv2d_direct)

namespace {

const Conv2dRow kRows[] = {
    {"direct", Backend::kCpu, kAllDirections, 8.0, CK_CPU_KERNEL(conv2d_direct)},
};

}  // namespace

std::span<const Conv2dRow> conv2d_algorithms() { return kRows; }

const char* preferred_conv2d(const Conv2dProblem&, Direction, Backend) { return nullptr; }

}  // namespace ck
