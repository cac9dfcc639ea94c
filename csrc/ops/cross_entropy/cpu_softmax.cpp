// cross_entropy.softmax, cpu: with m the largest logit of a position and s = z - m,
// loss = log(sum of exp(s)) - s[target], gradient = (exp(s) / sum - target) * grad. Nothing
// overflows, as exp sees no positive number. Positions come in blocks of 64:
//   classes apart (NCHW)   lanes are positions; each walks its classes
//   few classes in a row   the block is transposed, then the same
//   many classes in a row  lanes are classes, row by row
// The gradient keeps exp(s) where the result will stand, so that each is computed once.
// Sums: a lane adds its classes in order, in levels (cpu/sums.h), then a fixed tree of lanes.
// Losses of positions are added pairwise, so that many equal ones lose nothing. Which way a
// position goes depends on the number of classes alone, so that no batch and no number of threads
// changes a bit.
#include "cpu/functions.h"
#include "cpu/operands.h"
#include "cpu/sums.h"
#include "cpu/tasks.h"
#include "ops/cross_entropy/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

constexpr int64_t kBlock = 64;
constexpr int64_t kTransposedClasses = 64;  // their block stays in L1
constexpr int64_t kTaskElements = 1 << 14;

Reason supports(const CrossEntropyProblem&, Direction) { return accepted(); }

template <class T>
struct Stats {
  T largest[kBlock], sum[kBlock], shifted[kBlock];  // shifted: the sum of all s
};

template <class T>
CK_INLINE Vec<T> larger_number(Vec<T> a, Vec<T> b) {
  return {a.raw > b.raw ? a.raw : b.raw};
}

template <class T, int kCount, class Raw>
CK_INLINE T largest_of_halves(Raw raw) {
  if constexpr (kCount == 1) {
    return raw[0];
  } else if constexpr (kCount == 2) {
    return raw[0] > raw[1] ? raw[0] : raw[1];
  } else {
    typedef T Half __attribute__((vector_size(kCount / 2 * sizeof(T))));
    Half half[2];
    __builtin_memcpy(half, &raw, sizeof(raw));
    return largest_of_halves<T, kCount / 2>(half[0] > half[1] ? half[0] : half[1]);
  }
}

// A sum whose chains the caller ends, so that they stay in registers and a sum of one chain touches
// no level.
template <class T>
struct ChainSum {
  Vec<T> chain = Vec<T>::zero();
  LongSum<Vec<T>> chains;

  CK_INLINE void add(Vec<T> v) { chain = chain + v; }
  CK_INLINE void end_chain() {
    chains.add_chain(chain);
    chain = Vec<T>::zero();
  }
  CK_INLINE Vec<T> total() const { return chains.total() + chain; }
};

// Positions along the lanes, classes `stride` apart. exps may be z, or null.
template <class T, bool kSmooth>
void stats_of_columns(const T* z, int64_t stride, int64_t classes, int64_t count, Stats<T>* stats,
                      T* exps, int64_t exps_stride) {
  for (int64_t i = 0; i < count; i += kLanes<T>) {
    const int64_t left = count - i;
    Vec<T> largest = Vec<T>::broadcast(T(-__builtin_inf()));
    for (int64_t c = 0; c < classes; ++c)
      largest = larger_number(Vec<T>::load_first(z + c * stride + i, left), largest);
    ChainSum<T> sum, shifted;
    for (int64_t first = 0; first < classes; first += kChain) {
      if (first > 0) sum.end_chain(), shifted.end_chain();
      for (int64_t c = first; c < min_of(classes, first + kChain); ++c) {
        const Vec<T> s = Vec<T>::load_first(z + c * stride + i, left) - largest;
        const Vec<T> e = exp_of(s);
        sum.add(e);
        if constexpr (kSmooth) shifted.add(s);
        if (exps != nullptr) e.store_first(exps + c * exps_stride + i, left);
      }
    }
    largest.store_first(stats->largest + i, left);
    sum.total().store_first(stats->sum + i, left);
    shifted.total().store_first(stats->shifted + i, left);
  }
}

