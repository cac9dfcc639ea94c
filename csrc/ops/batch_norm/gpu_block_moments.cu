// batch_norm.{fprop,dgrad}.block_moments, GPU, float32 and float64, NCHW and NHWC.
// Training: sums of chunks and totals of channels (gpu/channels.cuh), the latter leaving statistics
// and the numbers of the affine pass (ops/affine), which then writes y. Inference: one small kernel
// for those numbers and the same pass. Gradient: two sums, then grad_x by the affine pass with
// grad_y in the place of the residual. y is made of (x - mean - rest of the mean): x * scale +
// shift would cancel far from zero. Memory-bound: 3 passes over x's bytes, the gradient 5.
// ptxas sm_80, 0 spills: channel_sums NCHW 30-36 registers, NHWC 32-104 (moments hold 32 values of
// x a thread), channel_totals 40-56, prepare_inference 20-22. Not run on a GPU.
#include "gpu/channels.cuh"
#include "ops/affine/problem.h"
#include "ops/batch_norm/problem.h"

namespace ck {
namespace CK_GPU {

extern const AffineKernel affine_elementwise;

namespace {

constexpr int kPrepareThreads = 128;

// Arrays with one number per channel.
template <class T>
struct ForwardNumbers {
  const T *weight, *running_mean, *running_var;
  T *center, *rest, *scale;               // for the affine pass
  T *save_mean, *save_invstd;             // null where not wanted
  T *running_mean_out, *running_var_out;  // null where not updated
  double count, eps, momentum;

  __device__ __forceinline__ void put(int64_t c, double mean, double variance) const {
    const double invstd = 1.0 / sqrt(variance + eps);
    center[c] = T(mean);
    scale[c] = T((weight ? double(weight[c]) : 1.0) * invstd);
    if (save_mean) save_mean[c] = T(mean);
    if (save_invstd) save_invstd[c] = T(invstd);
  }
};

template <class T>
struct FinishForward {
  ForwardNumbers<T> numbers;

  __device__ __forceinline__ void operator()(int64_t c, const double* total) const {
    double mean = total[0] + total[1];
    const bool finite = mean - mean == 0;
    if (!finite) mean = total[3] / numbers.count;
    double variance = total[2] / numbers.count;
    if (variance < 0) variance = 0;  // of equal values, by rounding; NaN stays
    numbers.put(c, mean, variance);
    numbers.rest[c] = finite ? T((total[0] - double(numbers.center[c])) + total[1]) : T(0);
    if (!numbers.running_mean_out) return;
    const double keep = 1.0 - numbers.momentum;
    const double unbiased = variance * (numbers.count / (numbers.count - 1.0));
    numbers.running_mean_out[c] =
        T(keep * double(numbers.running_mean[c]) + numbers.momentum * mean);
    numbers.running_var_out[c] =
        T(keep * double(numbers.running_var[c]) + numbers.momentum * unbiased);
  }
};

template <class T>
__global__ void __launch_bounds__(kPrepareThreads)
    prepare_inference(ForwardNumbers<T> numbers, int64_t channels, int64_t first) {
  const int64_t c = first + int64_t(blockIdx.x) * kPrepareThreads + threadIdx.x;
  if (c < channels) numbers.put(c, double(numbers.running_mean[c]), double(numbers.running_var[c]));
}

// grad_x = weight * invstd * (grad_y - mean(grad_y) - (x - mean) * invstd^2 * mean(grad_y * (x -
// mean))), the means being constants, and so absent, where the statistics were given.
template <class T>
struct FinishGradient {
  const T *weight, *save_invstd;
  T *grad_weight, *grad_bias;
  T *factor, *scale, *shift;
  double count;

  __device__ __forceinline__ void operator()(int64_t c, const double* total) const {
    const double invstd = double(save_invstd[c]);
    const double product = (weight ? double(weight[c]) : 1.0) * invstd;
    grad_bias[c] = T(total[0]);
    grad_weight[c] = T(total[1] * invstd);
    factor[c] = T(product);
    scale[c] = T(-product * invstd * invstd * total[1] / count);
    shift[c] = T(-product * total[0] / count);
  }
};

template <class T>
struct Workspace {
  T *partials, *numbers[3];
  int64_t elems;

