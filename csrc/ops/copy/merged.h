// The shape of a strided copy with as few dimensions as it can be said in. For kernel files of
// every set: static inline and plain data only.
#pragma once

#include "ops/copy/problem.h"

namespace ck {

struct MergedCopy {
  int rank;  // at least 1
  int64_t shape[kMaxRank];
  int64_t strides[kMaxRank];  // of the source, in bytes
};

// Drops dimensions of one element and joins neighbours that the source walks as one. The dense side
// can always be walked so.
static inline MergedCopy merge_dimensions(const CopyProblem& p) {
  MergedCopy m = {};
  for (int d = 0; d < p.rank; ++d) {
    if (p.shape[d] == 1) continue;
    if (m.rank > 0 && m.strides[m.rank - 1] == p.shape[d] * p.src_strides[d]) {
      m.shape[m.rank - 1] *= p.shape[d];
      m.strides[m.rank - 1] = p.src_strides[d];
    } else {
      m.shape[m.rank] = p.shape[d];
      m.strides[m.rank++] = p.src_strides[d];
    }
  }
  if (m.rank == 0) {
    m.rank = 1;
    m.shape[0] = 1;
    m.strides[0] = p.itemsize;
  }
  return m;
}

// The dimension along which the source is contiguous, where it is not the last and a transposing
// copy pays; else -1. Steps that are no multiple of the item size leave items unaligned.
static inline int transposed_dimension(const MergedCopy& m, int64_t itemsize) {
  const int last = m.rank - 1;
  if (m.strides[last] == itemsize || m.strides[last] == 0 || m.shape[last] < 4) return -1;
  int along = -1;
  for (int d = 0; d < last; ++d) {
    if (m.strides[d] == itemsize && m.shape[d] >= 4) along = d;
  }
  for (int d = 0; d < m.rank; ++d) {
    if (m.strides[d] % itemsize != 0) return -1;
  }
  return along;
}

}  // namespace ck
