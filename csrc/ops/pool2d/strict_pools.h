// What the strict kernels of pool2d and adaptive_pool2d are on either side: a lane or a thread
// makes one number, its terms in the order of the op's strict.h. A maximum is exact in any order:
// the op's direct kernel makes it. To be included after the side's strict_windows.
#pragma once

#include "core/reason.h"
#include "core/strict_terms.h"
#include "ops/pool2d/problem.h"

namespace ck {
namespace CK_BUILD {

// Average and the gradients are made of a problem and add what strict_windows shows them.
template <class Problem, class Average, class MaxGradient, class AverageGradient,
          const Kernel<Problem, Pool2dArrays>& kDirect>
struct StrictPools {
  static bool is_exact(const Problem& p, Direction direction) {
    return p.is_max && direction == Direction::kFprop;
  }
  static Reason supports(const Problem& p, Direction direction) {
    return is_exact(p, direction) ? kDirect.supports(p, direction) : accepted();
  }
  static int64_t workspace_bytes(const Problem& p, Direction direction, int threads) {
    return is_exact(p, direction) ? kDirect.workspace_bytes(p, direction, threads) : 0;
  }
  static void run(const Problem& p, Direction direction, const Pool2dArrays& arrays,
                  const Execution& execution) {
    if (is_exact(p, direction)) {
      kDirect.run(p, direction, arrays, execution);
    } else if (p.dtype == DType::kFloat32) {
      run_typed<float>(p, direction, arrays, execution);
    } else {
      run_typed<double>(p, direction, arrays, execution);
    }
  }

 private:
  template <class T>
  static void run_typed(const Problem& p, Direction direction, const Pool2dArrays& arrays,
                        const Execution& execution) {
    const bool last = p.layout == Layout::kNHWC;
    const StrictPlanes windows = {last, p.n, p.c, p.h * p.w, p.p, p.q};
    const StrictPlanes pixels = {last, p.n, p.c, p.p * p.q, p.h, p.w};
    const char* const name = strict_name(p, direction);
    if (direction == Direction::kFprop) {
      run_strict_windows<T>(name, windows, Average{p}, arrays.x, nullptr, arrays.out, execution);
    } else if (p.is_max) {
      run_strict_windows<T>(name, pixels, MaxGradient{p}, arrays.y, arrays.indices_in, arrays.out,
                            execution);
    } else {
      run_strict_windows<T>(name, pixels, AverageGradient{p}, arrays.y, nullptr, arrays.out,
                            execution);
    }
  }
};

}  // namespace CK_BUILD
}  // namespace ck
