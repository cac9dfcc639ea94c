// Local response normalisation: y = x * S^-beta with S[i] = k + alpha / size * the sum of x[j]^2
// over the channels j near i.
#pragma once

#include <cstdint>

#include "core/algorithm.h"
#include "core/types.h"

namespace ck {

struct LrnProblem {
  DType dtype;
  Layout layout;
  int64_t n, c, h, w;
  int64_t before, after;  // the window of channel i is [i - before, i + after]; below c both
  double alpha;           // of one square: divided by size
  double beta, k;
};

// fprop reads x and writes out like it. dgrad reads x and y (grad_y):
// out[m] = y[m] S[m]^-beta - 2 alpha beta x[m] * the sum of y[i] x[i] S[i]^(-beta - 1) over the
// channels i whose window holds m.
struct LrnArrays {
  const void* x;
  const void* y;
  void* out;
};

using LrnKernel = Kernel<LrnProblem, LrnArrays>;

// The exponents that need square roots at most; else exp and log.
enum class LrnPower : int { kOne, kHalf, kThreeQuarters, kAny };
static inline LrnPower lrn_power(double beta) {
  return beta == 1      ? LrnPower::kOne
         : beta == 0.5  ? LrnPower::kHalf
         : beta == 0.75 ? LrnPower::kThreeQuarters
                        : LrnPower::kAny;
}

}  // namespace ck
