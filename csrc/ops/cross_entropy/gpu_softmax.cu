// cross_entropy.{fprop,dgrad}.softmax, float32 and float64: with m the largest logit of a position
// and s = z - m, loss = log(sum of exp(s)) - s[target], gradient = (exp(s) / sum - target) * grad.
// Takes every problem. A target that is no class gives NaN, as loss and as gradient of its
// position, and nothing outside is read: to raise an error the host would have to wait.
//
// Threads of a position, by the number of classes and where they lie:
//   classes apart (NCHW)            1: lanes are positions, each class is one run of memory
//   in a row, up to 1024 classes   32: a warp; lanes are classes
//   in a row, more                256: a block, whose 8 warps meet in shared memory
// Ten classes in a row leave 22 lanes idle. The logits are read twice (largest, sum), and by dgrad
// once more: exp is computed anew there instead of stored.
//
// Losses are added by blocks of 4096 positions, whose sums a last block adds; so are the positions
// that count, which a mean's gradient needs first.
//
// Order: a thread adds chains of 64 of its classes, every 32nd or 256th, whose sums are joined in
// levels (gpu/sums.cuh); then a tree of lanes, then warps in order. No atomics.
// Shared: 96 bytes (f32) or 192 (f64) where a block has one position; sums 3 or 4 KiB.
// Limit: memory: the logits once, backward the gradient too, if a row stays in cache for its second
// and third reading. ptxas sm_80, 0 spills: 31-48 registers; the levels of sums, touched once in 64
// classes, stand on a stack of 8 to 32 bytes. Not run on a GPU.
#include "gpu/activation.cuh"
#include "gpu/sums.cuh"
#include "ops/cross_entropy/problem.h"

