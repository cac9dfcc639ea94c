// pool2d.{fprop,dgrad}.direct, float32 and float64, NCHW and NHWC: maximum and average.
// Needs: nothing. Planes of 2^31 elements or more and coordinates from 2^29 on are taken with
// 64-bit coordinates, one element at a time. Threads: lanes run along a row, over pixels (NCHW) or
// over groups of 16 bytes of channels, then pixels (NHWC, where C and the pointers allow it; else
// single channels): every access of a warp is one run. A thread owns a strip of 4 rows of one
// column. fprop: an input row is reduced along the window once and used by every output row of the
// strip it reaches: 3x3 stride 2 reads 27 pixels for 4 outputs instead of 36, stride 1 18.
// Neighbouring columns share loads through L1. Rows come in order, so the first of equal maxima
// wins. dgrad gathers: the strip's 4 pixels visit the windows that cover any of them, rows then
// columns, and each load of grad_y and index serves all 4. No atomics, no zero fill; an index that
// is no pixel of its window meets no pixel. Order: an average adds each row's run, then rows;
// gradients add windows row by row; all in the levels of gpu/sums.cuh. Limit: memory: x + y (+ 8
// bytes an index). No shared memory: reuse beyond the strip is L1's. ptxas sm_80, 0 spills: f32 max
// 37-71, average 52-90, dgrad 40-76; f64 42-63, 64-96, 54-84; 64-bit coordinates 56-72, 90-104,
// 62-76. Not run on a GPU.
#include "ops/pool2d/gpu_backward.cuh"
#include "ops/pool2d/gpu_forward.cuh"

namespace ck {
namespace CK_GPU {
namespace {

Reason supports(const Pool2dProblem&, Direction) { return accepted(); }

bool needs_wide_coordinates(const Pool2dProblem& p) {
  const int64_t limit = INT32_MAX / (p.layout == Layout::kNHWC ? p.c : 1);
  if (p.h > limit / p.w || p.p > limit / p.q) return true;
  const int64_t reach_h = (p.p + 3) * p.stride_h + p.r * p.dilation_h;
  const int64_t reach_w = p.q * p.stride_w + p.s * p.dilation_w;
  return reach_h > kPoolCoordinates || reach_w > kPoolCoordinates;
}

int64_t workspace_bytes(const Pool2dProblem&, Direction, int) { return 0; }

template <class T>
const char* kernel_name(Direction direction) {
  const bool single = sizeof(T) == 4;
  if (direction == Direction::kFprop)
    return single ? "pool2d.fprop.direct.f32" : "pool2d.fprop.direct.f64";
  return single ? "pool2d.dgrad.direct.f32" : "pool2d.dgrad.direct.f64";
}

template <class T, class Index, int kWidth, bool kIndexed, int kTaps>
void launch_max(const Pool2dProblem& p, const Pool2dArrays& arrays, void* stream) {
  const auto all = pool_geometry<Index>(p, p.p, p.q, kWidth);
  for_each_launch(p, all, [&](const PoolGeometry<Index>& g, int64_t first) {
    launch<max_pool<T, Index, kWidth, kIndexed, kTaps>>(
        kernel_name<T>(Direction::kFprop), pool_grid(g), dim3(kPoolThreads), 0, stream, g,
        static_cast<const T*>(arrays.x) + first * g.x_plane,
        static_cast<T*>(arrays.out) + first * g.y_plane,
        kIndexed ? arrays.indices_out + first * g.y_plane : nullptr);
  });
}

template <class T, class Index, int kWidth, bool kIndexed>
void launch_max(const Pool2dProblem& p, const Pool2dArrays& arrays, void* stream) {
  if (sizeof(Index) == 4 && p.s == 2) {
    launch_max<T, int32_t, kWidth, kIndexed, 2>(p, arrays, stream);
  } else if (sizeof(Index) == 4 && p.s == 3) {
    launch_max<T, int32_t, kWidth, kIndexed, 3>(p, arrays, stream);
  } else {
    launch_max<T, Index, kWidth, kIndexed, 0>(p, arrays, stream);
  }
}

template <class T, class Index, int kWidth>
void launch_average(const Pool2dProblem& p, const Pool2dArrays& arrays, void* stream) {
  const auto all = pool_geometry<Index>(p, p.p, p.q, kWidth);
  for_each_launch(p, all, [&](const PoolGeometry<Index>& g, int64_t first) {
    launch<average_pool<T, Index, kWidth>>(kernel_name<T>(Direction::kFprop), pool_grid(g),
                                           dim3(kPoolThreads), 0, stream, g,
                                           static_cast<const T*>(arrays.x) + first * g.x_plane,
                                           static_cast<T*>(arrays.out) + first * g.y_plane);
  });
}

template <class T, class Index, int kWidth, bool kIsMax>
void launch_gradient(const Pool2dProblem& p, const Pool2dArrays& arrays, void* stream) {
  const auto all = pool_geometry<Index>(p, p.h, p.w, kWidth);
  for_each_launch(p, all, [&](const PoolGeometry<Index>& g, int64_t first) {
    launch<pool_gradient<T, Index, kWidth, kIsMax>>(
        kernel_name<T>(Direction::kDgrad), pool_grid(g), dim3(kPoolThreads), 0, stream, g,
        static_cast<const T*>(arrays.y) + first * g.y_plane,
        kIsMax ? arrays.indices_in + first * g.y_plane : nullptr,
        static_cast<T*>(arrays.out) + first * g.x_plane);
  });
}

template <class T, class Index, int kWidth>
void run_width(const Pool2dProblem& p, Direction direction, const Pool2dArrays& arrays,
               void* stream) {
  if (direction == Direction::kDgrad) {
    if (p.is_max) {
      launch_gradient<T, Index, kWidth, true>(p, arrays, stream);
    } else {
      launch_gradient<T, Index, kWidth, false>(p, arrays, stream);
    }
  } else if (!p.is_max) {
    launch_average<T, Index, kWidth>(p, arrays, stream);
  } else if (arrays.indices_out != nullptr) {
    launch_max<T, Index, kWidth, true>(p, arrays, stream);
  } else {
    launch_max<T, Index, kWidth, false>(p, arrays, stream);
  }
}

template <class T>
void run_typed(const Pool2dProblem& p, Direction direction, const Pool2dArrays& arrays,
               void* stream) {
  constexpr int kWidth = kVectorBytes / sizeof(T);
  const bool vectors = p.layout == Layout::kNHWC && p.c % kWidth == 0 &&
                       is_vector_aligned(arrays.x) && is_vector_aligned(arrays.y) &&
                       is_vector_aligned(arrays.indices_in) && is_vector_aligned(arrays.out) &&
                       is_vector_aligned(arrays.indices_out);
  if (needs_wide_coordinates(p)) {
    run_width<T, int64_t, 1>(p, direction, arrays, stream);
  } else if (vectors) {
    run_width<T, int32_t, kWidth>(p, direction, arrays, stream);
  } else {
    run_width<T, int32_t, 1>(p, direction, arrays, stream);
  }
}

void run(const Pool2dProblem& p, Direction direction, const Pool2dArrays& arrays,
         const Execution& execution) {
  if (p.n == 0) return;
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution.stream);
  } else {
    run_typed<double>(p, direction, arrays, execution.stream);
  }
}

}  // namespace

extern const Pool2dKernel pool2d_direct;
const Pool2dKernel pool2d_direct = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
