// How long sums are made on the CPU, so that their error does not grow with their length.
//
// Equal terms round the same way at every step: a sum of B of them, one after the other, is off by
// up to B / 16 error units (docs/numerics.md). So a chain has at most kChain terms, and kSumGroup
// sums of one level make one of the next: 64 terms, 1024, 16384, and from there on as many as come.
#pragma once

#include <cstdint>

#include "cpu/vec.h"

namespace ck {
namespace CK_ISA {

constexpr int kChain = 64;
constexpr int kSumGroup = 16;
constexpr int kSumLevels = 3;

// Whether a level has something of a sum of which `sums` of that level are complete.
template <int kLevels = kSumLevels>
static CK_INLINE bool level_holds(int level, int64_t sums) {
  return level + 1 == kLevels ? sums > 0 : sums % kSumGroup != 0;
}

// Adds the next sum, `before` having come before it, to the levels, `step` apart, of `count` sums
// side by side. V is a number or a vector.
template <int kLevels = kSumLevels, class V>
static void add_to_levels(V* levels, int64_t step, int64_t count, int64_t before, const V* sums) {
  if (level_holds<kLevels>(0, before)) {
    for (int64_t i = 0; i < count; ++i) levels[i] = levels[i] + sums[i];
  } else {
    for (int64_t i = 0; i < count; ++i) levels[i] = sums[i];
  }
  if ((before + 1) % kSumGroup == 0) {
    V* const full = levels;
    int level = 0;
    do {
      ++level;
      before /= kSumGroup;
      V* const to = levels + level * step;
      if (level_holds<kLevels>(level, before)) {
        for (int64_t i = 0; i < count; ++i) full[i] = to[i] + full[i];
      }
    } while (level + 1 < kLevels && (before + 1) % kSumGroup == 0);
    for (int64_t i = 0; i < count; ++i) levels[level * step + i] = full[i];
  }
}

// total = the sum of all `sums` that went to the levels; total may be the first level.
template <int kLevels = kSumLevels, class V>
static void add_levels(const V* levels, int64_t step, int64_t count, int64_t sums, V* total) {
  bool found = false;
  for (int level = 0; level < kLevels; ++level, sums /= kSumGroup) {
    if (!level_holds<kLevels>(level, sums)) continue;
    const V* const from = levels + level * step;
    if (found) {
      for (int64_t i = 0; i < count; ++i) total[i] = from[i] + total[i];
    } else {
      for (int64_t i = 0; i < count; ++i) total[i] = from[i];
    }
    found = true;
  }
  if (!found) {
    for (int64_t i = 0; i < count; ++i) total[i] = V{};
  }
}

// A sum of chains, or of terms, one after the other. V is a number or a vector.
template <class V>
class LongSum {
 public:
  CK_INLINE void add_chain(V chain) { add_to_levels(levels_, 1, 1, chains_++, &chain); }
  CK_INLINE void add(V term) {
    chain_ = chain_ + term;
    if (++terms_ < kChain) return;
    add_chain(chain_);
    chain_ = V{};
    terms_ = 0;
  }
  CK_INLINE V total() const {
    if (chains_ == 0) return chain_;
    V total;
    add_levels(levels_, 1, 1, chains_, &total);
    return total + chain_;
  }

 private:
  V levels_[kSumLevels], chain_ = V{};
  int64_t chains_ = 0;
  int terms_ = 0;
};

}  // namespace CK_ISA
}  // namespace ck
