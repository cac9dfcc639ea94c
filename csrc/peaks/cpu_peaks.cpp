// peaks, CPU: the loops that measure the processor, not an op.
// - multiply_add: 14 independent chains in registers. Two fused units of latency 4 to 5 need 8 to
//   10 chains; 14 and the two factors fill the 16 vector registers that AVX2 and SSE have. Without
//   a fused instruction a step is a multiplication and an addition and still counts as two.
//   The factors pull every lane to 0.5 from its own start, so that chains stay apart for the
//   compiler and values stay normal numbers.
// - read: one vector into each of 4 accumulators a step, by bits: nothing that memory waits for.
// - copy: plain stores; a store that misses reads its line first, which is not counted.
#include "cpu/vec.h"
#include "peaks/peaks.h"

namespace ck {
namespace CK_ISA {
namespace {

constexpr int kChains = 14;
constexpr int kReadChains = 4;
static_assert(kPieceBytes % (kReadChains * kVectorBytes) == 0, "pieces are whole steps");
static_assert(kSinkBytes >= kVectorBytes, "the sink takes a vector");

template <class T>
int64_t run_chains(int64_t steps, void* sink) {
  volatile T keep = T(0.75), add = T(0.125);  // volatile: unknown to the compiler
  const Vec<T> factor = Vec<T>::broadcast(keep), term = Vec<T>::broadcast(add);
  Vec<T> chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = Vec<T>::broadcast(add + T(i));
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 14
    for (int i = 0; i < kChains; ++i) chain[i] = multiply_add(chain[i], factor, term);
  }
  Vec<T> all = chain[0];
  for (int i = 1; i < kChains; ++i) all = all + chain[i];
  all.store(static_cast<T*>(sink));
  return 2 * steps * kChains * kLanes<T>;
}

int64_t run_multiply_add(DType dtype, int64_t steps, void* sink) {
  return dtype == DType::kFloat32 ? run_chains<float>(steps, sink)
                                  : run_chains<double>(steps, sink);
}

void read(const void* from, int64_t bytes, void* sink) {
  const float* at = static_cast<const float*>(from);
  Vec<float> seen[kReadChains] = {};
  for (int64_t i = 0; i < bytes / int64_t(sizeof(float)); i += kReadChains * kLanes<float>) {
    for (int j = 0; j < kReadChains; ++j)
      seen[j] = seen[j] | Vec<float>::load(at + i + j * kLanes<float>);
  }
  ((seen[0] | seen[1]) | (seen[2] | seen[3])).store(static_cast<float*>(sink));
}

void copy(const void* from, void* to, int64_t bytes) {
  const float* source = static_cast<const float*>(from);
  float* target = static_cast<float*>(to);
  for (int64_t i = 0; i < bytes / int64_t(sizeof(float)); i += kLanes<float>)
    Vec<float>::load(source + i).store(target + i);
}

}  // namespace

extern const PeakKernels peak_kernels;
const PeakKernels peak_kernels = {run_multiply_add, read, copy};

}  // namespace CK_ISA
}  // namespace ck
