// The CUDA language for a host compiler: what kernels see of the device when gpu/device.cuh is
// compiled without nvcc. Blocks run one after the other on the calling thread; the threads of a
// block are fibers that switch at barriers and warp collectives (simt/runtime.cpp).
//
// All code is in ck::CK_GPU, so that the copies compiled for different instruction sets stay apart.
// Not here: textures, cooperative groups, __activemask, waiting in a loop for another thread or
// block (nothing else would run), more than about 40 KiB of locals.
#pragma once

#include "simt/warp.h"

#define __global__ static
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __constant__ const
#define __align__(bytes) __attribute__((aligned(bytes)))

#define threadIdx (::ck::simt::current.thread_idx)
#define blockIdx (::ck::simt::current.block_idx)
#define blockDim (::ck::simt::current.block_dim)
#define gridDim (::ck::simt::current.grid_dim)

// The key is a variable, not a constant, so that no linker folds two of them into one.
#define CK_SHARED(type, name, ...)                  \
  static char name##_key;                           \
  using name##_array = type __VA_ARGS__;            \
  name##_array& name = *static_cast<name##_array*>( \
      ::ck::simt::shared_array(&name##_key, #name, sizeof(name##_array)))
#define CK_DYN_SHARED(type, name) type* name = static_cast<type*>(::ck::simt::dynamic_shared())

namespace ck {
namespace CK_GPU {

// Threads that never wait run one after the other in this loop, kernel inlined, on one stack.
template <class Call>
void run_threads(void* call) {
  do {
    (*static_cast<const Call*>(call))();
  } while (simt::next_thread());
}

template <auto kKernel, class... Args>
void launch(const char* name, dim3 grid, dim3 block, size_t shared_bytes, void* /*stream*/,
            Args... args) {
  auto call = [&] { kKernel(args...); };
  simt::run({name,
             {grid.x, grid.y, grid.z},
             {block.x, block.y, block.z},
             shared_bytes,
             run_threads<decltype(call)>,
             &call});
}

}  // namespace CK_GPU
}  // namespace ck
