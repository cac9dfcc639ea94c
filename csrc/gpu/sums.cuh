// How long sums are made on the GPU, so that their error does not grow with their length.
//
// Equal terms round the same way at every step: a sum of B of them, one after the other, is off by
// up to B / 16 error units (docs/numerics.md). So a chain has at most kSumBlock terms, and
// kSumGroup sums of one level make one of the next: 64 terms, 1024, 16384, and from there on as
// many as come. That adds up to 5 units for 2^18 equal terms, 8 for 2^20.
#pragma once

#include "gpu/element.cuh"

namespace ck {
namespace CK_GPU {

constexpr int kSumBlock = 64;
constexpr int kSumGroup = 16;
constexpr int kSumLevels = 2;  // above the chains and their running total

// The levels above a running total of chains. Too seldom touched to deserve registers: indexed by a
// loop, they stand in local memory.
template <class T, int kM, int kN>
struct CarriedSums {
  T level[kSumLevels][kM][kN];

  // To be called when `total` has become longer by one chain, its chains-th. Where a group is
  // complete, total moves up and starts again from zero.
  __device__ __forceinline__ void carry(T (&total)[kM][kN], int chains) {
    if (chains % kSumGroup != 0) return;
    int sums = chains / kSumGroup;  // of the level below, so far
#pragma unroll 1
    for (int i = 0;; ++i, sums /= kSumGroup) {
      if (holds(i, sums - 1)) add(total, i);
      if (i + 1 == kSumLevels || sums % kSumGroup != 0) {
        move(total, i);
        return;
      }
    }
  }

  // total = all of the sum.
  __device__ __forceinline__ void finish(T (&total)[kM][kN], int chains) const {
    int sums = chains / kSumGroup;
#pragma unroll 1
    for (int i = 0; i < kSumLevels && sums > 0; ++i, sums /= kSumGroup)
      if (holds(i, sums)) add(total, i);
  }

 private:
  static __device__ __forceinline__ bool holds(int i, int sums) {
    return i + 1 == kSumLevels ? sums > 0 : sums % kSumGroup != 0;
  }
  __device__ __forceinline__ void add(T (&total)[kM][kN], int i) const {
#pragma unroll
    for (int m = 0; m < kM; ++m) {
#pragma unroll
      for (int n = 0; n < kN; ++n) total[m][n] = level[i][m][n] + total[m][n];
    }
  }
  __device__ __forceinline__ void move(T (&total)[kM][kN], int i) {
#pragma unroll
    for (int m = 0; m < kM; ++m) {
#pragma unroll
      for (int n = 0; n < kN; ++n) {
        level[i][m][n] = total[m][n];
        total[m][n] = T(0);
      }
    }
  }
};

// Some sums side by side, term by term. The carried sums are an object of their own, as in this one
// they would draw the registers along to local memory.
template <class T, int kCount>
class LongSum {
 public:
  using Carried = CarriedSums<T, 1, kCount>;

  // To be called before the next `count` terms, kSumBlock at most: they go to one chain.
  __device__ __forceinline__ void expect(int count, Carried& carried) {
    if (terms_ + count > kSumBlock) {
      add_chain();
      carried.carry(total_, ++chains_);
      terms_ = 0;
    }
    terms_ += count;
  }
  __device__ __forceinline__ void add(const Pack<T, kCount>& term) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) chain_[i] += term.value[i];
  }
  __device__ __forceinline__ Pack<T, kCount> finish(const Carried& carried) {
    add_chain();
    carried.finish(total_, chains_);
    Pack<T, kCount> result;
#pragma unroll
    for (int i = 0; i < kCount; ++i) result.value[i] = total_[0][i];
    return result;
  }

 private:
  __device__ __forceinline__ void add_chain() {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      total_[0][i] += chain_[i];
      chain_[i] = T(0);
    }
  }

  T chain_[kCount] = {}, total_[1][kCount] = {};
  int terms_ = 0, chains_ = 0;  // of the chain; that are complete
};

}  // namespace CK_GPU
}  // namespace ck
