// adaptive_pool2d.{fprop,dgrad}.strict on the CPU: see ops/pool2d/strict_pools.h.
#include "cpu/strict_windows.h"
#include "ops/adaptive_pool2d/strict.h"
#include "ops/pool2d/strict_pools.h"

namespace ck {
namespace CK_ISA {

extern const AdaptivePool2dKernel adaptive_pool2d_direct;

using Strict = StrictPools<AdaptivePool2dProblem, AdaptiveAverage, AdaptiveGradient<true>,
                           AdaptiveGradient<false>, adaptive_pool2d_direct>;
extern const AdaptivePool2dKernel adaptive_pool2d_strict;
const AdaptivePool2dKernel adaptive_pool2d_strict = {Strict::supports, Strict::workspace_bytes,
                                                     Strict::run};

}  // namespace CK_ISA
}  // namespace ck
