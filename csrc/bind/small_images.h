// Arrays of 16 bits are widened by the image (pieces.cpp), and a large one leaves the cache. To a
// pool, some channels that lie one after the other are an image too.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace ck {

template <class Problem>
Problem with_small_images(const Problem& problem) {
  constexpr int64_t kPixels = int64_t(1) << 18;
  Problem small = problem;
  if (problem.layout == Layout::kNHWC) return small;
  while (small.c % 2 == 0 && small.c * small.h * small.w > kPixels) small.c /= 2, small.n *= 2;
  return small;
}

}  // namespace ck
