// Densifies a strided array: what the dispatcher runs before kernels that want dense inputs. Moves
// bytes, knows no type.
#pragma once

#include <cstdint>

#include "core/algorithm.h"

namespace ck {

constexpr int kMaxRank = 8;

struct CopyProblem {
  int64_t itemsize;  // 1, 2, 4, 8 or 16
  int rank;
  int64_t shape[kMaxRank];
  int64_t src_strides[kMaxRank];  // in bytes; zero and negative allowed
};

struct CopyArrays {
  const void* src;
  void* dst;  // dense, last dimension fastest
};

using CopyKernel = Kernel<CopyProblem, CopyArrays>;

}  // namespace ck
