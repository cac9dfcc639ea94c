// conv2d.{fprop,dgrad,wgrad}.1x1: a filter of one tap at stride 1 without padding is a plain matrix
// product of pixels and channels; no index maps, both operands as they lie in memory. Choose it
// whenever it accepts: it is the fastest row for 1x1 filters, bound by memory for few channels.
//
// Needs: r = s = 1, stride 1, no padding. Groups and both layouts are fine.
//
// Product, tiles, sums: gpu_pointwise.cuh. wgrad cuts its sums every 4096 pixels; workspace holds
// one w per chunk, at most 256 MiB at a time.
//
// ptxas, sm_80 and sm_90, no spills: float large 120-127 registers, 29.8 KB shared; small 95-107,
// 16.0 KB; double 120-128, 20.1 KB. Not run on a GPU.
#include "ops/conv2d/gpu_pointwise.cuh"

namespace ck {
namespace CK_GPU {
namespace one_by_one {
namespace {

constexpr KernelNames kNames = {{{"conv2d.fprop.1x1.f32", "conv2d.fprop.1x1.f64"},
                                 {"conv2d.dgrad.1x1.f32", "conv2d.dgrad.1x1.f64"},
                                 {"conv2d.wgrad.1x1.f32", "conv2d.wgrad.1x1.f64"}}};

pointwise::Shape shape_of(const Conv2dProblem& problem, Direction direction) {
  return {direction,           problem.layout == Layout::kNHWC,
          problem.n,           problem.h * problem.w,
          problem.c_per_group, problem.k_per_group,
          problem.groups,      larger(problem.n, int64_t(1))};
}

Reason supports(const Conv2dProblem& problem, Direction direction) {
  if (problem.r != 1 || problem.s != 1)
    return refused("the filter is %lld x %lld, needs 1 x 1", (long long)problem.r,
                   (long long)problem.s);
  if (problem.stride_h != 1 || problem.stride_w != 1)
    return refused("stride is (%lld, %lld), needs (1, 1)", (long long)problem.stride_h,
                   (long long)problem.stride_w);
  if (problem.pad_top || problem.pad_bottom || problem.pad_left || problem.pad_right)
    return refused("padding is ((%lld, %lld), (%lld, %lld)), needs none",
                   (long long)problem.pad_top, (long long)problem.pad_bottom,
                   (long long)problem.pad_left, (long long)problem.pad_right);
  if (problem.p != problem.h || problem.q != problem.w)  // output padding of a transposed one
    return refused("the output is %lld x %lld, needs the image's %lld x %lld", (long long)problem.p,
                   (long long)problem.q, (long long)problem.h, (long long)problem.w);
  const Reason reason = check_coordinates(problem);
  if (reason.refused) return reason;
  return pointwise::check_grid(shape_of(problem, direction));
}

int64_t workspace_bytes(const Conv2dProblem& problem, Direction direction, int) {
  const pointwise::Shape shape = shape_of(problem, direction);
  return pointwise::partial_bytes(shape, pointwise::chunks_of(shape), size_of(problem.dtype));
}

template <class T>
void run_type(const Conv2dProblem& problem, Direction direction, const Conv2dArrays& arrays,
              const Execution& execution) {
  const pointwise::Shape shape = shape_of(problem, direction);
  pointwise::run<T>({name_of<T>(kNames, direction),
                     execution.stream,
                     shape,
                     static_cast<const T*>(arrays.x),
                     static_cast<const T*>(arrays.w),
                     static_cast<const T*>(arrays.y),
                     {static_cast<T*>(arrays.out), static_cast<const T*>(arrays.bias),
                      static_cast<const T*>(arrays.residual), problem.activation, false},
                     static_cast<T*>(execution.workspace),
                     0,
                     pointwise::chunks_of(shape),
                     pointwise::chunks_at_once(shape, sizeof(T))});
}

void run(const Conv2dProblem& problem, Direction direction, const Conv2dArrays& arrays,
         const Execution& execution) {
  if (problem.n == 0 && direction != Direction::kWgrad) return;
  if (problem.dtype == DType::kFloat32)
    run_type<float>(problem, direction, arrays, execution);
  else
    run_type<double>(problem, direction, arrays, execution);
}

}  // namespace
}  // namespace one_by_one

extern const Conv2dKernel conv2d_1x1;
const Conv2dKernel conv2d_1x1 = {one_by_one::supports, one_by_one::workspace_bytes,
                                 one_by_one::run};

}  // namespace CK_GPU
}  // namespace ck
