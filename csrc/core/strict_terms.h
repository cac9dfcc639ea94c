// What the strict ops that add pixels or windows have in common: small arithmetic on both sides.
#pragma once

#include "core/strict_sum.h"

namespace ck {
namespace CK_BUILD {

static CK_SHARED_FUNCTION int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }
static CK_SHARED_FUNCTION int64_t greater(int64_t a, int64_t b) { return a > b ? a : b; }

static CK_SHARED_FUNCTION float divided(float sum, float divisor) { return sum / divisor; }
static CK_SHARED_FUNCTION double divided(double sum, double divisor) { return sum / divisor; }

// The image or the outputs that strict sums are read from, and those they make: planes of `pixels`
// numbers, or in NHWC pixels of c channels.
struct StrictPlanes {
  bool channels_last;
  int64_t n, c;
  int64_t source_pixels;
  int64_t rows, columns;  // of the result
};

}  // namespace CK_BUILD
}  // namespace ck
