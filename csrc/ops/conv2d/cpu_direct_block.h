// The register block of the direct algorithm on planes: filters x vectors of outputs, summed over
// all taps. Each load of the source serves several filters, each broadcast weight several vectors.
#pragma once

#include "ops/conv2d/cpu_direct.h"

namespace ck {
namespace CK_ISA {
namespace direct {

constexpr int kMaxFilters = kManyRegisters ? 8 : 6;
constexpr int kMaxVectors = 8;

static constexpr int max_vectors(int filters) {
  if (kManyRegisters) return filters <= 3 ? 8 : 24 / filters;
  return filters <= 1 ? 8 : filters <= 3 ? 4 : 12 / filters;
}

// The filters of the next block, when `left` are to be done. Every count is a sum of these.
static inline int next_filters(int64_t left) {
  if (left >= 8) return kManyRegisters ? 8 : 4;
  const int blocks[8] = {0, 1, 2, 3, 4, 3, 6, 4};
  return blocks[left];
}

struct Taps {
  int64_t channels, rows, cols;
  int64_t plane, row;         // elements from one channel, one tap row to the next
  const int64_t* col_offset;  // of each tap column
};

// Adds one run of terms: tap lines [line, line_end), counted over channels and tap rows, of each
// the tap columns [s, s_end).
template <class T, int kFilters, int kVectors>
static CK_INLINE void add_run(const Taps& taps, const T* const* x, const T* w, int64_t line,
                              int64_t line_end, int64_t s_begin, int64_t s_end,
                              Vec<T> (&sum)[kFilters][kVectors]) {
  typedef Vec<T> V;
  int64_t r = line % taps.rows, start = line / taps.rows * taps.plane + r * taps.row;
  for (; line < line_end; ++line) {
    const T* weight = w + (line * taps.cols + s_begin) * kFilters;
    for (int64_t s = s_begin; s < s_end; ++s) {
      int64_t at = start + taps.col_offset[s];
      V source[kVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) source[v] = V::load(x[v] + at);
#pragma GCC unroll 8
      for (int k = 0; k < kFilters; ++k) {
        V factor = V::broadcast(weight[k]);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) {
          sum[k][v] = multiply_add(source[v], factor, sum[k][v]);
        }
      }
      weight += kFilters;
    }
    start += taps.row;
    if (++r == taps.rows) {
      r = 0;
      start += taps.plane - taps.rows * taps.row;
    }
  }
}

template <class T, int kFilters, int kVectors>
static CK_INLINE void clear(Vec<T> (&sum)[kFilters][kVectors]) {
#pragma GCC unroll 8
  for (int k = 0; k < kFilters; ++k) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[k][v] = Vec<T>::zero();
  }
}

// x[v] and y[v] are where vector v begins; y_channel is the distance between filters in y. Weights
// come as [channel][row][col][filter].
template <class T, int kFilters, int kVectors>
static void gather_block(const Taps& taps, const T* const* x, const T* w, T* const* y,
                         int64_t y_channel, const int* lanes) {
  typedef Vec<T> V;
  constexpr int W = kLanes<T>;
  int64_t lines = taps.cols ? taps.channels * taps.rows : 0;
  V sum[kFilters][kVectors];
  clear<T>(sum);
  if (lines * taps.cols <= kBlockTerms) {
    if (lines) add_run<T>(taps, x, w, 0, lines, 0, taps.cols, sum);
#pragma GCC unroll 8
    for (int k = 0; k < kFilters; ++k) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[k][v].store_first(y[v] + k * y_channel, lanes[v]);
    }
    return;
  }

  constexpr int kElems = kFilters * kVectors * W;
  T runs[kElems], levels[kSumLevels * kElems];
  int64_t chains = 0;
  int64_t run_lines = larger(kBlockTerms / taps.cols, 1);
  for (int64_t line = 0; line < lines; line += run_lines) {
    for (int64_t s = 0; s < taps.cols; s += kBlockTerms) {
      clear<T>(sum);
      add_run<T>(taps, x, w, line, smaller(line + run_lines, lines), s,
                 smaller(s + kBlockTerms, taps.cols), sum);
#pragma GCC unroll 8
      for (int k = 0; k < kFilters; ++k) {
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) {
          sum[k][v].store(runs + (k * kVectors + v) * W);
        }
      }
      add_to_levels(levels, kElems, kElems, chains++, runs);
    }
  }
  add_levels(levels, kElems, kElems, chains, runs);
  for (int k = 0; k < kFilters; ++k) {
    for (int v = 0; v < kVectors; ++v) {
      V::load(runs + (k * kVectors + v) * W).store_first(y[v] + k * y_channel, lanes[v]);
    }
  }
}

template <class T>
using BlockKernel = void (*)(const Taps&, const T* const*, const T*, T* const*, int64_t,
                             const int*);

template <class T, int kFilters>
static BlockKernel<T> block_kernel_of(int vectors) {
  constexpr int kMost = max_vectors(kFilters);
  switch (vectors) {
    case 1:
      return gather_block<T, kFilters, 1>;
    case 2:
      return gather_block<T, kFilters, 2>;
    case 3:
      return gather_block<T, kFilters, (kMost < 3 ? 1 : 3)>;
    case 4:
      return gather_block<T, kFilters, (kMost < 4 ? 1 : 4)>;
    case 5:
      return gather_block<T, kFilters, (kMost < 5 ? 1 : 5)>;
    case 6:
      return gather_block<T, kFilters, (kMost < 6 ? 1 : 6)>;
    case 7:
      return gather_block<T, kFilters, (kMost < 7 ? 1 : 7)>;
    default:
      return gather_block<T, kFilters, (kMost < 8 ? 1 : 8)>;
  }
}

template <class T>
static BlockKernel<T> block_kernel(int filters, int vectors) {
  switch (filters) {
    case 1:
      return block_kernel_of<T, 1>(vectors);
    case 2:
      return block_kernel_of<T, 2>(vectors);
    case 3:
      return block_kernel_of<T, 3>(vectors);
    case 4:
      return block_kernel_of<T, 4>(vectors);
    case 6:
      return block_kernel_of<T, 6>(vectors);
    default:
      return block_kernel_of<T, kMaxFilters>(vectors);
  }
}

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
