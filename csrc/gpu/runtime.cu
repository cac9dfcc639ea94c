// The CUDA runtime as the binding layer sees it. The runtime is linked statically and opens the
// driver at its first call, so importing convkit works on a machine without one. Not run on a GPU.
#include "gpu/runtime.h"

#include <cuda_runtime.h>

#include "core/error.h"

namespace ck {
namespace cuda {

std::vector<std::string> device_names() {
  int count = 0;
  std::vector<std::string> names;
  if (cudaGetDeviceCount(&count) != cudaSuccess) return names;
  for (int device = 0; device < count; ++device) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, device) == cudaSuccess)
      names.emplace_back(properties.name);
  }
  return names;
}

DeviceGuard::DeviceGuard(int device) {
  cudaError_t error = cudaGetDevice(&previous_);
  if (error == cudaSuccess && previous_ != device) error = cudaSetDevice(device);
  if (error != cudaSuccess) {
    throw CudaError(
        format_text("CUDA device %d: %s (%d)", device, cudaGetErrorString(error), int(error)));
  }
}

DeviceGuard::~DeviceGuard() {
  if (previous_ >= 0) cudaSetDevice(previous_);
}

DeviceWorkspace::DeviceWorkspace(int64_t bytes, void* stream) : stream_(stream) {
  if (bytes == 0) return;
  const cudaError_t error =
      cudaMallocAsync(&memory_, size_t(bytes), static_cast<cudaStream_t>(stream));
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // clears the error, so that the next call works
    throw NoMemory("the workspace", bytes);
  }
  if (error != cudaSuccess) {
    throw CudaError(format_text("workspace of %lld bytes: %s (%d)", (long long)bytes,
                                cudaGetErrorString(error), int(error)));
  }
}

DeviceWorkspace::~DeviceWorkspace() {
  if (memory_ != nullptr) cudaFreeAsync(memory_, static_cast<cudaStream_t>(stream_));
}

}  // namespace cuda
}  // namespace ck
