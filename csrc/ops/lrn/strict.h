// What lrn.strict makes of a pixel's channels, in one order of operations, for numbers (V = T) and
// for vectors of pixels. A source gives value(channel).
#pragma once

#include "core/functions.h"
#include "core/strict_terms.h"
#include "ops/lrn/problem.h"

namespace ck {
namespace CK_BUILD {

template <class V, class T>
struct StrictLrn {
  int64_t c, before, after;
  LrnPower power;
  V alpha, k, twice;  // twice: 2 alpha beta
  NegativePower<T> any;

  // `spread` makes V of a number.
  template <class Spread>
  static StrictLrn of(const LrnProblem& p, const Spread& spread) {
    return {p.c,
            p.before,
            p.after,
            lrn_power(p.beta),
            spread(T(p.alpha)),
            spread(T(p.k)),
            spread(T(2 * p.alpha * p.beta)),
            NegativePower<T>::of(p.beta)};
  }

  // v / s^beta
  CK_SHARED_FUNCTION V apply(V v, V s) const {
    if (power == LrnPower::kAny) return v * stated_power(s, any);
    if (power == LrnPower::kOne) return divided(v, s);
    const V root = square_root(s);
    return divided(v, power == LrnPower::kHalf ? root : root * square_root(root));
  }
  template <class Source>
  CK_SHARED_FUNCTION V sum_around(int64_t channel, const Source& x) const {
    StrictSum<V> sum;
    const int64_t last = lesser(c - 1, channel + after);
    for (int64_t j = greater(0, channel - before); j <= last; ++j) {
      const V v = x.value(j);
      sum.add_product(v, v);
    }
    return fused(alpha, sum.total(), k);
  }
  template <class Source>
  CK_SHARED_FUNCTION V normalized(int64_t channel, const Source& x) const {
    return apply(x.value(channel), sum_around(channel, x));
  }

  // Of the gradient: first grad_y / S^beta and the term for the windows' sums, of all channels.
  struct First {
    V scaled, term;
  };
  template <class Source>
  CK_SHARED_FUNCTION First first(int64_t channel, const Source& grad_y, const Source& x) const {
    const V s = sum_around(channel, x), scaled = apply(grad_y.value(channel), s);
    return {scaled, divided(scaled * x.value(channel), s)};
  }
  // Then what the windows that hold the channel take off.
  template <class Source>
  CK_SHARED_FUNCTION V gradient(int64_t channel, V scaled, V x, const Source& terms) const {
    if (any.b == T(0)) return scaled;
    StrictSum<V> sum;
    const int64_t last = lesser(c - 1, channel + before);
    for (int64_t i = greater(0, channel - after); i <= last; ++i) sum.add(terms.value(i));
    return scaled - twice * x * sum.total();
  }
};

}  // namespace CK_BUILD
}  // namespace ck
