// gram.{fprop,dgrad}.strict on the GPU; how stands in ops/gram/strict.h. A launch or two for each
// image, twice the multiplications of symmetric_gemm. Not run on a GPU.
#include "ops/gram/strict.h"

#include "gpu/element.cuh"

namespace ck {
namespace CK_GPU {

extern const Conv2dKernel conv2d_strict;

namespace {

constexpr int kThreads = 256;
constexpr int64_t kBlocks = int64_t(1) << 30;  // of one launch

// out = grad + grad^T, for every matrix.
template <class T>
struct AddTransposed {
  const T* grad;
  T* out;
  int64_t c;

  __device__ __forceinline__ void operator()(int64_t at) const {
    const int64_t column = at % c, row = at / c % c, matrix = at - row * c - column;
    out[at] = grad[at] + grad[matrix + column * c + row];
  }
};

template <class T>
struct DivideAll {
  T* out;
  T divisor;

  __device__ __forceinline__ void operator()(int64_t at) const { out[at] = out[at] / divisor; }
};

template <class Body>
__global__ void __launch_bounds__(kThreads) each(Body body, int64_t count, int64_t first) {
  const int64_t at = (first + blockIdx.x) * kThreads + threadIdx.x;
  if (at < count) body(at);
}

template <class Body>
void for_each(const Body& body, int64_t count, void* stream) {
  const int64_t blocks = ceil_div(count, kThreads);
  for (int64_t first = 0; first < blocks; first += kBlocks) {
    launch<each<Body>>("gram.strict", dim3(unsigned(smaller(kBlocks, blocks - first))),
                       dim3(kThreads), 0, stream, body, count, first);
  }
}

int64_t filter_bytes(const GramProblem& p, Direction direction) {
  if (direction == Direction::kFprop) return 0;
  return ceil_div(p.n * p.c * p.c * size_of(p.dtype), 256) * 256;
}

Reason supports(const GramProblem& p, Direction direction) {
  return conv2d_strict.supports(as_convolution(p), direction_in_convolution(direction));
}

int64_t workspace_bytes(const GramProblem& p, Direction direction, int threads) {
  return filter_bytes(p, direction) +
         conv2d_strict.workspace_bytes(as_convolution(p), direction_in_convolution(direction),
                                       threads);
}

template <class T>
void run_typed(const GramProblem& p, Direction direction, const GramArrays& arrays,
               const Execution& execution) {
  const bool forward = direction == Direction::kFprop;
  T *const filters = static_cast<T*>(execution.workspace), *const out = static_cast<T*>(arrays.out);
  if (!forward)
    for_each(AddTransposed<T>{static_cast<const T*>(arrays.grad), filters, p.c}, p.n * p.c * p.c,
             execution.stream);
  Execution inner = execution;
  inner.workspace = static_cast<char*>(execution.workspace) + filter_bytes(p, direction);
  run_strict_products<T>(p, direction, arrays, filters, conv2d_strict, inner);
  if (p.normalize)
    for_each(DivideAll<T>{out, T(p.c) * T(p.h * p.w)}, p.n * p.c * (forward ? p.c : p.h * p.w),
             execution.stream);
}

void run(const GramProblem& p, Direction direction, const GramArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace

extern const GramKernel gram_strict;
const GramKernel gram_strict = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