// One position, its classes along the lanes.
template <class T, bool kSmooth>
void stats_of_row(const T* z, int64_t classes, Stats<T>* stats, int64_t at, T* exps) {
  const int64_t whole = classes / kLanes<T> * kLanes<T>;
  Vec<T> most = Vec<T>::broadcast(T(-__builtin_inf()));
  for (int64_t c = 0; c < whole; c += kLanes<T>) most = larger_number(Vec<T>::load(z + c), most);
  if (whole < classes)
    most = larger_number(Vec<T>::load_over(most, z + whole, first_lanes(classes - whole)), most);
  const T largest = largest_of_halves<T, kLanes<T>>(most.raw);
  const Vec<T> all_largest = Vec<T>::broadcast(largest);

  ChainSum<T> sum, shifted;
  constexpr int64_t kStep = kChain * kLanes<T>;
  for (int64_t first = 0; first < whole; first += kStep) {
    if (first > 0) sum.end_chain(), shifted.end_chain();
    for (int64_t c = first; c < min_of(whole, first + kStep); c += kLanes<T>) {
      const Vec<T> s = Vec<T>::load(z + c) - all_largest;
      const Vec<T> e = exp_of(s);
      sum.add(e);
      if constexpr (kSmooth) shifted.add(s);
      if (exps != nullptr) e.store(exps + c);
    }
  }
  Vec<T> sum_of_classes = sum.total(), sum_of_shifted = shifted.total();
  if (whole < classes) {
    const uint32_t lanes = first_lanes(classes - whole);
    const Vec<T> s = Vec<T>::load_over(all_largest, z + whole, lanes) - all_largest;
    T e[kLanes<T>];
    exp_of(s).store(e);
    const Vec<T> there = Vec<T>::load_masked(e, lanes);
    sum_of_classes = sum_of_classes + there;
    sum_of_shifted = sum_of_shifted + s;  // 0 where there is no class
    if (exps != nullptr) there.store_masked(exps + whole, lanes);
  }
  stats->largest[at] = largest;
  stats->sum[at] = sum_of_lanes(sum_of_classes);
  stats->shifted[at] = sum_of_lanes(sum_of_shifted);
}

// (exp(s) / sum - wanted) * grad, of numbers or vectors.
template <class V>
CK_INLINE V gradient_of(V exps, V inverse, V wanted, V grad) {
  return (exps * inverse - wanted) * grad;
}

// Positions of one block: a run of pixels of an image, or rows.
template <class T>
struct Block {
  const T* z;
  int64_t class_stride, position_stride, count;
  const int64_t* target;
  T* out;  // losses, or the gradient where z is
};

template <class T>
struct Worker {
  const CrossEntropyProblem* p;
  Direction direction;
  const T* grad;  // of the losses, each or all
  T scale;        // 1, or of a mean 1 / count
  T* transposed;  // (classes, kBlock), or null

  bool ignored(int64_t target) const { return target == p->ignore_index; }
  bool smooth() const { return p->label_smoothing != 0; }
  double share() const { return p->label_smoothing / double(p->classes); }
  T wanted() const { return T(share()); }  // of a class that is not the target's
  T wanted_of_target() const { return T(1 - p->label_smoothing + share()); }
  T kept() const { return T(1 - p->label_smoothing); }
  T grad_at(int64_t position) const {
    return p->reduction == Reduction::kNone ? grad[position] : grad[0] * scale;
  }

  void columns(const T* z, int64_t stride, int64_t count, Stats<T>* stats, T* exps,
               int64_t exps_stride) const {
    if (smooth()) {
      stats_of_columns<T, true>(z, stride, p->classes, count, stats, exps, exps_stride);
    } else {
      stats_of_columns<T, false>(z, stride, p->classes, count, stats, exps, exps_stride);
    }
  }
  void row(const T* z, Stats<T>* stats, int64_t at, T* exps) const {
    if (smooth()) {
      stats_of_row<T, true>(z, p->classes, stats, at, exps);
    } else {
      stats_of_row<T, false>(z, p->classes, stats, at, exps);
    }
  }

