// Runs a strict op that adds numbers of one source for each pixel of its result (ops/pool2d/
// strict.h): a vector's lanes are channels, of one pixel (NHWC) or of as many planes (NCHW), so
// each lane makes its sum in the stated order.
#pragma once

#include "core/algorithm.h"
#include "core/strict_terms.h"
#include "cpu/gemm.h"
#include "cpu/strict.h"
#include "cpu/tasks.h"

namespace ck {
namespace CK_ISA {

template <class T>
static CK_INLINE Vec<T> divided(Vec<T> sum, T divisor) {
  return {sum.raw / divisor};
}

template <class T>
struct LaneSource {
  using Number = T;
  using Value = Vec<T>;
  const T* at;             // lane 0, pixel 0; a pixel may be a channel, a lane a pixel
  const int64_t* indices;  // beside it; null where none are asked for
  int64_t pixel_stride, lane_stride, lanes;

  CK_INLINE Vec<T> value(int64_t pixel) const {
    const T* const from = at + pixel * pixel_stride;
    if (lane_stride == 1) return Vec<T>::load_first(from, lanes);
    Vec<T> v = Vec<T>::zero();
    for (int64_t i = 0; i < lanes; ++i) v.raw[i] = from[i * lane_stride];
    return v;
  }
  CK_INLINE Vec<T> share(int64_t pixel, T divisor) const { return divided(value(pixel), divisor); }
  CK_INLINE Vec<T> chosen(int64_t window, int64_t pixel) const {
    Vec<T> v = Vec<T>::zero();
    for (int64_t i = 0; i < lanes; ++i) {
      const int64_t place = window * pixel_stride + i * lane_stride;
      if (indices[place] == pixel) v.raw[i] = at[place];
    }
    return v;
  }
};

template <class T>
static CK_INLINE void store_lanes(Vec<T> v, T* to, int64_t lane_stride, int64_t lanes) {
  if (lane_stride == 1) return v.store_first(to, lanes);
  for (int64_t i = 0; i < lanes; ++i) to[i * lane_stride] = v[int(i)];
}

template <class T, class Op>
static void run_strict_windows(const char*, const StrictPlanes& planes, const Op& op,
                               const void* source, const int64_t* indices, void* result,
                               const Execution& execution) {
  const bool last = planes.channels_last;
  const int64_t images = last ? planes.n : 1, channels = last ? planes.c : planes.n * planes.c;
  const int64_t pixels = planes.rows * planes.columns, groups = ceil_div(channels, kLanes<T>);
  const int64_t pixel_stride = last ? planes.c : 1;
  const int64_t source_lane = last ? 1 : planes.source_pixels, result_lane = last ? 1 : pixels;
  constexpr int64_t kStepsPerPixel = 32;  // multiplications that take as long, about
  const int threads =
      useful_threads(images * channels * pixels * kStepsPerPixel, execution.threads);
  run_tasks(images * groups * planes.rows, threads, [&](int64_t task, int64_t) {
    const int64_t row = task % planes.rows, first = task / planes.rows % groups * kLanes<T>;
    const int64_t image = task / planes.rows / groups;
    const int64_t lanes = min_of(kLanes<T>, channels - first);
    const int64_t begin = image * channels * planes.source_pixels + first * source_lane;
    const LaneSource<T> numbers = {static_cast<const T*>(source) + begin,
                                   indices == nullptr ? nullptr : indices + begin, pixel_stride,
                                   source_lane, lanes};
    T* const to = static_cast<T*>(result) + image * channels * pixels + first * result_lane;
    for (int64_t column = 0; column < planes.columns; ++column) {
      const Vec<T> sum = op.at(row, column, numbers);
      store_lanes(sum, to + (row * planes.columns + column) * pixel_stride, result_lane, lanes);
    }
  });
}

}  // namespace CK_ISA
}  // namespace ck
