// The small vocabulary every room shares: element types, layouts, directions, backends.
// Plain data only: this header is also compiled for wider instruction sets (see isa.h).
#pragma once

#include <cstdint>

// Before functions that kernels of every backend call.
#if defined(__CUDACC__)
#define CK_ANYWHERE static __host__ __device__ __forceinline__
#else
#define CK_ANYWHERE static inline __attribute__((always_inline))
#endif

namespace ck {

enum class DType : int { kFloat32, kFloat64 };
enum class Layout : int { kNCHW, kNHWC };
// Pools and Gram have fprop and dgrad; im2col's dgrad is its adjoint, col2im.
enum class Direction : int { kFprop, kDgrad, kWgrad };
enum class Activation : int { kNone, kRelu, kTanh, kSigmoid };
enum class PaddingMode : int { kZeros, kReflect, kReplicate, kCircular };
enum class Backend : int { kCpu, kSimt, kCuda };
// kHigh: any algorithm within its bound. kStrict: those whose sums are made in the one order of
// docs/numerics.md, with the same bits on every backend.
enum class Precision : int { kHigh, kStrict };

static inline int64_t size_of(DType dtype) { return dtype == DType::kFloat32 ? 4 : 8; }

}  // namespace ck
