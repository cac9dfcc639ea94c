// What `auto` tries first, by geometry alone: never by timing, so that a call takes the same
// algorithm on every run. The table's order (1x1, implicit_gemm, im2col, direct) stands where no
// rule here speaks. Cut-offs of the cpu: timed on one AVX-512 core (Zen 5) over the layers of
// convkit/testing/problems.py; of the GPU: not run on one.
#include "ops/conv2d/conv2d.h"

namespace ck {
namespace {

bool cpu_prefers_direct(const Conv2dProblem& p, Direction direction) {
  const bool nchw = p.layout == Layout::kNCHW, pointwise = p.r == 1 && p.s == 1;
  const bool strided = p.stride_h > 1 || p.stride_w > 1;
  const int64_t channels = p.c_per_group;
  switch (direction) {
    case Direction::kFprop:
      if (nchw) return channels <= 4 || (p.groups > 1 && channels <= 8);
      return channels <= 64 && !pointwise;
    case Direction::kDgrad:
      return channels <= 8 || (pointwise && strided);
    case Direction::kWgrad:
      return channels <= (nchw ? 64 : 128) && (!pointwise || strided);
  }
  return false;
}

}  // namespace

const char* preferred_conv2d(const Conv2dProblem& problem, Direction direction, Backend backend) {
  const bool direct =
      backend == Backend::kCpu ? cpu_prefers_direct(problem, direction) : problem.c_per_group <= 4;
  return direct ? "direct" : nullptr;
}

}  // namespace ck