  void losses(const Block<T>& b) const {
    Stats<T> stats = {};
    if (b.class_stride > 1) {
      columns(b.z, b.class_stride, b.count, &stats, nullptr, 0);
    } else if (transposed != nullptr) {
      transpose(b.z, p->classes, b.count, p->classes, transposed, kBlock);
      columns(transposed, kBlock, b.count, &stats, nullptr, 0);
    } else {
      for (int64_t i = 0; i < b.count; ++i) row(b.z + i * p->classes, &stats, i, nullptr);
    }
    for (int64_t i = 0; i < b.count; i += kLanes<T>)
      log_of(Vec<T>::load(stats.sum + i)).store(stats.sum + i);
    for (int64_t i = 0; i < b.count; ++i) {
      const int64_t target = b.target[i];
      if (ignored(target)) {
        b.out[i] = T(0);
        continue;
      }
      const T z = b.z[target * b.class_stride + i * b.position_stride];
      T loss = stats.sum[i] - (z - stats.largest[i]);
      if (smooth()) {
        const T even = stats.sum[i] - stats.shifted[i] / T(p->classes);
        loss = kept() * loss + T(p->label_smoothing) * even;
      }
      b.out[i] = loss;
    }
  }

  // `first`: number of the block's first position.
  void gradient(const Block<T>& b, int64_t first) const {
    Stats<T> stats = {};
    if (b.class_stride == 1 && transposed == nullptr) {
      for (int64_t i = 0; i < b.count; ++i)
        gradient_of_row(b.z + i * p->classes, b.target[i], grad_at(first + i),
                        b.out + i * p->classes, &stats);
      return;
    }
    T* exps = b.out;
    int64_t stride = b.class_stride;
    if (b.class_stride > 1) {
      columns(b.z, stride, b.count, &stats, exps, stride);
    } else {
      exps = transposed, stride = kBlock;
      transpose(b.z, p->classes, b.count, p->classes, transposed, kBlock);
      columns(exps, stride, b.count, &stats, exps, stride);
    }
    T inverse[kBlock] = {}, grads[kBlock] = {}, own[kBlock] = {};
    for (int64_t i = 0; i < b.count; ++i) {
      inverse[i] = T(1) / stats.sum[i];
      grads[i] = grad_at(first + i);
      if (!ignored(b.target[i])) own[i] = exps[b.target[i] * stride + i];
    }
    const Vec<T> even = Vec<T>::broadcast(wanted());
    const T wanted_own = wanted_of_target();
    for (int64_t c = 0; c < p->classes; ++c) {
      T* const line = exps + c * stride;
      for (int64_t i = 0; i < b.count; i += kLanes<T>) {
        const int64_t left = b.count - i;
        gradient_of(Vec<T>::load_first(line + i, left), Vec<T>::load(inverse + i), even,
                    Vec<T>::load(grads + i))
            .store_first(line + i, left);
      }
    }
    for (int64_t i = 0; i < b.count; ++i) {
      if (ignored(b.target[i])) {
        for (int64_t c = 0; c < p->classes; ++c) exps[c * stride + i] = T(0);
      } else {
        exps[b.target[i] * stride + i] = gradient_of(own[i], inverse[i], wanted_own, grads[i]);
      }
    }
    if (b.class_stride == 1) transpose(exps, kBlock, p->classes, b.count, b.out, p->classes);
  }

  void gradient_of_row(const T* z, int64_t target, T grad_here, T* out, Stats<T>* stats) const {
    if (ignored(target)) return zero_run(out, p->classes);
    row(z, stats, 0, out);
    const T own = out[target], inverse = T(1) / stats->sum[0];
    const Vec<T> all_inverse = Vec<T>::broadcast(inverse), even = Vec<T>::broadcast(wanted());
    const Vec<T> all_grad = Vec<T>::broadcast(grad_here);
    for (int64_t c = 0; c < p->classes; c += kLanes<T>) {
      const int64_t left = p->classes - c;
      gradient_of(Vec<T>::load_first(out + c, left), all_inverse, even, all_grad)
          .store_first(out + c, left);
    }
    out[target] = gradient_of(own, inverse, wanted_of_target(), grad_here);
  }
};

