// conv2d.{fprop,dgrad,wgrad}.1x1 on the CPU: a 1x1 filter at stride 1 is a plain matrix product on
// the arrays as they lie, with no im2col, explicit or implicit. NCHW: y (K x HW) = w (K x C) x (C x
// HW) for each image; NHWC: one product y (NHW x K) = x (NHW x C) w^T. The products are in
// cpu_matrix.h.
// Needs: r = s = 1, stride 1, no padding. Dilation means nothing here, nor does flip_kernel.
// Choose it for 1x1 except for NCHW with maps of about 14 x 14 and less: implicit_gemm lets pixels
// run over several images there and wastes fewer lanes at their ends.
#include <cstdint>

#include "cpu/epilogue.h"
#include "cpu/tasks.h"
#include "ops/conv2d/cpu_matrix.h"
#include "ops/conv2d/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

// An activation array: `channels` per group.
template <class T>
ImageMatrix<T> matrix_of(const Conv2dProblem& problem, T* at, int64_t channels) {
  const int64_t pixels = problem.p * problem.q, all = channels * problem.groups;
  if (problem.layout == Layout::kNCHW) return {at, all * pixels, channels * pixels, pixels};
  return {at, all * pixels, channels, all};
}

template <class T>
void run_typed(const Conv2dProblem& problem, Direction direction, const Conv2dArrays& arrays,
               const Execution& execution) {
  Arena arena(execution.workspace);
  const MatrixPlan<T> plan(problem, direction, problem.n, execution.threads, arena);
  const T* w = static_cast<const T*>(arrays.w);
  T* out = static_cast<T*>(arrays.out);
  const auto x = matrix_of(problem, static_cast<const T*>(arrays.x), problem.c_per_group);
  const auto y = matrix_of(problem, static_cast<const T*>(arrays.y), problem.k_per_group);
  switch (direction) {
    case Direction::kFprop:
      plan.forward(problem.n, w, x, matrix_of(problem, out, problem.k_per_group),
                   epilogue_of<T>(problem, arrays));
      break;
    case Direction::kDgrad:
      plan.backward(problem.n, w, y, matrix_of(problem, out, problem.c_per_group));
      break;
    case Direction::kWgrad:
      if (problem.n == 0) zero_run(out, problem.k * problem.c_per_group);
      plan.add_weight_gradient(problem.n, 0, y, x, out);
      break;
  }
}

Reason supports(const Conv2dProblem& problem, Direction) {
  if (problem.r != 1 || problem.s != 1) {
    return refused("the filter is (%lld, %lld), needs (1, 1)", static_cast<long long>(problem.r),
                   static_cast<long long>(problem.s));
  }
  if (problem.stride_h != 1 || problem.stride_w != 1) {
    return refused("stride is (%lld, %lld), needs (1, 1)", static_cast<long long>(problem.stride_h),
                   static_cast<long long>(problem.stride_w));
  }
  if (problem.pad_top != 0 || problem.pad_bottom != 0 || problem.pad_left != 0 ||
      problem.pad_right != 0) {
    return refused(
        "padding is ((%lld, %lld), (%lld, %lld)), needs none",
        static_cast<long long>(problem.pad_top), static_cast<long long>(problem.pad_bottom),
        static_cast<long long>(problem.pad_left), static_cast<long long>(problem.pad_right));
  }
  if (problem.p != problem.h || problem.q != problem.w) {  // output padding of a transposed one
    return refused("the output is (%lld, %lld), needs the image's (%lld, %lld)",
                   static_cast<long long>(problem.p), static_cast<long long>(problem.q),
                   static_cast<long long>(problem.h), static_cast<long long>(problem.w));
  }
  return accepted();
}

int64_t workspace_bytes(const Conv2dProblem& problem, Direction direction, int threads) {
  Arena arena(nullptr);
  if (problem.dtype == DType::kFloat32) {
    MatrixPlan<float>(problem, direction, problem.n, threads, arena);
  } else {
    MatrixPlan<double>(problem, direction, problem.n, threads, arena);
  }
  return arena.used_bytes();
}

void run(const Conv2dProblem& problem, Direction direction, const Conv2dArrays& arrays,
         const Execution& execution) {
  if (problem.dtype == DType::kFloat32) {
    run_typed<float>(problem, direction, arrays, execution);
  } else {
    run_typed<double>(problem, direction, arrays, execution);
  }
}

}  // namespace

extern const Conv2dKernel conv2d_1x1;
const Conv2dKernel conv2d_1x1 = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
