// Sums over all pixels of a channel: of values, of deviations from the mean, of products.
//
// Terms are added in chains of at most 64 on each lane of a vector, four vectors (NCHW) or four
// groups of channels (NHWC) at a time. The chains of a block are joined, and block sums are added
// in double, in order: to a part first, then the parts of a channel. A part is a task, so that
// batches of few channels have work for all threads; the tree depends on the shape alone.
//
//                 block                                             part
//   NCHW          rows of one plane, or planes of several images    16 blocks of one channel
//   NHWC          64 pixels                                         16 blocks of 512 channels
//
// A block stays in the first or second cache, so it may be read twice: the mean first, then the
// deviations from it. That is what keeps a variance right where the mean is far from zero.
#pragma once

#include <cstdint>

#include "core/types.h"
#include "cpu/gemm.h"
#include "cpu/tasks.h"
#include "cpu/vec.h"

namespace ck {
namespace CK_ISA {

// Multiplications that take as long as reading an element or two from memory.
constexpr int64_t kElementMultiplies = 24;

constexpr int kChannelVecs = 4;
constexpr int64_t kPartBlocks = 16, kPartChannels = 512, kChainTerms = 64;

// How the pixels of a channel are cut.
struct ChannelBlocks {
  bool planar;            // NCHW; images of one pixel are rows of channels whatever the layout
  int64_t n, c, pixels;   // as the problem has them
  int64_t images, run;    // of a block: planar, pixels `run` of `images` planes; else `run` rows
  int64_t runs, blocks;   // in a plane, in a channel
  int64_t parts, groups;  // of blocks, of channels
};

template <class T>
static ChannelBlocks channel_blocks(Layout layout, int64_t n, int64_t c, int64_t pixels) {
  ChannelBlocks b = {
      layout == Layout::kNCHW && pixels > 1, n, c, pixels, 1, kChainTerms, 1, 0, 0, 0};
  if (b.planar) {
    const int64_t steps = ceil_div(pixels, kChannelVecs * kLanes<T>);
    b.images = max_of(1, kChainTerms / steps);
    b.run = min_of(pixels, kChainTerms * kChannelVecs * kLanes<T>);
    b.runs = ceil_div(pixels, b.run);
    b.blocks = ceil_div(n, b.images) * b.runs;
  } else {
    b.blocks = ceil_div(n * pixels, b.run);
  }
  b.parts = ceil_div(b.blocks, kPartBlocks);
  b.groups = b.planar ? c : ceil_div(c, kPartChannels);
  return b;
}

// Calls term(element, vector, lanes, sums) for all elements of some planes' runs; sums of lanes
// are joined into totals[0, kFields).
template <class T>
struct PlaneWalk {
  static constexpr int kVecs = 1, kWidth = 1;
  int64_t first, image_stride, images, run;

  CK_INLINE int64_t count() const { return images * run; }
  CK_INLINE Vec<T> of_channel(const T* values, int) const { return Vec<T>::broadcast(*values); }
  CK_INLINE Vec<T> center_of(const T* values, int) const { return Vec<T>::broadcast(*values); }

  template <class Term>
  CK_INLINE void sum(const Term& term, T* totals) const {
    constexpr int64_t kStep = kLanes<T>;
    Vec<T> sums[kChannelVecs][Term::kFields];
    for (auto& vec : sums) {
      for (Vec<T>& field : vec) field = Vec<T>::zero();
    }
    for (int64_t image = 0, at = first; image < images; ++image, at += image_stride) {
      int64_t i = at;
      const int64_t end = at + run;
      for (; i + kChannelVecs * kStep <= end; i += kChannelVecs * kStep) {
#pragma GCC unroll 4
        for (int v = 0; v < kChannelVecs; ++v) term(i + v * kStep, 0, sums[v]);
      }
#pragma GCC unroll 4
      for (int v = 0; v < kChannelVecs; ++v) {
        if (i + kStep <= end) {
          term(i, 0, sums[v]);
        } else if (i < end) {
          term.some(i, 0, first_lanes(end - i), sums[v]);
        }
        i += kStep;
      }
    }
#pragma GCC unroll 2
    for (int f = 0; f < Term::kFields; ++f)
      totals[f] = sum_of_lanes((sums[0][f] + sums[1][f]) + (sums[2][f] + sums[3][f]));
  }
};

// The same for rows of kCount vectors of channels; with kSome only `lanes` of the last are there.
template <class T, int kCount, bool kSome>
struct RowWalk {
  static constexpr int kVecs = kCount, kWidth = kCount * kLanes<T>;
  int64_t first, stride, rows;
  uint32_t lanes;

