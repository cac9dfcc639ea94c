// conv2d.direct on the CPU, all directions: the definition, loop by loop.
#include "ops/conv2d/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

struct Indexer {
  const Conv2dProblem& p;
  int64_t x(int64_t n, int64_t c, int64_t i, int64_t j) const {
    return p.layout == Layout::kNCHW ? ((n * p.c + c) * p.h + i) * p.w + j
                                     : ((n * p.h + i) * p.w + j) * p.c + c;
  }
  int64_t y(int64_t n, int64_t k, int64_t i, int64_t j) const {
    return p.layout == Layout::kNCHW ? ((n * p.k + k) * p.p + i) * p.q + j
                                     : ((n * p.p + i) * p.q + j) * p.k + k;
  }
  int64_t w(int64_t k, int64_t c, int64_t r, int64_t s) const {
    if (p.flip_kernel) r = p.r - 1 - r, s = p.s - 1 - s;
    return p.layout == Layout::kNCHW ? ((k * p.c_per_group + c) * p.r + r) * p.s + s
                                     : ((k * p.r + r) * p.s + s) * p.c_per_group + c;
  }
};

template <class T>
void run_typed(const Conv2dProblem& p, Direction direction, const Conv2dArrays& a) {
  const Indexer at{p};
  const T* x = static_cast<const T*>(a.x);
  const T* w = static_cast<const T*>(a.w);
  const T* y = static_cast<const T*>(a.y);
  T* out = static_cast<T*>(a.out);
  if (direction == Direction::kDgrad) {
    for (int64_t i = 0; i < p.n * p.c * p.h * p.w; ++i) out[i] = 0;
  } else if (direction == Direction::kWgrad) {
    for (int64_t i = 0; i < p.k * p.c_per_group * p.r * p.s; ++i) out[i] = 0;
  }
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t k = 0; k < p.k; ++k)
      for (int64_t i = 0; i < p.p; ++i)
        for (int64_t j = 0; j < p.q; ++j) {
          T sum = 0;
          for (int64_t c = 0; c < p.c_per_group; ++c)
            for (int64_t r = 0; r < p.r; ++r)
              for (int64_t s = 0; s < p.s; ++s) {
                const int64_t row = i * p.stride_h + r * p.dilation_h - p.pad_top;
                const int64_t column = j * p.stride_w + s * p.dilation_w - p.pad_left;
                if (row < 0 || row >= p.h || column < 0 || column >= p.w) continue;
                const int64_t channel = k / p.k_per_group * p.c_per_group + c;
                const int64_t xi = at.x(n, channel, row, column), wi = at.w(k, c, r, s),
                              yi = at.y(n, k, i, j);
                if (direction == Direction::kFprop) sum += x[xi] * w[wi];
                if (direction == Direction::kDgrad) out[xi] += y[yi] * w[wi];
                if (direction == Direction::kWgrad) out[wi] += y[yi] * x[xi];
              }
          if (direction != Direction::kFprop) continue;
          if (a.bias) sum += static_cast<const T*>(a.bias)[k];
          if (a.residual) sum += static_cast<const T*>(a.residual)[at.y(n, k, i, j)];
          if (p.activation == Activation::kRelu && sum < 0) sum = 0;
          out[at.y(n, k, i, j)] = sum;
        }
}

Reason supports(const Conv2dProblem&, Direction) { return accepted(); }
int64_t workspace_bytes(const Conv2dProblem&, Direction, int) { return 0; }

void run(const Conv2dProblem& problem, Direction direction, const Conv2dArrays& arrays,
         const Execution&) {
  if (problem.dtype == DType::kFloat32) return run_typed<float>(problem, direction, arrays);
  run_typed<double>(problem, direction, arrays);
}

}  // namespace

extern const Conv2dKernel conv2d_direct;
const Conv2dKernel conv2d_direct = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