namespace ck {
namespace CK_GPU {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarpSize;
constexpr int kPositions = 4096;         // that one block adds up
constexpr int64_t kBlockClasses = 1024;  // more of them in a row take a block a position
constexpr int64_t kMaxBlocks = int64_t(1) << 30;

struct Geometry {
  int64_t classes, pixels, positions;
  int64_t class_stride;  // 1, or pixels
  int64_t ignore_index;
  bool classes_last, is_mean, each;  // each: grad has an element a position
};

template <class T>
struct Weights {
  T even, own, kept, smoothing;  // e / classes, that of the target's class, 1 - e, e
};

template <class T>
struct Stats {
  T largest, sum, shifted;
};

template <class T>
static __device__ __forceinline__ T larger_number(T a, T b) {
  return a > b ? a : b;
}

// Of the values of a position's threads, on each of them. `shared` holds kWarps numbers.
template <class T, int kPerPosition, class Join>
static __device__ __forceinline__ T join_threads(T value, T* shared, const Join& join) {
  if constexpr (kPerPosition > 1) {
#pragma unroll
    for (int step = kWarpSize / 2; step > 0; step /= 2)
      value = join(value, __shfl_xor_sync(kFullMask, value, step));
  }
  if constexpr (kPerPosition > kWarpSize) {
    if (threadIdx.x % kWarpSize == 0) shared[threadIdx.x / kWarpSize] = value;
    __syncthreads();
    value = shared[0];
#pragma unroll
    for (int i = 1; i < kWarps; ++i) value = join(value, shared[i]);
  }
  return value;
}

template <class T, int kPerPosition>
static __device__ __forceinline__ Stats<T> stats_of(const Geometry& g, const T* z, int lane,
                                                    bool smooth, T (*shared)[kWarps]) {
  const auto add = [](T a, T b) { return a + b; };
  T largest = -infinity_of<T>();
  for (int64_t c = lane; c < g.classes; c += kPerPosition)
    largest = larger_number(z[c * g.class_stride], largest);
  largest = join_threads<T, kPerPosition>(largest, shared[0],
                                          [](T a, T b) { return larger_number(a, b); });
  T total[1][2] = {};
  CarriedSums<T, 1, 2> levels;
  int chains = 0;
  for (int64_t first = lane; first < g.classes; first += kSumBlock * kPerPosition) {
    T chain = T(0), shifted_chain = T(0);
    const int64_t end = smaller(g.classes, first + kSumBlock * kPerPosition);
    for (int64_t c = first; c < end; c += kPerPosition) {
      const T s = z[c * g.class_stride] - largest;
      chain += stated_exp(s);
      shifted_chain += s;
    }
    total[0][0] += chain;
    total[0][1] += shifted_chain;
    levels.carry(total, ++chains);
  }
  levels.finish(total, chains);
  const T sum = join_threads<T, kPerPosition>(total[0][0], shared[1], add);
  T shifted = total[0][1];
  if (smooth) shifted = join_threads<T, kPerPosition>(shifted, shared[2], add);
  return {largest, sum, shifted};
}

// The position of a thread, and its place among the position's threads. All threads of a warp that
// meet in shuffles have one position.
template <int kPerPosition>
static __device__ __forceinline__ int64_t position_of(int64_t first) {
  return first + int64_t(blockIdx.x) * (kThreads / kPerPosition) + threadIdx.x / kPerPosition;
}

static __device__ __forceinline__ int64_t logits_of(const Geometry& g, int64_t position) {
  if (g.classes_last) return position * g.classes;
  const int64_t image = position / g.pixels;
  return image * g.classes * g.pixels + (position - image * g.pixels);
}

template <class T, int kPerPosition>
__global__ void __launch_bounds__(kThreads)
    position_losses(Geometry g, Weights<T> w, int64_t first, const T* __restrict__ logits,
                    const int64_t* __restrict__ targets, T* __restrict__ losses) {
  CK_SHARED(T, shared, [3][kWarps]);
  const int64_t position = position_of<kPerPosition>(first);
  if (position >= g.positions) return;
  const int lane = threadIdx.x % kPerPosition;
  const int64_t target = targets[position];
  if (target == g.ignore_index) {
    if (lane == 0) losses[position] = T(0);
    return;
  }
  const T* const z = logits + logits_of(g, position);
  const bool smooth = w.smoothing != T(0);
  const Stats<T> stats = stats_of<T, kPerPosition>(g, z, lane, smooth, shared);
  if (lane != 0) return;
  T loss = nan_of<T>();
  if (uint64_t(target) < uint64_t(g.classes)) {
    const T log_sum = stated_log(stats.sum);
    loss = log_sum - (z[target * g.class_stride] - stats.largest);
    if (smooth) {
      const T even = log_sum - stats.shifted / T(g.classes);
      loss = w.kept * loss + w.smoothing * even;
    }
  }
  losses[position] = loss;
}

template <class T, int kPerPosition>
__global__ void __launch_bounds__(kThreads)
    gradient(Geometry g, Weights<T> w, int64_t first, const T* __restrict__ logits,
             const int64_t* __restrict__ targets, const T* __restrict__ grad,
             const int64_t* __restrict__ counted, T* __restrict__ out) {
  CK_SHARED(T, shared, [3][kWarps]);
  const int64_t position = position_of<kPerPosition>(first);
  if (position >= g.positions) return;
  const int lane = threadIdx.x % kPerPosition;
  const int64_t target = targets[position], at = logits_of(g, position);
  const bool is_class = uint64_t(target) < uint64_t(g.classes);
  if (target == g.ignore_index || !is_class) {
    const T value = target == g.ignore_index ? T(0) : nan_of<T>();
    for (int64_t c = lane; c < g.classes; c += kPerPosition) out[at + c * g.class_stride] = value;
    return;
  }
  const Stats<T> stats = stats_of<T, kPerPosition>(g, logits + at, lane, false, shared);
  const T inverse = T(1) / stats.sum;
  T grad_here = grad[g.each ? position : 0];
  if (g.is_mean) grad_here *= T(1) / T(*counted);
  for (int64_t c = lane; c < g.classes; c += kPerPosition) {
    const int64_t place = at + c * g.class_stride;
    const T e = stated_exp(logits[place] - stats.largest);
    out[place] = (e * inverse - (c == target ? w.own : w.even)) * grad_here;
  }
}

// The sum of `count` values and of counts, of a run of kPositions of them a block; values and
// counts may be null. A target counts as 1 unless it is ignored.
template <class T, bool kTargets>
__global__ void __launch_bounds__(kThreads)
    add_up(int64_t count, int64_t ignore_index, const T* __restrict__ values,
           const int64_t* __restrict__ counts, T* __restrict__ sums, int64_t* __restrict__ counted,
           T* __restrict__ result, bool is_mean) {
  CK_SHARED(T, value_of, [kThreads]);
  CK_SHARED(int64_t, count_of, [kThreads]);
  const int64_t begin = kTargets ? int64_t(blockIdx.x) * kPositions : 0;
  const int64_t end = kTargets ? smaller(count, begin + kPositions) : count;
  T total[1][1] = {};
  CarriedSums<T, 1, 1> levels;
  int chains = 0;
  int64_t kept = 0;
  for (int64_t first = begin + threadIdx.x; first < end; first += kSumBlock * kThreads) {
    T chain = T(0);
    const int64_t last = smaller(end, first + kSumBlock * kThreads);
    for (int64_t i = first; i < last; i += kThreads) {
      if (values != nullptr) chain += values[i];
      kept += kTargets ? int64_t(counts[i] != ignore_index) : counts[i];
    }
    total[0][0] += chain;
    levels.carry(total, ++chains);
  }
  levels.finish(total, chains);
  value_of[threadIdx.x] = total[0][0];
  count_of[threadIdx.x] = kept;
  __syncthreads();
#pragma unroll 1
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (int(threadIdx.x) < half) {
      value_of[threadIdx.x] += value_of[threadIdx.x + half];
      count_of[threadIdx.x] += count_of[threadIdx.x + half];
    }
    __syncthreads();
  }
  if (threadIdx.x != 0) return;
  if (sums != nullptr) sums[blockIdx.x] = value_of[0];
  if (counted != nullptr) counted[blockIdx.x] = count_of[0];
  if (result != nullptr) *result = is_mean ? value_of[0] / T(count_of[0]) : value_of[0];
}

Reason supports(const CrossEntropyProblem&, Direction) { return accepted(); }

bool has_sums(const CrossEntropyProblem& p, Direction direction) {
  return p.reduction == Reduction::kMean ||
         (p.reduction == Reduction::kSum && direction == Direction::kFprop);
}

// counts of the blocks and of all, sums of the blocks, losses of all positions.
int64_t workspace_bytes(const CrossEntropyProblem& p, Direction direction, int) {
  if (!has_sums(p, direction)) return 0;
  const int64_t positions = p.n * p.pixels, blocks = ceil_div(positions, kPositions);
  const int64_t counts = (blocks + 1) * int64_t(sizeof(int64_t));
  if (direction == Direction::kDgrad) return counts;
  return counts + (blocks + positions) * size_of(p.dtype);
}

template <class T>
struct Workspace {
  int64_t *counts, *counted;
  T *sums, *losses;

