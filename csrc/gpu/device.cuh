// The device as kernels see it: CUDA under nvcc, the host stand-in of simt/simt.h otherwise. Kernel
// files include this header, csrc/core and csrc/gpu headers, and nothing else of either world.
//
//   namespace ck {
//   namespace CK_GPU {
//   template <int kTile>
//   __global__ void __launch_bounds__(256) scale(const float* __restrict__ x, float* y, int n) {
//     CK_SHARED(float, tile, [kTile][kTile + 4]);   // 16-byte aligned; a scalar: CK_SHARED(int, s,
//     ) CK_DYN_SHARED(float, rest);                   // 1024-byte aligned, size from the launch
//     ...
//   }
//   launch<scale<64>>("conv2d.fprop.direct.f32", grid, block, shared_bytes, stream, x, y, n);
//
// launch checks CUDA's limits and the launch itself on both sides and throws with the name given.
// Arithmetic: write __fmaf_rn or fmaf where a fused multiply-add is meant; nothing else is fused.
// Warp masks name exactly the lanes that come: a lane that has returned counts as missing in simt.
#pragma once

#if !defined(CK_GPU)
#error "CK_GPU names the namespace of this build: cuda, simt_baseline or simt_avx2"
#endif

#if defined(__CUDACC__)

#include <cuda_runtime.h>
#include <stddef.h>
#include <stdint.h>

#include "gpu/launch_error.h"

#define CK_SHARED(type, name, ...) __shared__ __align__(16) type name __VA_ARGS__
// One array of one type for all kernels of a file: differently typed externs of a name clash.
#define CK_DYN_SHARED(type, name)                              \
  extern __shared__ __align__(1024) unsigned char ck_shared[]; \
  type* name = reinterpret_cast<type*>(ck_shared)

namespace ck {
namespace CK_GPU {

// bar.sync: a barrier for the given number of threads, whole warps, of a block. Ids 1 to 15.
__device__ __forceinline__ void named_barrier_sync(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

template <auto kKernel, class... Args>
void launch(const char* name, dim3 grid, dim3 block, size_t shared_bytes, void* stream,
            Args... args) {
  const gpu::LaunchShape shape = {
      name, {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared_bytes};
  gpu::check_cuda_limits(shape);
  // Above 48 KiB of static and dynamic memory together a kernel must ask; what the static part
  // takes is not known here, so every kernel with a dynamic part asks.
  cudaError_t status = cudaSuccess;
  if (shared_bytes > 0) {
    status = cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(shared_bytes));
  }
  if (status == cudaSuccess) {
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = static_cast<cudaStream_t>(stream);
    status = cudaLaunchKernelEx(&config, kKernel, args...);
  }
  if (status != cudaSuccess) {
    cudaGetLastError();  // or the next call would report this error once more
    gpu::throw_cuda_error(status, cudaGetErrorString(status), shape);
  }
}

}  // namespace CK_GPU
}  // namespace ck

#else

#include "simt/simt.h"

#endif

namespace ck {
namespace CK_GPU {

constexpr int kWarpSize = 32;
constexpr unsigned kFullMask = 0xffffffffu;

}  // namespace CK_GPU
}  // namespace ck
