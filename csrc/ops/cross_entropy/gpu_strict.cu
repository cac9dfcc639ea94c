// cross_entropy.{fprop,dgrad}.strict on the GPU: a thread takes a position through
// ops/cross_entropy/strict.h; the gradient makes each exponential twice. Losses are one sum in the
// order of positions, by one block. Few positions leave the device idle, and logits with the
// classes last are read with a stride. ptxas sm_80: 16-48 registers, no spills. Not run on a GPU.
#include "gpu/strict_channels.cuh"
#include "gpu/strict_windows.cuh"
#include "ops/cross_entropy/strict.h"

namespace ck {
namespace CK_GPU {
namespace {

template <class T>
struct Call {
  StrictWeights<T> w;
  int64_t positions, pixels;
  bool classes_last, is_mean, each;  // each: grad has an element a position
  const T* logits;
  const int64_t* targets;
  const T* grad;
  int64_t* counted;  // positions that are not ignored, of a mean
  T* losses;
  T* out;
};

template <class T, bool kForward>
__global__ void __launch_bounds__(kStrictThreads) strict_positions(Call<T> a, int64_t first) {
  const int64_t position = (first + blockIdx.x) * kStrictThreads + threadIdx.x;
  if (position >= a.positions) return;
  const int64_t stride = a.classes_last ? 1 : a.pixels, image = position / a.pixels;
  const int64_t at =
      a.classes_last ? position * a.w.classes : image * (a.w.classes - 1) * a.pixels + position;
  const NumberSource<T> z = {a.logits + at, nullptr, stride};
  const int64_t target = a.targets[position];
  const bool counts = a.w.counts(target);
  StrictStats<T> made = {};
  if (counts) {
    made = strict_stats(a.w.classes, kForward && a.w.smooth(), -infinity_of<T>(), z);
  }
  if constexpr (kForward) {
    a.losses[position] =
        counts ? a.w.loss(stated_log(made.sum), z.value(target), made.largest, made.shifted)
               : a.w.nothing(target);
  } else {
    const T inverse = T(1) / made.sum;
    T grad = a.grad[a.each ? position : 0];
    if (a.is_mean) grad *= T(1) / T(*a.counted);
    for (int64_t c = 0; c < a.w.classes; ++c) {
      const T e = counts ? stated_exp(z.value(c) - made.largest) : T(0);
      a.out[at + c * stride] =
          counts ? a.w.gradient(e, inverse, c == target, grad) : a.w.nothing(target);
    }
  }
}

// One block.
template <class T>
__global__ void __launch_bounds__(kStrictThreads) count_positions(Call<T> a) {
  CK_SHARED(int64_t, count_of, [kStrictThreads]);
  int64_t count = 0;
  for (int64_t i = threadIdx.x; i < a.positions; i += kStrictThreads)
    count += a.targets[i] != a.w.ignore_index;
  count_of[threadIdx.x] = count;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int i = 1; i < kStrictThreads; ++i) count += count_of[i];
  *a.counted = count;
}

template <class T>
struct Mean {
  T* out;
  const int64_t* counted;

  CK_SHARED_FUNCTION void operator()(int64_t) const { *out = *out / T(*counted); }
};

Reason supports(const CrossEntropyProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const CrossEntropyProblem& p, Direction direction, int) {
  const bool reduces = direction == Direction::kFprop && p.reduction != Reduction::kNone;
  return int64_t(sizeof(int64_t)) + (reduces ? p.n * p.pixels * size_of(p.dtype) : 0);
}

template <class T, bool kForward>
void run_typed(const CrossEntropyProblem& p, const CrossEntropyArrays& arrays,
               const Execution& execution) {
  const char* name = kForward ? "cross_entropy.fprop.strict" : "cross_entropy.dgrad.strict";
  const bool each = p.reduction == Reduction::kNone;
  int64_t* const counted = static_cast<int64_t*>(execution.workspace);
  T* const out = static_cast<T*>(arrays.out);
  const Call<T> a = {StrictWeights<T>::of(p),
                     p.n * p.pixels,
                     p.pixels,
                     p.classes_last,
                     p.reduction == Reduction::kMean,
                     each,
                     static_cast<const T*>(arrays.logits),
                     arrays.target,
                     static_cast<const T*>(arrays.grad),
                     counted,
                     each ? out : reinterpret_cast<T*>(counted + 1),
                     out};
  if (a.is_mean)
    launch<count_positions<T>>(name, dim3(1), dim3(kStrictThreads), 0, execution.stream, a);
  const int64_t blocks = ceil_div(a.positions, kStrictThreads);
  for (int64_t first = 0; first < blocks; first += kStrictBlocks) {
    launch<strict_positions<T, kForward>>(name,
                                          dim3(unsigned(smaller(kStrictBlocks, blocks - first))),
                                          dim3(kStrictThreads), 0, execution.stream, a, first);
  }
  if (!kForward || each) return;
  strict_channel_sums(name, {Layout::kNCHW, 1, 1, a.positions}, ValueSum<T>{{a.losses}, nullptr},
                      out, execution.stream);
  if (a.is_mean) for_each_channel(name, 1, Mean<T>{out, counted}, execution.stream);
}

template <class T>
void run_direction(const CrossEntropyProblem& p, Direction direction,
                   const CrossEntropyArrays& arrays, const Execution& execution) {
  if (direction == Direction::kFprop) {
    run_typed<T, true>(p, arrays, execution);
  } else {
    run_typed<T, false>(p, arrays, execution);
  }
}

void run(const CrossEntropyProblem& p, Direction direction, const CrossEntropyArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_direction<float>(p, direction, arrays, execution);
  } else {
    run_direction<double>(p, direction, arrays, execution);
  }
}

}  // namespace

extern const CrossEntropyKernel cross_entropy_strict;
const CrossEntropyKernel cross_entropy_strict = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
