// affine.elementwise, GPU, float32 and float64, NCHW and NHWC: one pass over memory.
// A block of 256 threads maps 4 packs of 16 bytes a thread, neighbours in memory: 16 KiB. Its first
// plane (NCHW) or pixel (NHWC) takes one 64-bit division, every pack then quick ones. Packs are
// loaded whole where they lie in one plane, or in one pixel, and all arrays are aligned to 16
// bytes; else element by element. Memory-bound: 2 arrays' bytes, 3 with a residual.
// ptxas sm_80, 0 spills: 32-40 registers. Not run on a GPU.
#include "gpu/activation.cuh"
#include "ops/affine/problem.h"

namespace ck {
namespace CK_GPU {
namespace {

constexpr int kThreads = 256, kPacks = 4;
constexpr int64_t kMostBlocks = (int64_t(1) << 31) - 1;
constexpr int64_t kQuickInner = int64_t(1) << 30;

template <class T>
struct AffineArguments {
  const T *x, *center, *center_rest, *scale, *shift, *residual, *residual_scale;
  T* out;
  int64_t elems, inner, c, first;  // inner: elements side by side of one channel
  FastDivide by_inner, by_c;
  bool quick_inner, quick_c;
  Activation activation;
};

// The neutral numbers: x - 0, x * 1 and x + -0 are x to the bit.
template <class T>
static __device__ __forceinline__ T number(const T* array, int64_t channel, T neutral) {
  return array == nullptr ? neutral : array[channel];
}

template <class T>
static __device__ __forceinline__ T map(const AffineArguments<T>& args, int64_t channel, T x,
                                        T residual) {
  const T d = x - number(args.center, channel, T(0)) - number(args.center_rest, channel, T(0));
  T y = fma_rn(d, number(args.scale, channel, T(1)), number(args.shift, channel, T(-0.0)));
  if (args.residual) y = fma_rn(residual, number(args.residual_scale, channel, T(1)), y);
  return activate(y, args.activation);
}

// Where a block begins, and from it the channel of each of its elements.
template <class T>
struct ChannelOf {
  int64_t rest, channel;

  __device__ __forceinline__ ChannelOf(const AffineArguments<T>& args, int64_t at) {
    const int64_t plane = at / args.inner;
    rest = at - plane * args.inner;
    channel = plane % args.c;
  }
  __device__ __forceinline__ int64_t operator()(const AffineArguments<T>& args, int local) const {
    const int64_t at = rest + local;
    const int64_t planes = args.quick_inner ? int64_t(args.by_inner.quotient(uint32_t(at)))
                                            : int64_t(at >= args.inner);
    const int64_t beyond = channel + planes;
    if (!args.quick_c) return beyond < args.c ? beyond : beyond - args.c;
    return args.by_c.remainder(uint32_t(beyond), args.by_c.quotient(uint32_t(beyond)));
  }
};

template <class T, bool kVectorized>
__global__ void __launch_bounds__(kThreads) affine(AffineArguments<T> args) {
  constexpr int kWidth = kVectorBytes / sizeof(T);
  const int64_t begin = (args.first + blockIdx.x) * (kThreads * kPacks * kWidth);
  const ChannelOf<T> channel_of(args, begin);
#pragma unroll
  for (int j = 0; j < kPacks; ++j) {
    const int local = (j * kThreads + int(threadIdx.x)) * kWidth;
    if (begin + local >= args.elems) return;
    if (kVectorized) {
      Pack<T, kWidth> y = load_pack<T, kWidth>(args.x + begin + local);
      Pack<T, kWidth> residual = zero_pack<T, kWidth>();
      if (args.residual) residual = load_pack<T, kWidth>(args.residual + begin + local);
      const int64_t channel = channel_of(args, local);
      const int step = args.inner == 1;  // a pack is of neighbouring channels, or of one
#pragma unroll
      for (int i = 0; i < kWidth; ++i)
        y.value[i] = map(args, channel + i * step, y.value[i], residual.value[i]);
      store_pack<T, kWidth>(args.out + begin + local, y);
    } else {
      for (int i = 0; i < kWidth; ++i) {
        const int64_t at = begin + local + i;
        if (at >= args.elems) return;
        const T residual = args.residual ? args.residual[at] : T(0);
        args.out[at] = map(args, channel_of(args, local + i), args.x[at], residual);
      }
    }
  }
}

template <class T>
void run_typed(const char* name, const AffineProblem& p, const AffineArrays& arrays, void* stream) {
  constexpr int64_t kWidth = kVectorBytes / sizeof(T), kBlock = kThreads * kPacks * kWidth;
  AffineArguments<T> args = {};
  args.x = static_cast<const T*>(arrays.x);
  args.center = static_cast<const T*>(arrays.center);
  args.center_rest = static_cast<const T*>(arrays.center_rest);
  args.scale = static_cast<const T*>(arrays.scale);
  args.shift = static_cast<const T*>(arrays.shift);
  args.residual = static_cast<const T*>(arrays.residual);
  args.residual_scale = static_cast<const T*>(arrays.residual_scale);
  args.out = static_cast<T*>(arrays.out);
  args.elems = p.n * p.c * p.pixels;
  args.inner = p.layout == Layout::kNCHW ? p.pixels : 1;
  args.c = p.c;
  args.activation = p.activation;
  args.quick_inner = args.inner < kQuickInner;
  args.quick_c = args.c < kQuickInner;
  args.by_inner = fast_divide(args.quick_inner ? args.inner : 1);
  args.by_c = fast_divide(args.quick_c ? args.c : 1);
  const bool vectorized = (args.inner == 1 ? p.c : args.inner) % kWidth == 0 &&
                          is_vector_aligned(args.x) && is_vector_aligned(args.residual) &&
                          is_vector_aligned(args.out);
  const int64_t blocks = ceil_div(args.elems, kBlock);
  for (args.first = 0; args.first < blocks; args.first += kMostBlocks) {
    const dim3 grid(unsigned(smaller(kMostBlocks, blocks - args.first)));
    if (vectorized) {
      launch<affine<T, true>>(name, grid, dim3(kThreads), 0, stream, args);
    } else {
      launch<affine<T, false>>(name, grid, dim3(kThreads), 0, stream, args);
    }
  }
}

Reason supports(const AffineProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const AffineProblem&, Direction, int) { return 0; }

void run(const AffineProblem& p, Direction, const AffineArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>("affine.elementwise.f32", p, arrays, execution.stream);
  } else {
    run_typed<double>("affine.elementwise.f64", p, arrays, execution.stream);
  }
}

}  // namespace

extern const AffineKernel affine_elementwise;
const AffineKernel affine_elementwise = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
