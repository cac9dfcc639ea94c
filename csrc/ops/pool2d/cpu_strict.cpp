// pool2d.{fprop,dgrad}.strict on the CPU: see ops/pool2d/strict_pools.h.
#include "cpu/strict_windows.h"
#include "ops/pool2d/strict.h"
#include "ops/pool2d/strict_pools.h"

namespace ck {
namespace CK_ISA {

extern const Pool2dKernel pool2d_direct;

using Strict =
    StrictPools<Pool2dProblem, AveragePool, MaxPoolGradient, AveragePoolGradient, pool2d_direct>;
extern const Pool2dKernel pool2d_strict;
const Pool2dKernel pool2d_strict = {Strict::supports, Strict::workspace_bytes, Strict::run};

}  // namespace CK_ISA
}  // namespace ck
