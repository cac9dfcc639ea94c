// For headers that cpu_*.cpp and gpu_*.cu share: their content lies in CK_BUILD, the namespace of
// the build that includes them, so that no inline function of one serves another (core/isa.h).
#pragma once

#if defined(CK_GPU)
#define CK_BUILD CK_GPU
#else
#define CK_BUILD CK_ISA
#endif

// Before functions and before members that all builds have.
#if defined(__CUDACC__)
#define CK_SHARED_FUNCTION __host__ __device__ __forceinline__
#else
#define CK_SHARED_FUNCTION inline __attribute__((always_inline))
#endif

// Before loops of few steps whose numbers are constants once they are unrolled.
#if defined(__CUDACC__)
#define CK_UNROLL _Pragma("unroll")
#else
#define CK_UNROLL _Pragma("GCC unroll 16")
#endif

namespace ck {
namespace CK_BUILD {

// a * b + c, rounded once, by every compiler and processor.
static CK_SHARED_FUNCTION float fused(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}
static CK_SHARED_FUNCTION double fused(double a, double b, double c) {
#if defined(__CUDA_ARCH__)
  return __fma_rn(a, b, c);
#else
  return __builtin_fma(a, b, c);
#endif
}

}  // namespace CK_BUILD
}  // namespace ck