  static Workspace over(const CrossEntropyProblem& p, void* memory) {
    const int64_t blocks = ceil_div(p.n * p.pixels, int64_t(kPositions));
    int64_t* const counts = static_cast<int64_t*>(memory);
    T* const sums = reinterpret_cast<T*>(counts + blocks + 1);
    return {counts, counts + blocks, sums, sums + blocks};
  }
};

template <class T>
struct Run {
  const CrossEntropyProblem& p;
  const CrossEntropyArrays& arrays;
  void* stream;
  const char* name;
  Geometry g;
  Weights<T> w;

  const T* logits() const { return static_cast<const T*>(arrays.logits); }
  T* out() const { return static_cast<T*>(arrays.out); }

  // Calls launch_blocks(first position, grid) for as many positions at a time as a grid has blocks.
  template <class Launch>
  void for_each_launch(int per_position, const Launch& launch_blocks) const {
    const int64_t in_block = kThreads / per_position;
    for (int64_t first = 0; first < g.positions; first += kMaxBlocks * in_block) {
      const int64_t blocks = smaller(ceil_div(g.positions - first, in_block), kMaxBlocks);
      launch_blocks(first, dim3(unsigned(blocks)));
    }
  }

  template <int kPerPosition>
  void losses(T* to) const {
    for_each_launch(kPerPosition, [&](int64_t first, dim3 grid) {
      launch<position_losses<T, kPerPosition>>(name, grid, dim3(kThreads), 0, stream, g, w, first,
                                               logits(), arrays.target, to);
    });
  }
  template <int kPerPosition>
  void gradients(const int64_t* counted) const {
    for_each_launch(kPerPosition, [&](int64_t first, dim3 grid) {
      launch<gradient<T, kPerPosition>>(name, grid, dim3(kThreads), 0, stream, g, w, first,
                                        logits(), arrays.target, static_cast<const T*>(arrays.grad),
                                        counted, out());
    });
  }

