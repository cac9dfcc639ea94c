// linear.{fprop,dgrad}.stream on the CPU: w is read once, as it lies, and never packed. For few
// rows the layer's time is that of reading w.
//   fprop: an output is the dot product of a row of x and a row of w; lanes run along the features.
//          Chains of kChain products a lane, four vectors side by side; kGroup rows of x share each
//          load of w.
//   dgrad: rows of w times numbers of grad_y are added up, four rows a pass over a segment of
//          kSegment features that stays in the first cache, in chains of kChain rows.
// Both: chain sums are added in order, and their totals every kChain chains to a last sum.
// Choose it for a few rows; many rows want both matrices in cache, which gemm sees to.
#include "cpu/epilogue.h"
#include "cpu/tasks.h"
#include "ops/linear/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

constexpr int64_t kChain = 64;
constexpr int kGroup = 4, kSide = 4;
constexpr int64_t kSegment = 2048;
constexpr int64_t kOutputsPerTask = 16;

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

template <class T, int kRows>
void clear(Vec<T> (&sum)[kRows][kSide]) {
  for (int m = 0; m < kRows; ++m) {
    for (int v = 0; v < kSide; ++v) sum[m][v] = Vec<T>::zero();
  }
}

template <class T, int kRows>
void add(Vec<T> (&total)[kRows][kSide], const Vec<T> (&sum)[kRows][kSide]) {
  for (int m = 0; m < kRows; ++m) {
    for (int v = 0; v < kSide; ++v) total[m][v] = total[m][v] + sum[m][v];
  }
}

// The products of kRows rows of x, `pitch` apart, with one row of w.
template <class T, int kRows>
void dot_rows(const T* x, int64_t pitch, const T* w, int64_t features, T* result) {
  typedef Vec<T> V;
  constexpr int64_t kStep = kSide * kLanes<T>;
  V last[kRows][kSide], total[kRows][kSide], sum[kRows][kSide];
  clear<T>(last);
  for (int64_t carried = 0; carried < features; carried += kChain * kChain * kStep) {
    const int64_t carried_end = smaller(features, carried + kChain * kChain * kStep);
    clear<T>(total);
    for (int64_t chain = carried; chain < carried_end; chain += kChain * kStep) {
      const int64_t chain_end = smaller(carried_end, chain + kChain * kStep);
      clear<T>(sum);
      int64_t c = chain;
      for (; c + kStep <= chain_end; c += kStep) {
        for (int v = 0; v < kSide; ++v) {
          const V weights = V::load(w + c + v * kLanes<T>);
          for (int m = 0; m < kRows; ++m)
            sum[m][v] =
                multiply_add(V::load(x + m * pitch + c + v * kLanes<T>), weights, sum[m][v]);
        }
      }
      for (int v = 0; c < chain_end; c += kLanes<T>, ++v) {
        const V weights = V::load_first(w + c, chain_end - c);
        for (int m = 0; m < kRows; ++m)
          sum[m][v] =
              multiply_add(V::load_first(x + m * pitch + c, chain_end - c), weights, sum[m][v]);
      }
      add<T>(total, sum);
    }
    add<T>(last, total);
  }
  for (int m = 0; m < kRows; ++m)
    result[m] = sum_of_lanes((last[m][0] + last[m][1]) + (last[m][2] + last[m][3]));
}

template <class T>
void dot_group(int rows, const T* x, int64_t pitch, const T* w, int64_t features, T* result) {
  switch (rows) {
    case 1:
      return dot_rows<T, 1>(x, pitch, w, features, result);
    case 2:
      return dot_rows<T, 2>(x, pitch, w, features, result);
    case 3:
      return dot_rows<T, 3>(x, pitch, w, features, result);
    default:
      return dot_rows<T, kGroup>(x, pitch, w, features, result);
  }
}

template <class T>
void forward(const LinearProblem& p, const LinearArrays& arrays, int threads) {
  const T* const x = static_cast<const T*>(arrays.x);
  const T* const w = static_cast<const T*>(arrays.w);
  T* const y = static_cast<T*>(arrays.out);
  const Epilogue<T> epilogue = epilogue_of<T>(p, arrays);
  const int64_t tasks = (p.k + kOutputsPerTask - 1) / kOutputsPerTask;
  run_tasks(tasks, useful_threads(p.n * p.c * p.k, threads), [&](int64_t task, int64_t) {
    const int64_t end = smaller(p.k, (task + 1) * kOutputsPerTask);
    for (int64_t k = task * kOutputsPerTask; k < end; ++k) {
      for (int64_t row = 0; row < p.n; row += kGroup) {
        const int rows = int(smaller(kGroup, p.n - row));
        T sums[kGroup];
        dot_group(rows, x + row * p.c, p.c, w + k * p.c, p.c, sums);
        for (int m = 0; m < rows; ++m) {
          const int64_t at = (row + m) * p.k + k;
          y[at] = epilogue.apply(sums[m], k, at);
        }
      }
    }
  });
}

