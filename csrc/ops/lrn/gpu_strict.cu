// lrn.{fprop,dgrad}.strict on the GPU: a thread makes one number by ops/lrn/strict.h, neighbours in
// memory by neighbouring threads. The gradient writes all terms (n c h w) to the workspace in one
// launch and adds them in the next. ptxas sm_80: 29-32 registers, no spills. Not run on a GPU.
#include "gpu/strict_windows.cuh"
#include "ops/lrn/strict.h"

namespace ck {
namespace CK_GPU {
namespace {

enum class Step { kForward, kTerms, kGradient };

template <class T>
struct Arrays {
  const T *x, *y;
  T *terms, *out;
};

template <class T, Step kStep>
__global__ void __launch_bounds__(kStrictThreads)
    strict_lrn(StrictLrn<T, T> f, Arrays<T> a, int64_t items, int64_t pixels, bool channels_last,
               int64_t first) {
  const int64_t item = (first + blockIdx.x) * kStrictThreads + threadIdx.x;
  if (item >= items) return;
  const int64_t stride = channels_last ? 1 : pixels;
  const int64_t channel = item / stride % f.c, at = item - channel * stride;
  const NumberSource<T> x = {a.x + at, nullptr, stride};
  if constexpr (kStep == Step::kForward) {
    a.out[item] = f.normalized(channel, x);
  } else if constexpr (kStep == Step::kTerms) {
    const NumberSource<T> y = {a.y + at, nullptr, stride};
    const auto made = f.first(channel, y, x);
    a.out[item] = made.scaled;
    a.terms[item] = made.term;
  } else {
    const NumberSource<T> terms = {a.terms + at, nullptr, stride};
    a.out[item] = f.gradient(channel, a.out[item], a.x[item], terms);
  }
}

Reason supports(const LrnProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const LrnProblem& p, Direction direction, int) {
  return direction == Direction::kDgrad ? p.n * p.c * p.h * p.w * size_of(p.dtype) : 0;
}

template <class T, Step kStep>
void launch_step(const LrnProblem& p, const LrnArrays& arrays, const Execution& execution) {
  const auto f = StrictLrn<T, T>::of(p, [](T value) { return value; });
  const Arrays<T> a = {static_cast<const T*>(arrays.x), static_cast<const T*>(arrays.y),
                       static_cast<T*>(execution.workspace), static_cast<T*>(arrays.out)};
  const int64_t items = p.n * p.c * p.h * p.w, blocks = ceil_div(items, kStrictThreads);
  for (int64_t first = 0; first < blocks; first += kStrictBlocks) {
    launch<strict_lrn<T, kStep>>(kStep == Step::kForward ? "lrn.fprop.strict" : "lrn.dgrad.strict",
                                 dim3(unsigned(smaller(kStrictBlocks, blocks - first))),
                                 dim3(kStrictThreads), 0, execution.stream, f, a, items, p.h * p.w,
                                 p.layout == Layout::kNHWC, first);
  }
}

template <class T>
void run_typed(const LrnProblem& p, Direction direction, const LrnArrays& arrays,
               const Execution& execution) {
  if (direction == Direction::kFprop) return launch_step<T, Step::kForward>(p, arrays, execution);
  launch_step<T, Step::kTerms>(p, arrays, execution);
  launch_step<T, Step::kGradient>(p, arrays, execution);
}

void run(const LrnProblem& p, Direction direction, const LrnArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace

extern const LrnKernel lrn_strict;
const LrnKernel lrn_strict = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
