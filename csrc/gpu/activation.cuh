// relu, tanh and sigmoid of a finished sum: those of core/functions.h, the same bits in every
// build.
#pragma once

#include "core/functions.h"
#include "gpu/element.cuh"

namespace ck {
namespace CK_GPU {

template <class T>
static __device__ __forceinline__ T activate(T x, Activation activation) {
  return stated_activate(x, activation);
}

}  // namespace CK_GPU
}  // namespace ck