// sum[i] += number[0] * w[i] + ... over `rows` of at most kSide rows of w, in order.
template <class T>
void add_rows(int64_t rows, const T* number, const T* w, int64_t pitch, int64_t count, T* sum) {
  for (int64_t i = 0; i < count; i += kLanes<T>) {
    Vec<T> at = Vec<T>::load_first(sum + i, count - i);
    if (rows == kSide) {
#pragma GCC unroll 4
      for (int r = 0; r < kSide; ++r)
        at = multiply_add(Vec<T>::broadcast(number[r]),
                          Vec<T>::load_first(w + r * pitch + i, count - i), at);
    } else {
      for (int64_t r = 0; r < rows; ++r)
        at = multiply_add(Vec<T>::broadcast(number[r]),
                          Vec<T>::load_first(w + r * pitch + i, count - i), at);
    }
    at.store_first(sum + i, count - i);
  }
}

template <class T>
void move_sums(T* from, T* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] += from[i], from[i] = T(0);
}

// The sums of a worker: a chain's, its total, the last; of kGroup rows each.
template <class T>
struct Sums {
  T *chain, *total;
};
template <class T>
Sums<T> take_sums(Arena& arena, int threads) {
  Sums<T> sums;
  sums.chain = arena.take<T>(threads * kGroup * kSegment);
  sums.total = arena.take<T>(threads * kGroup * kSegment);
  return sums;
}

template <class T>
void backward(const LinearProblem& p, const LinearArrays& arrays, const Execution& execution) {
  Arena arena(execution.workspace);
  const Sums<T> sums = take_sums<T>(arena, execution.threads);
  const T* const grad_y = static_cast<const T*>(arrays.y);
  const T* const w = static_cast<const T*>(arrays.w);
  T* const grad_x = static_cast<T*>(arrays.out);
  const int64_t segments = (p.c + kSegment - 1) / kSegment;
  const int threads = useful_threads(p.n * p.c * p.k, execution.threads);
  run_tasks(segments, threads, [&](int64_t segment, int64_t worker) {
    const int64_t first = segment * kSegment, count = smaller(kSegment, p.c - first);
    T* const chain = sums.chain + worker * kGroup * kSegment;
    T* const total = sums.total + worker * kGroup * kSegment;
    for (int64_t row = 0; row < p.n; row += kGroup) {
      const int64_t rows = smaller(kGroup, p.n - row);
      T* const out = grad_x + row * p.c + first;
      for (int64_t m = 0; m < rows; ++m) {
        for (int64_t i = 0; i < count; ++i)
          chain[m * kSegment + i] = total[m * kSegment + i] = out[m * p.c + i] = T(0);
      }
      for (int64_t k = 0; k < p.k; k += kChain) {
        const int64_t k_end = smaller(p.k, k + kChain);
        for (int64_t j = k; j < k_end; j += kSide) {
          for (int64_t m = 0; m < rows; ++m)
            add_rows(smaller(kSide, k_end - j), grad_y + (row + m) * p.k + j, w + j * p.c + first,
                     p.c, count, chain + m * kSegment);
        }
        const bool carry = k_end == p.k || k_end % (kChain * kChain) == 0;
        for (int64_t m = 0; m < rows; ++m) {
          move_sums(chain + m * kSegment, total + m * kSegment, count);
          if (carry) move_sums(total + m * kSegment, out + m * p.c, count);
        }
      }
    }
  });
}

Reason supports(const LinearProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const LinearProblem& p, Direction direction, int threads) {
  if (direction == Direction::kFprop) return 0;
  Arena arena(nullptr);
  if (p.dtype == DType::kFloat32) {
    take_sums<float>(arena, threads);
  } else {
    take_sums<double>(arena, threads);
  }
  return arena.used_bytes();
}

template <class T>
void run_typed(const LinearProblem& p, Direction direction, const LinearArrays& arrays,
               const Execution& execution) {
  if (direction == Direction::kFprop) {
    forward<T>(p, arrays, execution.threads);
  } else {
    backward<T>(p, arrays, execution);
  }
}

void run(const LinearProblem& p, Direction direction, const LinearArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace

extern const LinearKernel linear_stream;
const LinearKernel linear_stream = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
