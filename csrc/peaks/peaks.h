// What this machine can do at most: multiply-adds and bytes a second, measured now. A roofline
// floor and a percentage of it are worth only as much as the peaks they divide by, so both are
// measured by kernels of the instruction set in use, on the thread pool that the ops use.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace ck {

struct Peaks {
  double flops_per_s;  // a multiply-add counts as two
  double bytes_per_s;  // read plus written, of arrays that lie in no cache
};

// The inner loops, once per instruction set. `sink` takes a value so that no loop can be left out:
// kSinkBytes, of the calling thread alone.
struct PeakKernels {
  // `steps` multiply-adds in every lane of all chains; returns the operations done.
  int64_t (*multiply_add)(DType dtype, int64_t steps, void* sink);
  // `bytes` is a multiple of kPieceBytes.
  void (*read)(const void* from, int64_t bytes, void* sink);
  void (*copy)(const void* from, void* to, int64_t bytes);
};
constexpr int64_t kPieceBytes = 1024;
constexpr int64_t kSinkBytes = 64;

// Half a second. Best of many rounds: a peak is what the machine does undisturbed.
Peaks measure_cpu_peaks(DType dtype, int threads);

#if defined(CK_WITH_CUDA)
namespace cuda {
Peaks measure_peaks(DType dtype);  // of the current device
}
#endif

}  // namespace ck
