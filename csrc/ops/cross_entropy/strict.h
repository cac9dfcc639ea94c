// What cross_entropy.strict makes of a position's logits, in one order of operations, for numbers
// (V = T) and for vectors of positions. A source gives value(class).
#pragma once

#include "core/functions.h"
#include "core/strict_terms.h"
#include "ops/cross_entropy/problem.h"

namespace ck {
namespace CK_BUILD {

template <class V>
struct StrictStats {
  V largest, sum, shifted;  // shifted: the sum of all z - largest
};

static CK_SHARED_FUNCTION float larger_of(float a, float b) { return a > b ? a : b; }
static CK_SHARED_FUNCTION double larger_of(double a, double b) { return a > b ? a : b; }

// `largest` starts as -inf; a NaN is not larger.
template <class V, class Source>
static CK_SHARED_FUNCTION StrictStats<V> strict_stats(int64_t classes, bool smooth, V largest,
                                                      const Source& z) {
  for (int64_t c = 0; c < classes; ++c) largest = larger_of(z.value(c), largest);
  StrictSum<V> sum, shifted;
  for (int64_t c = 0; c < classes; ++c) {
    const V s = z.value(c) - largest;
    sum.add(stated_exp(s));
    if (smooth) shifted.add(s);
  }
  return {largest, sum.total(), shifted.total()};
}

// The numbers of a call; what follows is of one position.
template <class T>
struct StrictWeights {
  int64_t classes, ignore_index;
  T even, own, kept, smoothing;  // e / classes, that of the target's class, 1 - e, e

  static StrictWeights of(const CrossEntropyProblem& p) {
    const double e = p.label_smoothing, share = e / double(p.classes);
    return {p.classes, p.ignore_index, T(share), T(1 - e + share), T(1 - e), T(e)};
  }
  CK_SHARED_FUNCTION bool smooth() const { return smoothing != T(0); }
  CK_SHARED_FUNCTION bool is_class(int64_t target) const {
    return uint64_t(target) < uint64_t(classes);
  }

  // `z` is the logit of the target's class, log_sum the log of stats.sum.
  CK_SHARED_FUNCTION T loss(T log_sum, T z, T largest, T shifted) const {
    const T own_loss = log_sum - (z - largest);
    if (!smooth()) return own_loss;
    const T even_loss = log_sum - shifted / T(classes);
    return fused(kept, own_loss, smoothing * even_loss);
  }
  // Of a position that has no loss.
  CK_SHARED_FUNCTION T nothing(int64_t target) const {
    return target == ignore_index ? T(0) : nan_of<T>();
  }
  CK_SHARED_FUNCTION bool counts(int64_t target) const {
    return target != ignore_index && is_class(target);
  }
  CK_SHARED_FUNCTION T gradient(T exps, T inverse, bool is_target, T grad) const {
    return fused(exps, inverse, is_target ? -own : -even) * grad;
  }
};

}  // namespace CK_BUILD
}  // namespace ck
