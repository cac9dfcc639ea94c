#include "gpu/launch_error.h"

#include <cstdio>

#include "core/error.h"

namespace ck::gpu {

bool within_limits(const LaunchShape& shape, char* text, size_t text_bytes) {
  // CUDA C++ programming guide, "compute capabilities". Shared memory is bounded by the largest
  // part (sm_90); a smaller one refuses the attribute by itself.
  constexpr unsigned kMaxGrid[3] = {0x7fffffffu, 65535, 65535};
  constexpr unsigned kMaxBlock[3] = {1024, 1024, 64};
  constexpr unsigned kMaxThreads = 1024;
  constexpr size_t kMaxSharedBytes = 227 * 1024;
  for (int i = 0; i < 3; ++i) {
    if (shape.grid[i] < 1 || shape.grid[i] > kMaxGrid[i]) {
      std::snprintf(text, text_bytes, "grid.%c is %u, must be 1 to %u", "xyz"[i], shape.grid[i],
                    kMaxGrid[i]);
      return false;
    }
    if (shape.block[i] < 1 || shape.block[i] > kMaxBlock[i]) {
      std::snprintf(text, text_bytes, "block.%c is %u, must be 1 to %u", "xyz"[i], shape.block[i],
                    kMaxBlock[i]);
      return false;
    }
  }
  const unsigned threads = shape.block[0] * shape.block[1] * shape.block[2];
  if (threads > kMaxThreads) {
    std::snprintf(text, text_bytes, "block has %u threads, must be at most %u", threads,
                  kMaxThreads);
    return false;
  }
  if (shape.shared_bytes > kMaxSharedBytes) {
    std::snprintf(text, text_bytes, "dynamic shared memory is %zu bytes, must be at most %zu",
                  shape.shared_bytes, kMaxSharedBytes);
    return false;
  }
  return true;
}

namespace {

[[noreturn]] void throw_with_shape(const LaunchShape& shape, const char* text) {
  throw CudaError(format_text("%s: %s, grid (%u, %u, %u), block (%u, %u, %u), shared %zu bytes",
                              shape.kernel, text, shape.grid[0], shape.grid[1], shape.grid[2],
                              shape.block[0], shape.block[1], shape.block[2], shape.shared_bytes));
}

}  // namespace

void check_cuda_limits(const LaunchShape& shape) {
  char text[128];
  if (!within_limits(shape, text, sizeof(text))) throw_with_shape(shape, text);
}

void throw_cuda_error(int code, const char* text, const LaunchShape& shape) {
  throw_with_shape(shape, format_text("%s (%d)", text, code).c_str());
}

}  // namespace ck::gpu
