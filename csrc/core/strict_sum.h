// The one tree of sums of precision="strict" (docs/numerics.md). Terms in their order make chains
// of kStrictChain, each from zero; kStrictGroup chains, added in order to zero, make a group,
// kStrictGroup groups a section, and sections are added in order. What is left of each level at the
// end joins from the lowest to the highest.
//
// Sums start from +0 and so never end as -0: terms of zero, for pixels that a lane or a tile does
// not have, change no bit.
#pragma once

#include <cstdint>

#include "core/build.h"

namespace ck {
namespace CK_BUILD {

constexpr int kStrictChain = 64, kStrictGroup = 16;
constexpr int64_t kStrictSection = int64_t(kStrictChain) * kStrictGroup * kStrictGroup;  // terms

// V is a number or a vector of numbers, each lane a sum of its own.
template <class V>
class StrictSum {
 public:
  CK_SHARED_FUNCTION void add(V term) {
    chain_ = chain_ + term;
    if (++terms_ == kStrictChain) close();
  }
  CK_SHARED_FUNCTION void add_product(V a, V b) {
    chain_ = fused(a, b, chain_);
    if (++terms_ == kStrictChain) close();
  }
  // Chains made elsewhere; the last one may be shorter.
  CK_SHARED_FUNCTION void add_chain(V chain) {
    chain_ = chain;
    close();
  }
  CK_SHARED_FUNCTION V total() {
    if (terms_ > 0) close();
    return sections_ + (groups_ + group_);
  }

 private:
  CK_SHARED_FUNCTION void close() {
    group_ = group_ + chain_;
    chain_ = V{};
    terms_ = 0;
    if (++chains_ % kStrictGroup != 0) return;
    groups_ = groups_ + group_;
    group_ = V{};
    if (chains_ % (kStrictGroup * kStrictGroup) != 0) return;
    sections_ = sections_ + groups_;
    groups_ = V{};
  }

  V chain_ = V{}, group_ = V{}, groups_ = V{}, sections_ = V{};
  int64_t chains_ = 0;
  int terms_ = 0;
};

}  // namespace CK_BUILD
}  // namespace ck
