// Checks and messages of kernel launches, shared by the CUDA build and simt.
#pragma once

#include <stddef.h>

namespace ck::gpu {

struct LaunchShape {
  const char* kernel;
  unsigned grid[3], block[3];
  size_t shared_bytes;
};

// True if CUDA would take the shape on every device since sm_75. Otherwise text says which number
// is out of range and what the range is.
bool within_limits(const LaunchShape& shape, char* text, size_t text_bytes);

// Throws CudaError in the form of within_limits.
void check_cuda_limits(const LaunchShape& shape);

// "conv2d.fprop.direct.f32: invalid argument (1), grid (196, 1, 1), block (128, 1, 1), shared 0 B"
[[noreturn]] void throw_cuda_error(int code, const char* text, const LaunchShape& shape);

}  // namespace ck::gpu
