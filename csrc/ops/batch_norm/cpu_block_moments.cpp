// batch_norm.{fprop,dgrad}.block_moments, cpu, float32 and float64, NCHW and NHWC.
// Training reads x for the statistics, then x again to write y; inference only that second pass,
// which is the affine kernel's. A block of a channel (cpu/channels.h) is read twice while it is in
// cache: for its mean, then for the deviations from it and their squares. Blocks are joined in
// double by the formula of Chan, Golub and LeVeque (1979), so that neither a mean far from zero nor
// a drifting one costs digits, and y is made of (x - mean - rest of the mean), as x * scale + shift
// would cancel there.
// The gradient sums grad_y and grad_y * (x - mean) in one pass, and grad_x is affine again, with
// grad_y in the place of the residual. Memory-bound: 3 passes over x's bytes, the gradient 5.
#include <math.h>

#include "cpu/channels.h"
#include "ops/affine/problem.h"
#include "ops/batch_norm/problem.h"

namespace ck {
namespace CK_ISA {

extern const AffineKernel affine_elementwise;

namespace {

// d = x - center: sums of d and d^2.
template <class T, int kVecs>
struct DeviationTerm {
  static constexpr int kFields = 2;
  const T* x;
  Vec<T> center[kVecs];

  CK_INLINE void operator()(int64_t at, int v, Vec<T>* sums) const {
    const Vec<T> d = Vec<T>::load(x + at) - center[v];
    sums[0] = sums[0] + d;
    sums[1] = multiply_add(d, d, sums[1]);
  }
  CK_INLINE void some(int64_t at, int v, uint32_t lanes, Vec<T>* sums) const {
    const Vec<T> d = Vec<T>::load_over(center[v], x + at, lanes) - center[v];
    sums[0] = sums[0] + d;
    sums[1] = multiply_add(d, d, sums[1]);
  }
};

// Mean (base + offset), sum of squared deviations from it, and the plain sum, which stays the
// mean's only witness where a value is infinite.
template <class T>
struct Moments {
  static constexpr int kFields = 4;
  const T* x;

  static CK_INLINE void add(double* base, double* offset, double* squares, double* plain,
                            double before, double other_base, double other_offset,
                            double other_squares, double other_plain, double share) {
    const double d = (other_base - *base) + (other_offset - *offset);
    *offset += d * share;
    *squares += other_squares + d * d * (before * share);
    *plain += other_plain;
  }

  template <class Walk>
  void block(const Walk& walk, int64_t, int64_t before, double* total, int64_t stride) const {
    T sums[2 * Walk::kWidth], center[Walk::kWidth];
    walk.sum(ValueTerm<T>{x}, sums);
    const double count = double(walk.count()), inverse = 1 / count;
    for (int i = 0; i < Walk::kWidth; ++i) center[i] = sums[i] * T(inverse);
    DeviationTerm<T, Walk::kVecs> term;
    term.x = x;
    for (int v = 0; v < Walk::kVecs; ++v) term.center[v] = walk.center_of(center, v);
    walk.sum(term, sums);
    const double share = count / (double(before) + count);
    for (int i = 0; i < Walk::kWidth; ++i) {
      const double k = center[i], first = sums[i], second = sums[Walk::kWidth + i];
      double* const field = total + i;
      const double offset = first * inverse, squares = second - first * offset;
      if (before == 0) {
        field[0] = k;
        field[stride] = offset;
        field[2 * stride] = squares;
        field[3 * stride] = k * count;
      } else {
        add(field, field + stride, field + 2 * stride, field + 3 * stride, double(before), k,
            offset, squares, k * count, share);
      }
    }
  }
  static void join(double* total, int64_t before, const double* more, int64_t count) {
    add(total, total + 1, total + 2, total + 3, double(before), more[0], more[1], more[2], more[3],
        double(count) / double(before + count));
  }
};

template <class T, int kVecs>
struct GradientTerm {
  static constexpr int kFields = 2;
  const T *grad_y, *x;
  Vec<T> center[kVecs];