  CK_INLINE int64_t count() const { return rows; }
  CK_INLINE Vec<T> of_channel(const T* values, int v) const {
    if constexpr (kSome) return Vec<T>::load_masked(values + v * kLanes<T>, lanes);
    return Vec<T>::load(values + v * kLanes<T>);
  }
  CK_INLINE Vec<T> center_of(const T* values, int v) const {  // of kWidth values
    return Vec<T>::load(values + v * kLanes<T>);
  }

  template <class Term>
  CK_INLINE void sum(const Term& term, T* totals) const {
    Vec<T> sums[kVecs][Term::kFields];
    for (auto& vec : sums) {
      for (Vec<T>& field : vec) field = Vec<T>::zero();
    }
    for (int64_t row = 0, at = first; row < rows; ++row, at += stride) {
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) {
        if constexpr (kSome) {
          term.some(at + v * kLanes<T>, v, lanes, sums[v]);
        } else {
          term(at + v * kLanes<T>, v, sums[v]);
        }
      }
    }
    for (int v = 0; v < kVecs; ++v) {
      for (int f = 0; f < Term::kFields; ++f) sums[v][f].store(totals + f * kWidth + v * kLanes<T>);
    }
  }
};

template <class T>
struct ValueTerm {
  static constexpr int kFields = 1;
  const T* x;

  CK_INLINE void operator()(int64_t at, int, Vec<T>* sums) const {
    sums[0] = sums[0] + Vec<T>::load(x + at);
  }
  CK_INLINE void some(int64_t at, int, uint32_t lanes, Vec<T>* sums) const {
    sums[0] = sums[0] + Vec<T>::load_masked(x + at, lanes);
  }
};

// What is left of a sum over some of a channel's pixels, field by field: double[fields][width].
// Its block() adds the block of a walk over channels from `channel` on to the totals, which hold
// `before` pixels; join() adds the totals of `more` pixels.
template <class T>
struct Sum {
  static constexpr int kFields = 1;
  const T* x;

