// What follows the sum of a convolution: y = activation(sum + bias + residual), on a register
// before it is stored. Every element takes the same path whatever its position, so results do not
// depend on how outputs fall into tiles.
#pragma once

#include <math.h>

#include <cstdint>

#include "core/types.h"
#include "cpu/vec.h"

namespace ck {
namespace CK_ISA {

static CK_INLINE float tanh_of(float x) { return ::tanhf(x); }
static CK_INLINE double tanh_of(double x) { return ::tanh(x); }
// exp overflows to infinity on the far left, and 1 / (1 + inf) is the 0 it should be.
static CK_INLINE float sigmoid_of(float x) { return 1.0f / (1.0f + ::expf(-x)); }
static CK_INLINE double sigmoid_of(double x) { return 1.0 / (1.0 + ::exp(-x)); }

// tanh and sigmoid go through libm lane by lane. Out of line: they would bloat every caller's inner
// loop.
template <class T>
static __attribute__((noinline)) void activate_lanes(T* lanes, int count, Activation activation) {
  if (activation == Activation::kTanh) {
    for (int i = 0; i < count; ++i) lanes[i] = tanh_of(lanes[i]);
  } else if (activation == Activation::kSigmoid) {
    for (int i = 0; i < count; ++i) lanes[i] = sigmoid_of(lanes[i]);
  }
}

template <class T>
static CK_INLINE Vec<T> activate(Vec<T> v, Activation activation) {
  if (activation == Activation::kNone) return v;
  if (activation == Activation::kRelu) return relu(v);
  T lanes[kLanes<T>];
  v.store(lanes);
  activate_lanes(lanes, kLanes<T>, activation);
  return Vec<T>::load(lanes);
}

template <class T>
static CK_INLINE T activate(T x, Activation activation) {
  if (activation == Activation::kNone) return x;
  if (activation == Activation::kRelu) return x < T(0) ? T(0) : x;
  activate_lanes(&x, 1, activation);
  return x;
}

// The arrays of an epilogue, as seen by one problem. Null where absent; `residual` is shaped like
// the output.
template <class T>
struct Epilogue {
  const T* bias;
  const T* residual;
  Activation activation;

  CK_INLINE bool empty() const {
    return bias == nullptr && residual == nullptr && activation == Activation::kNone;
  }
  // Lanes of the output from element `at` on: of one filter, or along filters from `filter` on.
  CK_INLINE Vec<T> apply_along_pixels(Vec<T> sum, int64_t filter, int64_t at,
                                      uint32_t lanes) const {
    if (bias != nullptr) sum = sum + Vec<T>::broadcast(bias[filter]);
    if (residual != nullptr) sum = sum + Vec<T>::load_masked(residual + at, lanes);
    return activate(sum, activation);
  }
  CK_INLINE Vec<T> apply_along_filters(Vec<T> sum, int64_t filter, int64_t at,
                                       uint32_t lanes) const {
    if (bias != nullptr) sum = sum + Vec<T>::load_masked(bias + filter, lanes);
    if (residual != nullptr) sum = sum + Vec<T>::load_masked(residual + at, lanes);
    return activate(sum, activation);
  }
  CK_INLINE T apply(T sum, int64_t filter, int64_t at) const {
    if (bias != nullptr) sum = sum + bias[filter];
    if (residual != nullptr) sum = sum + residual[at];
    return activate(sum, activation);
  }
};

// The same epilogue for arrays that begin later: at filter `filter` and element `at` of the output.
template <class T>
static CK_INLINE Epilogue<T> epilogue_at(Epilogue<T> epilogue, int64_t filter, int64_t at) {
  if (epilogue.bias != nullptr) epilogue.bias += filter;
  if (epilogue.residual != nullptr) epilogue.residual += at;
  return epilogue;
}

// For any problem with the fields of Conv2dProblem.
template <class T, class Problem, class Arrays>
static CK_INLINE Epilogue<T> epilogue_of(const Problem& problem, const Arrays& arrays) {
  return {problem.has_bias ? static_cast<const T*>(arrays.bias) : nullptr,
          problem.has_residual ? static_cast<const T*>(arrays.residual) : nullptr,
          problem.activation};
}

}  // namespace CK_ISA
}  // namespace ck
