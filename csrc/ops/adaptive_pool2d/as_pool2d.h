// An adaptive pool whose windows are all alike, as a pool with that window and stride: where both
// output sides divide the image's.
#pragma once

#include "core/algorithm.h"
#include "ops/adaptive_pool2d/problem.h"

namespace ck {

static inline Pool2dProblem as_pool2d(const AdaptivePool2dProblem& p) {
  Pool2dProblem pool{};
  pool.dtype = p.dtype;
  pool.layout = p.layout;
  pool.n = p.n, pool.c = p.c, pool.h = p.h, pool.w = p.w;
  pool.p = p.p, pool.q = p.q;
  pool.r = pool.stride_h = p.h / p.p;
  pool.s = pool.stride_w = p.w / p.q;
  pool.dilation_h = pool.dilation_w = 1;
  pool.is_max = p.is_max;
  pool.count_include_pad = true;
  return pool;
}

static inline Reason supports_as_pool2d(const AdaptivePool2dProblem& p, Direction direction,
                                        const Pool2dKernel& kernel) {
  if (p.h % p.p != 0 || p.w % p.q != 0) {
    return refused("the image is %lld x %lld, needs multiples of the output's %lld x %lld",
                   (long long)p.h, (long long)p.w, (long long)p.p, (long long)p.q);
  }
  return kernel.supports(as_pool2d(p), direction);
}

}  // namespace ck
