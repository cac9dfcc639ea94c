// What an algorithm is to the rest of the house: three functions and a row in its op's table.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "core/reason.h"
#include "core/types.h"

namespace ck {

struct Execution {
  void* workspace;  // 64-byte aligned on the host, 256 on the device; as many bytes as
                    // workspace_bytes() asked for
  int64_t workspace_bytes;
  void* stream;  // cudaStream_t, null elsewhere
  int threads;   // for the cpu backend
};

template <class Problem, class Arrays>
struct Kernel {
  Reason (*supports)(const Problem&, Direction);
  int64_t (*workspace_bytes)(const Problem&, Direction, int threads);
  void (*run)(const Problem&, Direction, const Arrays&, const Execution&);
};

constexpr unsigned kFpropOnly = 1u << int(Direction::kFprop);
constexpr unsigned kFpropDgrad = kFpropOnly | 1u << int(Direction::kDgrad);
constexpr unsigned kAllDirections = kFpropDgrad | 1u << int(Direction::kWgrad);

// A row of an op's table. `bound` is the largest error in units of E (docs/numerics.md) that tests
// accept. `kernel` holds the copy for each instruction set; a backend compiled once fills all
// places with it. `strict`: its sums are made in the stated order (core/strict_sum.h).
template <class Problem, class Arrays>
struct AlgorithmRow {
  const char* name;
  Backend backend;
  unsigned directions;
  double bound;
  const Kernel<Problem, Arrays>* kernel[kIsaCount];
  bool strict = false;

  bool runs(Direction direction) const { return directions >> int(direction) & 1u; }
  const Kernel<Problem, Arrays>& active() const { return *kernel[int(active_isa())]; }
};

// Declare (at namespace ck scope) and collect the per-set copies of a kernel record.
#if defined(__x86_64__)
#define CK_DECLARE_CPU_KERNEL(Type, name) \
  namespace baseline {                    \
  extern const Type name;                 \
  }                                       \
  namespace avx2 {                        \
  extern const Type name;                 \
  }                                       \
  namespace avx512 {                      \
  extern const Type name;                 \
  }
#define CK_CPU_KERNEL(name) {&baseline::name, &avx2::name, &avx512::name}
#define CK_DECLARE_SIMT_KERNEL(Type, name) \
  namespace simt_baseline {                \
  extern const Type name;                  \
  }                                        \
  namespace simt_avx2 {                    \
  extern const Type name;                  \
  }
#define CK_SIMT_KERNEL(name) {&simt_baseline::name, &simt_avx2::name, &simt_avx2::name}
#else
#define CK_DECLARE_CPU_KERNEL(Type, name) \
  namespace baseline {                    \
  extern const Type name;                 \
  }
#define CK_CPU_KERNEL(name) {&baseline::name, &baseline::name, &baseline::name}
#define CK_DECLARE_SIMT_KERNEL(Type, name) \
  namespace simt_baseline {                \
  extern const Type name;                  \
  }
#define CK_SIMT_KERNEL(name) {&simt_baseline::name, &simt_baseline::name, &simt_baseline::name}
#endif

#define CK_DECLARE_CUDA_KERNEL(Type, name) \
  namespace cuda {                         \
  extern const Type name;                  \
  }
#define CK_CUDA_KERNEL(name) {&cuda::name, &cuda::name, &cuda::name}

// One GPU source gives a simt row always and a cuda row where nvcc built it.
#if defined(CK_WITH_CUDA)
#define CK_DECLARE_GPU_KERNEL(Type, name) \
  CK_DECLARE_SIMT_KERNEL(Type, name)      \
  CK_DECLARE_CUDA_KERNEL(Type, name)
#define CK_GPU_ROWS(label, directions, bound, name, ...)                                         \
  {label, Backend::kCuda, directions, bound, CK_CUDA_KERNEL(name) __VA_OPT__(, ) __VA_ARGS__}, { \
    label, Backend::kSimt, directions, bound, CK_SIMT_KERNEL(name) __VA_OPT__(, ) __VA_ARGS__    \
  }
#else
#define CK_DECLARE_GPU_KERNEL(Type, name) CK_DECLARE_SIMT_KERNEL(Type, name)
#define CK_GPU_ROWS(label, directions, bound, name, ...) \
  {label, Backend::kSimt, directions, bound, CK_SIMT_KERNEL(name) __VA_OPT__(, ) __VA_ARGS__}
#endif

}  // namespace ck
