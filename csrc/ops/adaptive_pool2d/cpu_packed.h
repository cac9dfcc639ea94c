// Small planes of NCHW: as many as a vector has lanes are transposed into an image with that many
// channels, and the result back. That costs less than the short rows of a plane.
#pragma once

#include "ops/adaptive_pool2d/cpu_grid.h"

namespace ck {
namespace CK_ISA {
namespace {

// Worker runs the image; kIndexed: it also gives the places of maxima.
template <class T, class Worker, bool kGradient, bool kIndexed>
class Packed {
 public:
  // Packs add in another order than planes do, and no batch may change the bits: images are judged
  // one by one. A pack, image and result, must stay in L2.
  static bool suits(const Grid& g, int64_t channels) {
    constexpr int64_t kPixels = (int64_t(256) << 10) / kVectorBytes;
    return g.width == 1 && channels * 4 >= kLanes<T> && g.rows * g.columns <= kPixels &&
           g.source_rows * g.source_columns <= kPixels;
  }

  static int64_t units(const Grid& g) { return ceil_div(g.planes, int64_t(kLanes<T>)); }

  static Packed take(Arena& arena, const Grid& g) {
    const int64_t from = g.source_rows * g.source_columns, to = g.rows * g.columns;
    return {Worker::take(arena, pack_of(g)), arena.take<T>(from * kLanes<T>),
            arena.take<T>(to * kLanes<T>), arena.take<int64_t>(kIndexed ? to * kLanes<T> : 0)};
  }

  void run(const Grid& g, const Pool2dArrays& arrays, Span packs) {
    const int64_t from = g.source_rows * g.source_columns, to = g.rows * g.columns;
    Pool2dArrays pack{};
    pack.x = pack.y = source, pack.out = result, pack.indices_out = places;
    for (int64_t i = packs.begin; i < packs.end; ++i) {
      const int64_t first = i * kLanes<T>, count = min_of(kLanes<T>, g.planes - first);
      transpose(static_cast<const T*>(kGradient ? arrays.y : arrays.x) + first * from, from, count,
                from, source, int64_t(kLanes<T>));
      worker.run(pack_of(g), pack, {0, g.rows});
      transpose(result, int64_t(kLanes<T>), to, count, static_cast<T*>(arrays.out) + first * to,
                to);
      if (!kIndexed) continue;
      int64_t* indices = arrays.indices_out + first * to;
      for (int64_t plane = 0; plane < count; ++plane) {
        for (int64_t e = 0; e < to; ++e) *indices++ = places[e * kLanes<T> + plane];
      }
    }
  }

  static Grid pack_of(Grid g) {
    g.planes = 1, g.width = kLanes<T>;
    return g;
  }

  Worker worker;
  T* source;
  T* result;
  int64_t* places;
};

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