  CK_INLINE void operator()(int64_t at, int v, Vec<T>* sums) const {
    const Vec<T> g = Vec<T>::load(grad_y + at);
    sums[0] = sums[0] + g;
    sums[1] = multiply_add(g, Vec<T>::load(x + at) - center[v], sums[1]);
  }
  CK_INLINE void some(int64_t at, int v, uint32_t lanes, Vec<T>* sums) const {
    const Vec<T> g = Vec<T>::load_masked(grad_y + at, lanes);
    sums[0] = sums[0] + g;
    sums[1] = multiply_add(g, Vec<T>::load_over(center[v], x + at, lanes) - center[v], sums[1]);
  }
};

template <class T>
struct Gradient {
  static constexpr int kFields = 2;
  const T *grad_y, *x, *mean;

  template <class Walk>
  void block(const Walk& walk, int64_t channel, int64_t, double* total, int64_t stride) const {
    T sums[2 * Walk::kWidth];
    GradientTerm<T, Walk::kVecs> term;
    term.grad_y = grad_y;
    term.x = x;
    for (int v = 0; v < Walk::kVecs; ++v) term.center[v] = walk.of_channel(mean + channel, v);
    walk.sum(term, sums);
    for (int i = 0; i < Walk::kWidth; ++i) {
      total[i] += double(sums[i]);
      total[stride + i] += double(sums[Walk::kWidth + i]);
    }
  }
  static void join(double* total, int64_t, const double* more, int64_t) {
    total[0] += more[0];
    total[1] += more[1];
  }
};

template <class T>
ChannelBlocks blocks_of(const BatchNormProblem& p) {
  return channel_blocks<T>(p.layout, p.n, p.c, p.pixels);
}

// What the passes leave for one another.
template <class T>
struct Workspace {
  double* totals;
  T *center, *rest, *scale, *shift, *factor;
  char* affine;
  int64_t bytes;

  Workspace(const BatchNormProblem& p, Direction direction, void* base) {
    Arena arena(base);
    const bool sums = p.training || direction == Direction::kDgrad;
    totals = arena.take<double>(sums ? channel_workspace(blocks_of<T>(p), Moments<T>::kFields) : 0);
    center = arena.take<T>(p.c);
    rest = arena.take<T>(p.c);
    scale = arena.take<T>(p.c);
    shift = arena.take<T>(p.c);
    factor = arena.take<T>(p.c);
    affine = arena.take<char>(
        affine_elementwise.workspace_bytes(affine_problem(p), Direction::kFprop, 1));
    bytes = arena.used_bytes();
  }

