// conv2d.{fprop,dgrad,wgrad}.direct: the definition, register-blocked. The last row of the cpu
// table: it takes every geometry, layout and epilogue, with zeros around the image.
// Choose it for depthwise and small groups, for few input channels, and for tiny images; with many
// channels implicit_gemm reuses its packed operands better.
// Needs: nothing. Workspace: a strip of padded source per task, packed weights, partial sums.
#include "ops/conv2d/cpu_direct.h"

namespace ck {
namespace CK_ISA {
namespace direct {

static Reason supports(const Conv2dProblem& problem, Direction) {
  return needs_zeros_around(problem.padding_mode);
}

// The paths of the algorithm, the special ones first; the last of each direction takes everything.
enum class Path { kWhole, kPlanes, kChannels, kGather, kWgradPacks, kWgradPixels, kWgrad };

static Path path_of(const Conv2dProblem& p, Direction direction) {
  bool wgrad = direction == Direction::kWgrad;
  if (fits_whole(p)) return Path::kWhole;
  if (wgrad && fits_packs(p)) return Path::kWgradPacks;
  if (fits_planes(p, direction)) return wgrad ? Path::kWgrad : Path::kPlanes;
  if (fits_channels(p, direction)) return Path::kChannels;
  if (!wgrad) return Path::kGather;
  return fits_wgrad_pixels(p) ? Path::kWgradPixels : Path::kWgrad;
}

// With one channel and one filter the layouts are the same, and planes have the better kernels.
static Conv2dProblem in_planes(const Conv2dProblem& problem) {
  Conv2dProblem p = problem;
  if (p.c == 1 && p.k == 1) p.layout = Layout::kNCHW;
  return p;
}

// The same for the workspace and the run: how work is cut depends on it, results do not.
static int threads_for(const Conv2dProblem& p, int threads) {
  return useful_threads(p.n * p.k * p.p * p.q * p.c_per_group * p.r * p.s, threads);
}

static int64_t workspace_bytes(const Conv2dProblem& problem, Direction direction, int threads) {
  Conv2dProblem p = in_planes(problem);
  threads = threads_for(p, threads);
  switch (path_of(p, direction)) {
    case Path::kWhole:
    case Path::kPlanes:
      return 0;
    case Path::kChannels:
      return channels_workspace_bytes(p, direction, threads);
    case Path::kGather:
      return gather_workspace_bytes(p, direction, threads);
    case Path::kWgradPacks:
      return packs_wgrad_workspace_bytes(p, threads);
    case Path::kWgradPixels:
      return wgrad_pixels_workspace_bytes(p, threads);
    default:
      return wgrad_workspace_bytes(p, threads);
  }
}

static void run(const Conv2dProblem& problem, Direction direction, const Conv2dArrays& arrays,
                const Execution& given) {
  Conv2dProblem p = in_planes(problem);
  Execution execution = given;
  execution.threads = threads_for(p, given.threads);
  switch (path_of(p, direction)) {
    case Path::kWhole:
      return run_whole(p, direction, arrays, execution);
    case Path::kPlanes:
      return run_planes(p, direction, arrays, execution);
    case Path::kChannels:
      return run_channels(p, direction, arrays, execution);
    case Path::kGather:
      return run_gather(p, direction, arrays, execution);
    case Path::kWgradPacks:
      return run_packs_wgrad(p, arrays, execution);
    case Path::kWgradPixels:
      return run_wgrad_pixels(p, arrays, execution);
    default:
      return run_wgrad(p, arrays, execution);
  }
}

}  // namespace direct

extern const Conv2dKernel conv2d_direct;
const Conv2dKernel conv2d_direct = {direct::supports, direct::workspace_bytes, direct::run};

}  // namespace CK_ISA
}  // namespace ck
