// convert.elementwise, GPU: 16-bit floats to float32 and back. A thread moves 8 neighbours, 16
// bytes of the narrow side, where both pointers are aligned to 16 bytes, else items one by one,
// lanes along the array. Memory-bound: 6 bytes an item. Not run on a GPU.
#include "core/half.h"
#include "gpu/element.cuh"
#include "ops/convert/problem.h"

namespace ck {
namespace CK_GPU {
namespace {

constexpr int kThreads = 256, kItems = 8;
constexpr int64_t kMostBlocks = int64_t(1) << 30;

template <class Half>
static __device__ __forceinline__ void convert_item(Half from, float* to) {
  *to = widen(from);
}
template <class Half>
static __device__ __forceinline__ void convert_item(float from, Half* to) {
  *to = narrow(from, to);
}

template <class From, class To, bool kVectorized>
__global__ void __launch_bounds__(kThreads)
    convert(const From* __restrict__ from, To* __restrict__ to, int64_t count) {
  const int64_t block = int64_t(blockIdx.x) * (kThreads * kItems);
  if (kVectorized) {
    constexpr int kFrom = kVectorBytes / int(sizeof(From)), kTo = kVectorBytes / int(sizeof(To));
    const int64_t first = block + int64_t(threadIdx.x) * kItems;
    if (first + kItems <= count) {
      From in[kItems];
      To out[kItems];
#pragma unroll
      for (int i = 0; i < kItems; i += kFrom) {
        const Pack<From, kFrom> pack = load_pack<From, kFrom>(from + first + i);
#pragma unroll
        for (int j = 0; j < kFrom; ++j) in[i + j] = pack.value[j];
      }
#pragma unroll
      for (int i = 0; i < kItems; ++i) convert_item(in[i], &out[i]);
#pragma unroll
      for (int i = 0; i < kItems; i += kTo) {
        Pack<To, kTo> pack;
#pragma unroll
        for (int j = 0; j < kTo; ++j) pack.value[j] = out[i + j];
        store_pack<To, kTo>(to + first + i, pack);
      }
    } else {
      for (int64_t i = first; i < count; ++i) convert_item(from[i], &to[i]);
    }
  } else {
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      const int64_t at = block + threadIdx.x + i * kThreads;
      if (at < count) convert_item(from[at], &to[at]);
    }
  }
}

template <class From, class To>
void run_typed(const char* name, int64_t count, const ConvertArrays& arrays, void* stream) {
  const From* const from = static_cast<const From*>(arrays.in);
  To* const to = static_cast<To*>(arrays.out);
  constexpr int64_t kAtOnce = kMostBlocks * kThreads * kItems;
  for (int64_t first = 0; first < count; first += kAtOnce) {
    const int64_t items = smaller(kAtOnce, count - first);
    const dim3 grid(unsigned(ceil_div(items, kThreads * kItems)));
    if (is_vector_aligned(from) && is_vector_aligned(to)) {
      launch<convert<From, To, true>>(name, grid, dim3(kThreads), 0, stream, from + first,
                                      to + first, items);
    } else {
      launch<convert<From, To, false>>(name, grid, dim3(kThreads), 0, stream, from + first,
                                       to + first, items);
    }
  }
}

Reason supports(const ConvertProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const ConvertProblem&, Direction, int) { return 0; }

void run(const ConvertProblem& p, Direction direction, const ConvertArrays& arrays,
         const Execution& execution) {
  const bool widens = direction == Direction::kFprop, ieee = p.storage == Storage::kFloat16;
  void* const stream = execution.stream;
  if (widens && ieee)
    run_typed<Float16, float>("convert.widen.f16", p.count, arrays, stream);
  else if (widens)
    run_typed<BFloat16, float>("convert.widen.bf16", p.count, arrays, stream);
  else if (ieee)
    run_typed<float, Float16>("convert.narrow.f16", p.count, arrays, stream);
  else
    run_typed<float, BFloat16>("convert.narrow.bf16", p.count, arrays, stream);
}

}  // namespace

extern const ConvertKernel convert_elementwise;
const ConvertKernel convert_elementwise = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