  static AffineProblem affine_problem(const BatchNormProblem& p) {
    return {p.dtype, p.layout, p.n, p.c, p.pixels, p.activation};
  }
  void map(const BatchNormProblem& p, const AffineArrays& arrays,
           const Execution& execution) const {
    Execution inner = execution;
    inner.workspace = affine;
    affine_elementwise.run(affine_problem(p), Direction::kFprop, arrays, inner);
  }
};

template <class T>
static T number(const void* array, int64_t c, T fallback) {
  return array == nullptr ? fallback : static_cast<const T*>(array)[c];
}
template <class T>
static void put(void* array, int64_t c, double value) {
  if (array != nullptr) static_cast<T*>(array)[c] = T(value);
}

template <class T>
void run_forward(const BatchNormProblem& p, const BatchNormArrays& arrays,
                 const Execution& execution) {
  const Workspace<T> space(p, Direction::kFprop, execution.workspace);
  const double count = double(p.n) * double(p.pixels);
  if (p.training) {
    reduce_channels<T>(blocks_of<T>(p), Moments<T>{static_cast<const T*>(arrays.x)}, space.totals,
                       execution.threads);
  }
  for (int64_t c = 0; c < p.c; ++c) {
    double mean, variance;
    if (p.training) {
      const double* const total = space.totals + c;
      const double base = total[0], offset = total[p.c], plain = total[3 * p.c] / count;
      mean = base + offset;
      const bool finite = mean - mean == 0;
      if (!finite) mean = plain;
      space.center[c] = T(mean);
      space.rest[c] = finite ? T((base - double(space.center[c])) + offset) : T(0);
      variance = total[2 * p.c] / count;
      if (variance < 0) variance = 0;  // of equal values, by rounding; NaN stays
      space.totals[c] = mean;
      space.totals[p.c + c] = variance;
    } else {
      mean = number<T>(arrays.running_mean, c, T(0));
      variance = number<T>(arrays.running_var, c, T(1));
      space.center[c] = T(mean);
      space.rest[c] = T(0);
    }
    const double invstd = 1 / sqrt(variance + p.eps);
    space.scale[c] = T(double(number<T>(arrays.weight, c, T(1))) * invstd);
    put<T>(arrays.save_mean_out, c, mean);
    put<T>(arrays.save_invstd_out, c, invstd);
  }
  space.map(p,
            {arrays.x, space.center, space.rest, space.scale, arrays.bias, arrays.residual, nullptr,
             arrays.out},
            execution);
  if (arrays.running_mean_out == nullptr) return;
  // Last, so that a call which does not come to its end leaves them as they were.
  for (int64_t c = 0; c < p.c; ++c) {
    const double mean = space.totals[c], variance = space.totals[p.c + c] * (count / (count - 1));
    const double keep = 1 - p.momentum;
    put<T>(arrays.running_mean_out, c,
           keep * double(number<T>(arrays.running_mean, c, T(0))) + p.momentum * mean);
    put<T>(arrays.running_var_out, c,
           keep * double(number<T>(arrays.running_var, c, T(1))) + p.momentum * variance);
  }
}

// grad_x = weight * invstd * (grad_y - mean(grad_y) - (x - mean) * invstd^2 * mean(grad_y * (x -
// mean))), the means being constants, and so absent, where the statistics were given.
template <class T>
void run_gradient(const BatchNormProblem& p, const BatchNormArrays& arrays,
                  const Execution& execution) {
  const Workspace<T> space(p, Direction::kDgrad, execution.workspace);
  const double count = double(p.n) * double(p.pixels);
  reduce_channels<T>(
      blocks_of<T>(p),
      Gradient<T>{static_cast<const T*>(arrays.grad_y), static_cast<const T*>(arrays.x),
                  static_cast<const T*>(arrays.save_mean)},
      space.totals, execution.threads);
  for (int64_t c = 0; c < p.c; ++c) {
    const double sum = space.totals[c], product = space.totals[p.c + c];
    const double invstd = number<T>(arrays.save_invstd, c, T(1));
    const double factor = double(number<T>(arrays.weight, c, T(1))) * invstd;
    put<T>(arrays.grad_bias, c, sum);
    put<T>(arrays.grad_weight, c, product * invstd);
    space.factor[c] = T(factor);
    if (!p.training) continue;
    space.scale[c] = T(-factor * invstd * invstd * product / count);
    space.shift[c] = T(-factor * sum / count);
  }
  if (p.training) {
    space.map(p,
              {arrays.x, arrays.save_mean, nullptr, space.scale, space.shift, arrays.grad_y,
               space.factor, arrays.out},
              execution);
  } else {
    space.map(
        p, {arrays.grad_y, nullptr, nullptr, space.factor, nullptr, nullptr, nullptr, arrays.out},
        execution);
  }
}

template <class T>
void run_typed(const BatchNormProblem& p, Direction direction, const BatchNormArrays& arrays,
               const Execution& execution) {
  if (direction == Direction::kFprop) {
    run_forward<T>(p, arrays, execution);
  } else {
    run_gradient<T>(p, arrays, execution);
  }
}

Reason supports(const BatchNormProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const BatchNormProblem& p, Direction direction, int) {
  return p.dtype == DType::kFloat32 ? Workspace<float>(p, direction, nullptr).bytes
                                    : Workspace<double>(p, direction, nullptr).bytes;
}

void run(const BatchNormProblem& p, Direction direction, const BatchNormArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace

extern const BatchNormKernel batch_norm_block_moments;
const BatchNormKernel batch_norm_block_moments = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
