// Between arrays of 16-bit floats and float32: what runs around the kernels of a call whose arrays
// are stored in 16 bits. fprop widens, dgrad narrows.
#pragma once

#include <cstdint>

#include "core/algorithm.h"

namespace ck {

enum class Storage : int { kFloat16, kBFloat16 };

struct ConvertProblem {
  Storage storage;
  int64_t count;
};

struct ConvertArrays {
  const void* in;
  void* out;
};

using ConvertKernel = Kernel<ConvertProblem, ConvertArrays>;

// The backend's kernel for the instruction set in use.
const ConvertKernel& convert_kernel(Backend backend);

}  // namespace ck
