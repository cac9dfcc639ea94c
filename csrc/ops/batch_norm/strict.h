// What batch_norm.strict makes of a channel's sums, in double and in one order of operations; every
// product here is rounded before it is added to.
#pragma once

#include "core/functions.h"
#include "core/strict_channels.h"
#include "ops/affine/problem.h"
#include "ops/batch_norm/problem.h"

namespace ck {
namespace CK_BUILD {

// Each step's numbers, one per channel. `sums` are x, then d = x - first and d^2.
template <class T>
struct StrictSpace {
  T *sums, *first;                            // first: the mean as the first sum gives it
  T *center, *rest, *scale, *shift, *factor;  // what the affine pass takes

  static constexpr int kArrays = 9;
  StrictSpace(const BatchNormProblem& p, void* base) {
    T* const at = static_cast<T*>(base);
    T** const arrays[] = {&first, &center, &rest, &scale, &shift, &factor};
    sums = at;
    for (int i = 0; i < 6; ++i) *arrays[i] = base == nullptr ? nullptr : at + (3 + i) * p.c;
  }
};

template <class T>
static CK_SHARED_FUNCTION double channel_number(const void* array, int64_t c, double otherwise) {
  return array == nullptr ? otherwise : double(static_cast<const T*>(array)[c]);
}
template <class T>
static CK_SHARED_FUNCTION void put_number(void* array, int64_t c, double value) {
  if (array != nullptr) static_cast<T*>(array)[c] = T(value);
}

template <class T>
struct FirstMean {
  StrictSpace<T> space;
  double count;

  CK_SHARED_FUNCTION void operator()(int64_t c) const {
    space.first[c] = T(double(space.sums[c]) / count);
  }
};

struct ChannelStatistics {
  double mean, variance, base, offset;
  bool finite;
};

// mean = first + sum(d) / m, variance = (sum(d^2) - sum(d) * (sum(d) / m)) / m.
template <class T>
static CK_SHARED_FUNCTION ChannelStatistics statistics_of(const StrictSpace<T>& space, int64_t c,
                                                          int64_t channels, double count) {
  ChannelStatistics s;
  const double sum = double(space.sums[channels + c]);
  s.base = double(space.first[c]);
  s.offset = sum / count;
  s.mean = s.base + s.offset;
  s.finite = s.mean - s.mean == 0;
  // The plain sum is the mean's only witness where a value is infinite.
  if (!s.finite) s.mean = double(space.sums[c]) / count;
  s.variance = (double(space.sums[2 * channels + c]) - sum * s.offset) / count;
  if (s.variance < 0) s.variance = 0;  // of equal values, by rounding; NaN stays
  return s;
}

template <class T>
struct StrictForward {
  BatchNormProblem p;
  BatchNormArrays arrays;
  StrictSpace<T> space;
  double count;

  CK_SHARED_FUNCTION void operator()(int64_t c) const {
    double mean = channel_number<T>(arrays.running_mean, c, 0);
    double variance = channel_number<T>(arrays.running_var, c, 1);
    space.rest[c] = T(0);
    if (p.training) {
      const ChannelStatistics s = statistics_of(space, c, p.c, count);
      mean = s.mean, variance = s.variance;
      if (s.finite) space.rest[c] = T((s.base - double(T(mean))) + s.offset);
    }
    const double invstd = 1.0 / square_root(variance + p.eps);
    space.center[c] = T(mean);
    space.scale[c] = T(channel_number<T>(arrays.weight, c, 1) * invstd);
    put_number<T>(arrays.save_mean_out, c, mean);
    put_number<T>(arrays.save_invstd_out, c, invstd);
  }
};

// The running arrays, which change in place.
template <class T>
struct StrictRunning {
  BatchNormProblem p;
  BatchNormArrays arrays;
  StrictSpace<T> space;
  double count;

  CK_SHARED_FUNCTION void operator()(int64_t c) const {
    const ChannelStatistics s = statistics_of(space, c, p.c, count);
    const double keep = 1.0 - p.momentum, unbiased = s.variance * (count / (count - 1.0));
    put_number<T>(arrays.running_mean_out, c,
                  keep * channel_number<T>(arrays.running_mean, c, 0) + p.momentum * s.mean);
    put_number<T>(arrays.running_var_out, c,
                  keep * channel_number<T>(arrays.running_var, c, 1) + p.momentum * unbiased);
  }
};

// grad_x = weight * invstd * (grad_y - mean(grad_y) - (x - mean) * invstd^2 * mean(grad_y * (x -
// mean))), the means being constants, and so absent, where the statistics were given. `sums` are
// those of grad_y and of grad_y * (x - mean).
template <class T>
struct StrictGradient {
  BatchNormProblem p;
  BatchNormArrays arrays;
  StrictSpace<T> space;
  double count;

  CK_SHARED_FUNCTION void operator()(int64_t c) const {
    const double sum = double(space.sums[c]), product = double(space.sums[p.c + c]);
    const double invstd = channel_number<T>(arrays.save_invstd, c, 1);
    const double factor = channel_number<T>(arrays.weight, c, 1) * invstd;
    put_number<T>(arrays.grad_bias, c, sum);
    put_number<T>(arrays.grad_weight, c, product * invstd);
    space.factor[c] = T(factor);
    space.scale[c] = T(-factor * invstd * invstd * product / count);
    space.shift[c] = T(-factor * sum / count);
  }
};

// The steps in their order; a driver has sums(Sums, fields' place), each(finish) and map(arrays).
template <class T, class Driver>
static void run_strict_batch_norm(const BatchNormProblem& p, Direction direction,
                                  const BatchNormArrays& arrays, const StrictSpace<T>& space,
                                  const Driver& driver) {
  const double count = double(p.n) * double(p.pixels);
  const T *const x = static_cast<const T*>(arrays.x), *const g =
                                                          static_cast<const T*>(arrays.grad_y);
  if (direction == Direction::kDgrad) {
    driver.sums(GradientSums<T>{{g, x}, static_cast<const T*>(arrays.save_mean)}, space.sums);
    driver.each(StrictGradient<T>{p, arrays, space, count});
    if (p.training) {
      driver.map({arrays.x, arrays.save_mean, nullptr, space.scale, space.shift, arrays.grad_y,
                  space.factor, arrays.out});
    } else {
      driver.map(
          {arrays.grad_y, nullptr, nullptr, space.factor, nullptr, nullptr, nullptr, arrays.out});
    }
    return;
  }
  if (p.training) {
    driver.sums(ValueSum<T>{{x}, nullptr}, space.sums);
    driver.each(FirstMean<T>{space, count});
    driver.sums(DeviationSums<T>{{x}, space.first}, space.sums + p.c);
  }
  driver.each(StrictForward<T>{p, arrays, space, count});
  driver.map({arrays.x, space.center, space.rest, space.scale, arrays.bias, arrays.residual,
              nullptr, arrays.out});
  // Last, so that a call which does not come to its end leaves them as they were.
  if (arrays.running_mean_out != nullptr) driver.each(StrictRunning<T>{p, arrays, space, count});
}

}  // namespace CK_BUILD
}  // namespace ck
