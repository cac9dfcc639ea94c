// cp.async: copies from global to shared memory that run on while the thread computes.
//
// The copies that a thread has started since its last cp_async_commit() are a group.
// cp_async_wait<n>() returns when at most n groups, the youngest ones, are unfinished; what the
// others wrote is then visible to this thread alone, so a barrier follows.
// Needs sm_80; traps below. Not run on a GPU.
#pragma once

#include "gpu/device.cuh"

namespace ck {
namespace CK_GPU {

#if defined(__CUDACC__)

// kBytes are 4, 8 or 16, and both addresses multiples of them. The first valid_bytes come from the
// source, zeros follow; with 0 the source is not read. 16 bytes go past the first-level cache.
template <int kBytes>
static __device__ __forceinline__ void cp_async(void* shared, const void* global,
                                                int valid_bytes = kBytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
#if __CUDA_ARCH__ >= 800
  const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global),
                 "r"(valid_bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(global),
                 "n"(kBytes), "r"(valid_bytes)
                 : "memory");
  }
#else
  __trap();
#endif
}

static __device__ __forceinline__ void cp_async_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

template <int kPending>
static __device__ __forceinline__ void cp_async_wait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

#else

template <int kBytes>
CK_SIMT_INLINE void cp_async(void* shared, const void* global, int valid_bytes = kBytes,
                             CK_SIMT_HERE) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  simt::async_copy({"cp_async", file, line}, shared, global, kBytes, valid_bytes);
}
CK_SIMT_INLINE void cp_async_commit() { simt::async_commit(); }
template <int kPending>
CK_SIMT_INLINE void cp_async_wait() {
  simt::async_wait(kPending);
}

#endif

}  // namespace CK_GPU
}  // namespace ck