  template <class Walk>
  void block(const Walk& walk, int64_t, int64_t, double* total, int64_t) const {
    T sums[Walk::kWidth];
    walk.sum(ValueTerm<T>{x}, sums);
    for (int i = 0; i < Walk::kWidth; ++i) total[i] += double(sums[i]);
  }
  static void join(double* total, int64_t, const double* more, int64_t) { total[0] += more[0]; }
};

// Blocks [part * kPartBlocks, ...) of one channel, or of a vector of them.
template <class T, class Reducer>
static void reduce_planes(const ChannelBlocks& b, const Reducer& reducer, int64_t channel,
                          int64_t part, double* totals) {
  double total[Reducer::kFields] = {};
  int64_t before = 0;
  const int64_t last = min_of(b.blocks, (part + 1) * kPartBlocks);
  int64_t block = part * kPartBlocks;
  // Small planes have one block: divisions would take as long as its pixels.
  int64_t image = block == 0 ? 0 : block / b.runs * b.images;
  int64_t pixel = block == 0 ? 0 : block % b.runs * b.run;
  for (; block < last; ++block) {
    const PlaneWalk<T> walk = {(image * b.c + channel) * b.pixels + pixel, b.c * b.pixels,
                               min_of(b.images, b.n - image), min_of(b.run, b.pixels - pixel)};
    reducer.block(walk, channel, before, total, 1);
    before += walk.count();
    pixel += b.run;
    if (pixel >= b.pixels) pixel = 0, image += b.images;
  }
  for (int f = 0; f < Reducer::kFields; ++f) totals[f * b.c + channel] = total[f];
}

template <class T, int kVecs, bool kSome, class Reducer>
static CK_INLINE void reduce_block_of_rows(const ChannelBlocks& b, const Reducer& reducer,
                                           int64_t row, int64_t rows, int64_t channel,
                                           int64_t before, double* totals) {
  const RowWalk<T, kVecs, kSome> walk = {row * b.c + channel, b.c, rows,
                                         kSome ? first_lanes(b.c - channel) : 0};
  if constexpr (kSome) {
    double some[Reducer::kFields * kLanes<T>] = {};
    const int64_t count = b.c - channel;
    for (int f = 0; f < Reducer::kFields; ++f) {
      for (int64_t i = 0; i < count; ++i) some[f * kLanes<T> + i] = totals[f * b.c + channel + i];
    }
    reducer.block(walk, channel, before, some, kLanes<T>);
    for (int f = 0; f < Reducer::kFields; ++f) {
      for (int64_t i = 0; i < count; ++i) totals[f * b.c + channel + i] = some[f * kLanes<T> + i];
    }
  } else {
    reducer.block(walk, channel, before, totals + channel, b.c);
  }
}

template <class T, class Reducer>
static void reduce_rows(const ChannelBlocks& b, const Reducer& reducer, int64_t group, int64_t part,
                        double* totals) {
  const int64_t low = group * kPartChannels, high = min_of(b.c, low + kPartChannels);
  const int64_t all = b.n * b.pixels, first = part * kPartBlocks * b.run;
  const int64_t end = min_of(all, first + kPartBlocks * b.run);
  for (int f = 0; f < Reducer::kFields; ++f) {
    for (int64_t c = low; c < high; ++c) totals[f * b.c + c] = 0;
  }
  for (int64_t row = first; row < end; row += b.run) {
    const int64_t rows = min_of(b.run, end - row), before = row - first;
    int64_t c = low;
    for (; c + kChannelVecs * kLanes<T> <= high; c += kChannelVecs * kLanes<T>)
      reduce_block_of_rows<T, kChannelVecs, false>(b, reducer, row, rows, c, before, totals);
    for (; c + kLanes<T> <= high; c += kLanes<T>)
      reduce_block_of_rows<T, 1, false>(b, reducer, row, rows, c, before, totals);
    if (c < high) reduce_block_of_rows<T, 1, true>(b, reducer, row, rows, c, before, totals);
  }
}

// Pixels of a channel in the blocks of one part.
static inline __attribute__((always_inline)) int64_t pixels_of_part(const ChannelBlocks& b,
                                                                    int64_t part) {
  const int64_t last = min_of(b.blocks, (part + 1) * kPartBlocks);
  if (!b.planar) return min_of(b.n * b.pixels, last * b.run) - part * kPartBlocks * b.run;
  int64_t count = 0;
  for (int64_t block = part * kPartBlocks; block < last; ++block) {
    count += min_of(b.images, b.n - block / b.runs * b.images) *
             min_of(b.run, b.pixels - block % b.runs * b.run);
  }
  return count;
}

static inline __attribute__((always_inline)) int64_t channel_workspace(const ChannelBlocks& b,
                                                                       int fields) {
  return max_of(b.parts, 1) * fields * b.c;
}

// totals[f * c + channel] of all pixels; `totals` holds channel_workspace() doubles. Zeros where
// there are no pixels.
template <class T, class Reducer>
static void reduce_channels(const ChannelBlocks& b, const Reducer& reducer, double* totals,
                            int threads) {
  constexpr int kFields = Reducer::kFields;
  const int64_t size = kFields * b.c;
  if (b.parts == 0) {
    for (int64_t i = 0; i < size; ++i) totals[i] = 0;
    return;
  }
  const int64_t elems = b.n * b.c * b.pixels;
  const int wanted = useful_threads(elems * kElementMultiplies, threads);
  // A task has many small planes, or one part of them.
  const int64_t tasks = b.groups * b.parts;
  const int64_t batch = max_of(1, tasks / max_of(1, elems >> 14));
  run_tasks(ceil_div(tasks, batch), wanted, [&](int64_t task, int64_t) {
    const int64_t end = min_of(tasks, (task + 1) * batch);
    int64_t group = task * batch / b.parts, part = task * batch % b.parts;
    for (int64_t i = task * batch; i < end; ++i, ++part) {
      if (part == b.parts) part = 0, ++group;
      if (b.planar) {
        reduce_planes<T>(b, reducer, group, part, totals + part * size);
      } else {
        reduce_rows<T>(b, reducer, group, part, totals + part * size);
      }
    }
  });
  int64_t before = pixels_of_part(b, 0);
  for (int64_t part = 1; part < b.parts; ++part) {
    const int64_t count = pixels_of_part(b, part);
    for (int64_t c = 0; c < b.c; ++c) {
      double total[kFields], more[kFields];
      for (int f = 0; f < kFields; ++f) {
        total[f] = totals[f * b.c + c];
        more[f] = totals[part * size + f * b.c + c];
      }
      Reducer::join(total, before, more, count);
      for (int f = 0; f < kFields; ++f) totals[f * b.c + c] = total[f];
    }
    before += count;
  }
}

}  // namespace CK_ISA
}  // namespace ck
