// conv2d.{fprop,dgrad,wgrad}.direct: the definition, register-blocked. The last row of the cpu
// table: it takes every geometry, layout and epilogue.
// Choose it for depthwise and small groups, for few input channels, and for tiny images; with many
// channels implicit_gemm reuses its packed operands better.
// Needs: nothing. Workspace: a strip of padded source per task, packed weights, partial sums.
#include "ops/conv2d/cpu_direct.h"

namespace ck {
namespace CK_ISA {
namespace direct {

static Reason supports(const Conv2dProblem&, Direction) { return accepted(); }

static int64_t workspace_bytes(const Conv2dProblem& p, Direction direction, int threads) {
  if (direction == Direction::kWgrad) {
    if (fits_channels(p, direction) && !fits_planes(p, direction)) {
      return channels_workspace_bytes(p, direction, threads);
    }
    return wgrad_workspace_bytes(p, threads);
  }
  if (fits_planes(p, direction)) return 0;
  if (fits_channels(p, direction)) return channels_workspace_bytes(p, direction, threads);
  return gather_workspace_bytes(p, direction, threads);
}

static void run(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
                const Execution& execution) {
  bool planes = fits_planes(p, direction);
  if (!planes && fits_channels(p, direction)) {
    run_channels(p, direction, arrays, execution);
  } else if (direction == Direction::kWgrad) {
    run_wgrad(p, arrays, execution);
  } else if (planes) {
    run_planes(p, direction, arrays, execution);
  } else {
    run_gather(p, direction, arrays, execution);
  }
}

}  // namespace direct

extern const Conv2dKernel conv2d_direct;
const Conv2dKernel conv2d_direct = {direct::supports, direct::workspace_bytes, direct::run};

}  // namespace CK_ISA
}  // namespace ck
