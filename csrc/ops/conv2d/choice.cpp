// What `auto` tries first, by geometry alone: never by timing, so that a call takes the same
// algorithm on every run. The table's order (1x1, implicit_gemm, im2col, direct) stands where no
// rule here speaks. Cut-offs of the cpu: timed on one AVX-512 core (Zen 5) over the layers of
// convkit/testing/problems.py; of the GPU: not run on one.
#include <utility>

#include "core/error.h"
#include "ops/conv2d/conv2d.h"

namespace ck {
namespace {

// "" above `most` channels.
std::string few_channels(const Conv2dProblem& p, int64_t most, const char* what_follows) {
  if (p.c_per_group > most) return "";
  return format_text("%lld input channels%s; up to %lld %s", (long long)p.c_per_group,
                     p.groups > 1 ? " in a group" : "", (long long)most, what_follows);
}

// "" above `most` filters.
std::string few_filters(const Conv2dProblem& p, int64_t most) {
  if (p.k_per_group > most) return "";
  return format_text("1x1 filters with a stride, %lld of them%s; up to %lld direct is faster",
                     (long long)p.k_per_group, p.groups > 1 ? " in a group" : "", (long long)most);
}

// Why direct comes first, or "".
std::string cpu_prefers_direct(const Conv2dProblem& p, Direction direction) {
  const bool nchw = p.layout == Layout::kNCHW, pointwise = p.r == 1 && p.s == 1;
  const bool strided = p.stride_h > 1 || p.stride_w > 1;
  switch (direction) {
    case Direction::kFprop:
      if (nchw)
        return p.groups > 1 ? few_channels(p, 8, "direct is faster with groups")
                            : few_channels(p, 4, "direct is faster");
      return pointwise ? "" : few_channels(p, 64, "direct is faster in NHWC");
    case Direction::kDgrad:
      if (pointwise && strided) {
        const std::string why = few_filters(p, nchw ? p.p * p.q - 1 : 128);
        if (!why.empty()) return why;
      }
      return few_channels(p, 8, "direct is faster");
    case Direction::kWgrad:
      if (pointwise && !strided) return "";
      // Rows of small maps fill vectors badly.
      if (nchw && !strided && p.p * p.q <= 64) return few_channels(p, 8, "direct is faster");
      return nchw ? few_channels(p, 64, "direct is faster in NCHW")
                  : few_channels(p, 128, "direct is faster in NHWC");
  }
  return "";
}

}  // namespace

Preference preferred_conv2d(const Conv2dProblem& problem, Direction direction, Backend backend) {
  std::string why = backend == Backend::kCpu
                        ? cpu_prefers_direct(problem, direction)
                        : few_channels(problem, 4, "a matrix tile stays mostly empty");
  return {why.empty() ? nullptr : "direct", std::move(why)};
}

}  // namespace ck
