// conv2d.{fprop,dgrad,wgrad}.direct where the filter covers the whole image, LeNet's c5: one output
// pixel per filter, so that image, filter and their gradients are plain rows of the same length.
// Needs: no padding, no flip, and the channels of a group side by side.
// fprop: y = dot products of rows, vectors along the row; lanes, then runs of at most kBlockTerms
// vectors, then sum_of_lanes. dgrad and wgrad: sums of rows, times grad_y; runs of kBlockTerms.
#include "ops/conv2d/cpu_direct.h"

namespace ck {
namespace CK_ISA {
namespace direct {

bool fits_whole(const Conv2dProblem& p) {
  bool covers = p.r == p.h && p.s == p.w && p.p == 1 && p.q == 1 && !p.flip_kernel;
  bool padded = p.pad_top || p.pad_bottom || p.pad_left || p.pad_right;
  bool dilated = (p.r > 1 && p.dilation_h > 1) || (p.s > 1 && p.dilation_w > 1);
  return covers && !padded && !dilated && (p.layout == Layout::kNCHW || p.groups == 1);
}

namespace {

constexpr int kFilters = 8;             // dot products at a time
constexpr int kRows = 2, kVectors = 4;  // of a block of sums
constexpr int64_t kTaskVectors = 16;    // of sums per task, a whole number of blocks

template <class T, int kCount>
void dot_block(const T* x, const T* w, int64_t length, T* y) {
  constexpr int64_t W = kLanes<T>;
  Vec<T> levels[kSumLevels * kCount];
  int64_t chains = 0;
  for (int64_t begin = 0; begin < length; begin += kBlockTerms * W) {
    int64_t end = smaller(begin + kBlockTerms * W, length), i = begin;
    Vec<T> sum[kCount];
#pragma GCC unroll 8
    for (int k = 0; k < kCount; ++k) sum[k] = Vec<T>::zero();
    for (; i + W <= end; i += W) {
      Vec<T> source = Vec<T>::load(x + i);
#pragma GCC unroll 8
      for (int k = 0; k < kCount; ++k) {
        sum[k] = multiply_add(source, Vec<T>::load(w + k * length + i), sum[k]);
      }
    }
    if (i < end) {
      uint32_t lanes = first_lanes(end - i);
      Vec<T> source = Vec<T>::load_masked(x + i, lanes);
#pragma GCC unroll 8
      for (int k = 0; k < kCount; ++k) {
        Vec<T> weight = Vec<T>::load_masked(w + k * length + i, lanes);
        sum[k] = multiply_add(source, weight, sum[k]);
      }
    }
    add_to_levels(levels, kCount, kCount, chains++, sum);
  }
  Vec<T> total[kCount];
  add_levels(levels, kCount, kCount, chains, total);
#pragma GCC unroll 8
  for (int k = 0; k < kCount; ++k) y[k] = sum_of_lanes(total[k]);
}

// out[i * out_row + j] = sum over n of factor[n * factor_step + i] * row[n * row_step + j].
template <class T>
struct RowSum {
  int64_t terms;
  const T *factor, *row;
  int64_t factor_step, row_step, out_row;
};

template <class T, int kCount>
void sum_block(const RowSum<T>& job, int64_t i, int64_t j, int64_t length, T* out) {
  constexpr int64_t W = kLanes<T>;
  int64_t left = length - j;
  bool whole = left >= kVectors * W;
  uint32_t lanes[kVectors];
  for (int v = 0; v < kVectors; ++v) lanes[v] = first_lanes(clamp(left - v * W, 0, W));
  constexpr int kSums = kCount * kVectors;
  Vec<T> levels[kSumLevels * kSums], total[kSums];
  int64_t chains = 0;
  for (int64_t n = 0; n < job.terms;) {
    int64_t end = smaller(n + kBlockTerms, job.terms);
    Vec<T> sum[kSums];
#pragma GCC unroll 8
    for (int v = 0; v < kSums; ++v) sum[v] = Vec<T>::zero();
    for (; n < end; ++n) {
      Vec<T> row[kVectors];
      const T* from = job.row + n * job.row_step + j;
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        row[v] = whole ? Vec<T>::load(from + v * W) : Vec<T>::load_masked(from + v * W, lanes[v]);
      }
#pragma GCC unroll 8
      for (int k = 0; k < kCount; ++k) {
        Vec<T> factor = Vec<T>::broadcast(job.factor[n * job.factor_step + i + k]);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) {
          sum[k * kVectors + v] = multiply_add(factor, row[v], sum[k * kVectors + v]);
        }
      }
    }
    add_to_levels(levels, kSums, kSums, chains++, sum);
  }
  add_levels(levels, kSums, kSums, chains, total);
  for (int v = 0; v < kSums; ++v) {
    T* to = out + (i + v / kVectors) * job.out_row + j + v % kVectors * W;
    total[v].store_masked(to, lanes[v % kVectors]);
  }
}

// All columns of rows [0, rows), each task some columns.
template <class T>
void sum_rows(const RowSum<T>& job, int64_t rows, int64_t begin, int64_t end, T* out) {
  for (int64_t j = begin; j < end; j += kVectors * kLanes<T>) {
    int64_t i = 0;
    for (; i + kRows <= rows; i += kRows) sum_block<T, kRows>(job, i, j, end, out);
    for (; i < rows; ++i) sum_block<T, 1>(job, i, j, end, out);
  }
}

template <class T>
void run_fprop(const Conv2dProblem& p, const Conv2dArrays& arrays, int threads) {
  int64_t length = p.c_per_group * p.r * p.s, blocks = ceil_div(p.k_per_group, kFilters);
  const T *x = static_cast<const T*>(arrays.x), *w = static_cast<const T*>(arrays.w);
  T* y = static_cast<T*>(arrays.out);
  Epilogue<T> epilogue = epilogue_of<T>(p, arrays);
  run_tasks(p.groups * blocks, threads, [&](int64_t task, int64_t) {
    int64_t group = task / blocks, first = task % blocks * kFilters;
    int64_t k = group * p.k_per_group + first, count = smaller(kFilters, p.k_per_group - first);
    for (int64_t n = 0; n < p.n; ++n) {
      const T* from = x + (n * p.groups + group) * length;
      T* to = y + n * p.k + k;
      if (count == kFilters) {
        dot_block<T, kFilters>(from, w + k * length, length, to);
      } else {
        for (int64_t i = 0; i < count; ++i) {
          dot_block<T, 1>(from, w + (k + i) * length, length, to + i);
        }
      }
      if (epilogue.empty()) continue;
      for (int64_t i = 0; i < count; ++i) to[i] = epilogue.apply(to[i], k + i, n * p.k + k + i);
    }
  });
}

template <class T>
void run_grad(const Conv2dProblem& p, bool dgrad, const Conv2dArrays& arrays, int threads) {
  int64_t length = p.c_per_group * p.r * p.s, cols = kTaskVectors * kLanes<T>;
  int64_t image = p.groups * length, pieces = ceil_div(length, cols);
  const T* other = static_cast<const T*>(dgrad ? arrays.w : arrays.x);
  const T* y = static_cast<const T*>(arrays.y);
  T* out = static_cast<T*>(arrays.out);
  run_tasks(p.groups * pieces, threads, [&](int64_t task, int64_t) {
    int64_t group = task / pieces, first = group * p.k_per_group;
    int64_t begin = task % pieces * cols, end = smaller(begin + cols, length);
    if (!dgrad) {
      RowSum<T> job = {p.n, y + first, other + group * length, p.k, image, length};
      sum_rows(job, p.k_per_group, begin, end, out + first * length);
      return;
    }
    for (int64_t n = 0; n < p.n; ++n) {
      RowSum<T> job = {p.k_per_group, y + n * p.k + first, other + first * length, 1, length,
                       image};
      sum_rows(job, 1, begin, end, out + n * image + group * length);
    }
  });
}

template <class T>
void run_typed(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
               int threads) {
  if (direction == Direction::kFprop) {
    run_fprop<T>(p, arrays, threads);
  } else {
    run_grad<T>(p, direction == Direction::kDgrad, arrays, threads);
  }
}

}  // namespace

void run_whole(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
               const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution.threads);
  } else {
    run_typed<double>(p, direction, arrays, execution.threads);
  }
}

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