  Workspace(const BatchNormProblem& p, const ChannelShape& shape, Direction direction, void* base) {
    const int64_t sums = direction == Direction::kDgrad ? partial_elems<T, ProductSums>(shape)
                         : p.training                   ? partial_elems<T, Moments>(shape)
                                                        : 0;
    partials = static_cast<T*>(base);
    for (int i = 0; i < 3; ++i) numbers[i] = base ? partials + sums + i * p.c : nullptr;
    elems = sums + 3 * p.c;
  }
};

void map(const BatchNormProblem& p, const AffineArrays& arrays, const Execution& execution) {
  affine_elementwise.run({p.dtype, p.layout, p.n, p.c, p.pixels, p.activation}, Direction::kFprop,
                         arrays, execution);
}

template <class T>
void run_forward(const char* name, const BatchNormProblem& p, const BatchNormArrays& arrays,
                 const Execution& execution) {
  const ChannelShape shape = channel_shape<T>(p.layout, p.n, p.c, p.pixels);
  const Workspace<T> space(p, shape, Direction::kFprop, execution.workspace);
  T *const center = space.numbers[0], *const rest = space.numbers[1];
  T* const scale = space.numbers[2];
  const ForwardNumbers<T> numbers = {static_cast<const T*>(arrays.weight),
                                     static_cast<const T*>(arrays.running_mean),
                                     static_cast<const T*>(arrays.running_var),
                                     center,
                                     rest,
                                     scale,
                                     static_cast<T*>(arrays.save_mean_out),
                                     static_cast<T*>(arrays.save_invstd_out),
                                     static_cast<T*>(arrays.running_mean_out),
                                     static_cast<T*>(arrays.running_var_out),
                                     double(shape.count),
                                     p.eps,
                                     p.momentum};
  if (p.training) {
    reduce_channels<T, Moments, FinishForward<T>>(name, shape, static_cast<const T*>(arrays.x),
                                                  nullptr, nullptr, space.partials,
                                                  FinishForward<T>{numbers}, execution.stream);
  } else {
    constexpr int64_t kAtOnce = kGridBlocks * kPrepareThreads;
    for (int64_t first = 0; first < p.c; first += kAtOnce) {
      const int64_t blocks = ceil_div(smaller(kAtOnce, p.c - first), kPrepareThreads);
      launch<prepare_inference<T>>(name, dim3(unsigned(blocks)), dim3(kPrepareThreads), 0,
                                   execution.stream, numbers, p.c, first);
    }
  }
  map(p,
      {arrays.x, center, p.training ? rest : nullptr, scale, arrays.bias, arrays.residual, nullptr,
       arrays.out},
      execution);
}

template <class T>
void run_gradient(const char* name, const BatchNormProblem& p, const BatchNormArrays& arrays,
                  const Execution& execution) {
  const ChannelShape shape = channel_shape<T>(p.layout, p.n, p.c, p.pixels);
  const Workspace<T> space(p, shape, Direction::kDgrad, execution.workspace);
  T *const factor = space.numbers[0], *const scale = space.numbers[1];
  T* const shift = space.numbers[2];
  const FinishGradient<T> finish = {static_cast<const T*>(arrays.weight),
                                    static_cast<const T*>(arrays.save_invstd),
                                    static_cast<T*>(arrays.grad_weight),
                                    static_cast<T*>(arrays.grad_bias),
                                    factor,
                                    scale,
                                    shift,
                                    double(shape.count)};
  reduce_channels<T, ProductSums, FinishGradient<T>>(
      name, shape, static_cast<const T*>(arrays.x), static_cast<const T*>(arrays.grad_y),
      static_cast<const T*>(arrays.save_mean), space.partials, finish, execution.stream);
  if (p.training) {
    map(p, {arrays.x, arrays.save_mean, nullptr, scale, shift, arrays.grad_y, factor, arrays.out},
        execution);
  } else {
    map(p, {arrays.grad_y, nullptr, nullptr, factor, nullptr, nullptr, nullptr, arrays.out},
        execution);
  }
}

Reason supports(const BatchNormProblem&, Direction) { return accepted(); }

template <class T>
int64_t workspace_of(const BatchNormProblem& p, Direction direction) {
  const ChannelShape shape = channel_shape<T>(p.layout, p.n, p.c, p.pixels);
  return Workspace<T>(p, shape, direction, nullptr).elems * int64_t(sizeof(T));
}

int64_t workspace_bytes(const BatchNormProblem& p, Direction direction, int) {
  return p.dtype == DType::kFloat32 ? workspace_of<float>(p, direction)
                                    : workspace_of<double>(p, direction);
}

void run(const BatchNormProblem& p, Direction direction, const BatchNormArrays& arrays,
         const Execution& execution) {
  const bool forward = direction == Direction::kFprop;
  if (p.dtype == DType::kFloat32) {
    forward ? run_forward<float>("batch_norm.fprop.block_moments.f32", p, arrays, execution)
            : run_gradient<float>("batch_norm.dgrad.block_moments.f32", p, arrays, execution);
  } else {
    forward ? run_forward<double>("batch_norm.fprop.block_moments.f64", p, arrays, execution)
            : run_gradient<double>("batch_norm.dgrad.block_moments.f64", p, arrays, execution);
  }
}

}  // namespace

extern const BatchNormKernel batch_norm_block_moments;
const BatchNormKernel batch_norm_block_moments = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