  // Sums of values (null: none) to result (null: not wanted), and how many positions count.
  void sums(const Workspace<T>& space, const T* values, T* result) const {
    const int64_t blocks = ceil_div(g.positions, int64_t(kPositions));
    const int64_t none = 0;
    if (blocks > 0) {
      launch<add_up<T, true>>(name, dim3(unsigned(blocks)), dim3(kThreads), 0, stream, g.positions,
                              g.ignore_index, values, arrays.target,
                              values == nullptr ? static_cast<T*>(nullptr) : space.sums,
                              space.counts, static_cast<T*>(nullptr), false);
    }
    launch<add_up<T, false>>(
        name, dim3(1), dim3(kThreads), 0, stream, blocks, none,
        values == nullptr ? static_cast<const T*>(nullptr) : static_cast<const T*>(space.sums),
        static_cast<const int64_t*>(space.counts), static_cast<T*>(nullptr), space.counted, result,
        g.is_mean);
  }

  template <int kPerPosition>
  void run(Direction direction, void* memory) const {
    const Workspace<T> space = Workspace<T>::over(p, memory);
    if (direction == Direction::kDgrad) {
      if (g.is_mean) sums(space, nullptr, nullptr);
      gradients<kPerPosition>(space.counted);
    } else if (p.reduction == Reduction::kNone) {
      losses<kPerPosition>(out());
    } else {
      losses<kPerPosition>(space.losses);
      sums(space, space.losses, out());
    }
  }
};

template <class T>
void run_typed(const CrossEntropyProblem& p, Direction direction, const CrossEntropyArrays& arrays,
               const Execution& execution) {
  const bool forward = direction == Direction::kFprop, single = sizeof(T) == 4;
  const char* name =
      forward  ? single ? "cross_entropy.fprop.softmax.f32" : "cross_entropy.fprop.softmax.f64"
      : single ? "cross_entropy.dgrad.softmax.f32"
               : "cross_entropy.dgrad.softmax.f64";
  const double e = p.label_smoothing, share = e / double(p.classes);
  const Run<T> call = {
      p,
      arrays,
      execution.stream,
      name,
      {p.classes, p.pixels, p.n * p.pixels, p.classes_last ? 1 : p.pixels, p.ignore_index,
       p.classes_last, p.reduction == Reduction::kMean, p.reduction == Reduction::kNone},
      {T(share), T(1 - e + share), T(1 - e), T(e)}};
  if (!p.classes_last) {
    call.template run<1>(direction, execution.workspace);
  } else if (p.classes <= kBlockClasses) {
    call.template run<kWarpSize>(direction, execution.workspace);
  } else {
    call.template run<kThreads>(direction, execution.workspace);
  }
}

void run(const CrossEntropyProblem& p, Direction direction, const CrossEntropyArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace

extern const CrossEntropyKernel cross_entropy_softmax;
const CrossEntropyKernel cross_entropy_softmax = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
