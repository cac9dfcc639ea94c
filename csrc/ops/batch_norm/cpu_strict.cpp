// batch_norm.{fprop,dgrad}.strict on the CPU: the steps of ops/batch_norm/strict.h. Training reads
// x for the mean, again for the deviations from it, and once more to write y.
#include "cpu/strict_channels.h"
#include "ops/batch_norm/strict.h"

namespace ck {
namespace CK_ISA {

extern const AffineKernel affine_strict;

namespace {

AffineProblem affine_problem(const BatchNormProblem& p) {
  return {p.dtype, p.layout, p.n, p.c, p.pixels, p.activation};
}

template <class T>
int64_t numbers_bytes(const BatchNormProblem& p) {
  return round_up(StrictSpace<T>::kArrays * p.c * int64_t(sizeof(T)), 64);
}

template <class T>
struct Driver {
  const BatchNormProblem& p;
  const Execution& execution;

  template <class Sums>
  void sums(const Sums& sums, T* totals) const {
    strict_channel_sums({p.layout, p.n, p.c, p.pixels}, sums, totals, execution.threads);
  }
  template <class Finish>
  void each(const Finish& finish) const {
    for (int64_t c = 0; c < p.c; ++c) finish(c);
  }
  void map(const AffineArrays& arrays) const {
    Execution inner = execution;
    inner.workspace = static_cast<char*>(execution.workspace) + numbers_bytes<T>(p);
    affine_strict.run(affine_problem(p), Direction::kFprop, arrays, inner);
  }
};

Reason supports(const BatchNormProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const BatchNormProblem& p, Direction, int) {
  const int64_t numbers =
      p.dtype == DType::kFloat32 ? numbers_bytes<float>(p) : numbers_bytes<double>(p);
  return numbers + affine_strict.workspace_bytes(affine_problem(p), Direction::kFprop, 1);
}

void run(const BatchNormProblem& p, Direction direction, const BatchNormArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_strict_batch_norm(p, direction, arrays, StrictSpace<float>(p, execution.workspace),
                          Driver<float>{p, execution});
  } else {
    run_strict_batch_norm(p, direction, arrays, StrictSpace<double>(p, execution.workspace),
                          Driver<double>{p, execution});
  }
}

}  // namespace

extern const BatchNormKernel batch_norm_strict;
const BatchNormKernel batch_norm_strict = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
