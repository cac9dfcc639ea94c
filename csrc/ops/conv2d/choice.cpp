// What `auto` tries first, by geometry alone: never by timing, so that a call takes the same
// algorithm on every run. The table's order (1x1, implicit_gemm, im2col, direct) stands where no
// rule here speaks.
#include "ops/conv2d/conv2d.h"

namespace ck {
namespace {

// Where a filter sees this few channels, the product's packing costs more than it saves.
constexpr int64_t kFewChannels = 4;
// A weight gradient of more taps than this gives the product rows enough even for few channels.
constexpr int64_t kManyTaps = 49;

}  // namespace

const char* preferred_conv2d(const Conv2dProblem& problem, Direction direction, Backend) {
  const int64_t taps = problem.r * problem.s;
  if (problem.c_per_group > kFewChannels) return nullptr;
  if (direction == Direction::kWgrad && taps > kManyTaps && problem.groups == 1) return nullptr;
  return "direct";
}

}  // namespace ck
