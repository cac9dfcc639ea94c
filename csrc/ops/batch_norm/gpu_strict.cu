// batch_norm.{fprop,dgrad}.strict on the GPU: the steps of ops/batch_norm/strict.h. Training reads
// x for the mean, again for the deviations from it, and once more to write y. A channel is one
// block's work: few channels leave the device idle. Not run on a GPU.
#include "gpu/strict_channels.cuh"
#include "ops/batch_norm/strict.h"

namespace ck {
namespace CK_GPU {

extern const AffineKernel affine_elementwise;

namespace {

template <class T>
struct Driver {
  const BatchNormProblem& p;
  const char* name;
  void* stream;

  template <class Sums>
  void sums(const Sums& sums, T* totals) const {
    strict_channel_sums(name, {p.layout, p.n, p.c, p.pixels}, sums, totals, stream);
  }
  template <class Finish>
  void each(const Finish& finish) const {
    for_each_channel(name, p.c, finish, stream);
  }
  // On the GPU it makes the stated bits as it is.
  void map(const AffineArrays& arrays) const {
    affine_elementwise.run({p.dtype, p.layout, p.n, p.c, p.pixels, p.activation}, Direction::kFprop,
                           arrays, {nullptr, 0, stream, 1});
  }
};

Reason supports(const BatchNormProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const BatchNormProblem& p, Direction, int) {
  return StrictSpace<float>::kArrays * p.c * size_of(p.dtype);
}

void run(const BatchNormProblem& p, Direction direction, const BatchNormArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_strict_batch_norm(p, direction, arrays, StrictSpace<float>(p, execution.workspace),
                          Driver<float>{p, "batch_norm.strict.f32", execution.stream});
  } else {
    run_strict_batch_norm(p, direction, arrays, StrictSpace<double>(p, execution.workspace),
                          Driver<double>{p, "batch_norm.strict.f64", execution.stream});
  }
}

}  // namespace

extern const BatchNormKernel batch_norm_strict;
const BatchNormKernel batch_norm_strict = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