bool transposes(const CrossEntropyProblem& p) {
  return p.classes_last && p.classes > 1 && p.classes <= kTransposedClasses;
}

// The sum of `count` numbers, which it overwrites.
template <class T>
T sum_in_tree(T* values, int64_t count) {
  if (count == 0) return T(0);
  while (count > 1) {
    const int64_t half = (count + 1) / 2;
    for (int64_t i = 0; i < count - half; ++i) values[i] += values[half + i];
    count = half;
  }
  return values[0];
}

template <class T>
struct Scratch {
  T *losses, *transposed;  // transposed: of all workers

  static Scratch take(Arena& arena, const CrossEntropyProblem& p, Direction direction,
                      int threads) {
    const bool reduces = direction == Direction::kFprop && p.reduction != Reduction::kNone;
    T* const losses = reduces ? arena.take<T>(p.n * p.pixels) : nullptr;
    return {losses, transposes(p) ? arena.take<T>(threads * p.classes * kBlock) : nullptr};
  }
};

int threads_for(const CrossEntropyProblem& p, int threads) {
  return useful_threads(p.n * p.pixels * p.classes * 16, threads);
}

int64_t workspace_bytes(const CrossEntropyProblem& p, Direction direction, int threads) {
  Arena arena(nullptr);
  if (p.dtype == DType::kFloat32) {
    Scratch<float>::take(arena, p, direction, threads_for(p, threads));
  } else {
    Scratch<double>::take(arena, p, direction, threads_for(p, threads));
  }
  return arena.used_bytes();
}

template <class T>
void run_typed(const CrossEntropyProblem& p, Direction direction, const CrossEntropyArrays& arrays,
               const Execution& execution) {
  const bool forward = direction == Direction::kFprop;
  const int threads = threads_for(p, execution.threads);
  Arena arena(execution.workspace);
  const Scratch<T> scratch = Scratch<T>::take(arena, p, direction, threads);
  T* const out = static_cast<T*>(arrays.out);
  T* const losses = p.reduction == Reduction::kNone ? out : scratch.losses;

  const int64_t positions = p.n * p.pixels;
  int64_t counted = 0;
  if (p.reduction == Reduction::kMean) {
    for (int64_t i = 0; i < positions; ++i) counted += arrays.target[i] != p.ignore_index;
  }
  const T scale = p.reduction == Reduction::kMean ? T(1) / T(counted) : T(1);
  // Runs of positions that blocks do not cross: images, or all rows.
  const int64_t run = p.classes_last ? positions : p.pixels;
  const int64_t per_run = ceil_div(run, kBlock);
  const int64_t blocks = run == 0 ? 0 : positions / run * per_run;
  const int64_t at_once = max_of(1, kTaskElements / (kBlock * p.classes));
  run_tasks(ceil_div(blocks, at_once), threads, [&](int64_t task, int64_t worker_number) {
    T* const transposed = scratch.transposed == nullptr
                              ? nullptr
                              : scratch.transposed + worker_number * p.classes * kBlock;
    const Worker<T> worker = {&p, direction, static_cast<const T*>(arrays.grad), scale, transposed};
    for (int64_t i = task * at_once; i < min_of(blocks, (task + 1) * at_once); ++i) {
      const int64_t inside = i % per_run * kBlock, first = i / per_run * run + inside;
      const int64_t at =
          p.classes_last ? first * p.classes : i / per_run * run * p.classes + inside;
      const Block<T> block = {static_cast<const T*>(arrays.logits) + at,
                              p.classes_last ? 1 : p.pixels,
                              p.classes_last ? p.classes : 1,
                              min_of(kBlock, run - inside),
                              arrays.target + first,
                              forward ? losses + first : out + at};
      if (forward) {
        worker.losses(block);
      } else {
        worker.gradient(block, first);
      }
    }
  });
  if (!forward || p.reduction == Reduction::kNone) return;
  const T sum = sum_in_tree(losses, positions);
  out[0] = p.reduction == Reduction::kMean ? sum / T(counted) : sum;
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

}  // namespace CK_ISA
}  // namespace ck
