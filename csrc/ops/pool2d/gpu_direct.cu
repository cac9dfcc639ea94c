// pool2d.{fprop,dgrad}.direct, float32 and float64, NCHW and NHWC: maximum and average.
// Needs: images and outputs of fewer than 2^31 elements a plane, coordinates below 2^29.
// Threads: lanes run along a row, over pixels (NCHW) or over groups of 16 bytes of channels, then
// pixels (NHWC, where C and the pointers allow it; else single channels): every access of a warp is
// one run. A thread owns a strip of 4 rows of one column.
// fprop: an input row is reduced along the window once and used by every output row of the strip it
// reaches: 3x3 stride 2 reads 27 pixels for 4 outputs instead of 36, stride 1 18. Neighbouring
// columns share loads through L1. Rows come in order, so the first of equal maxima wins.
// dgrad gathers: the strip's 4 pixels visit the windows that cover any of them, rows then columns,
// and each load of grad_y and index serves all 4. No atomics, no zero fill; an index that is no
// pixel of its window meets no pixel.
// Order: an average adds each row's run, then rows; gradients add windows row by row; all in the
// levels of gpu/sums.cuh. Limit: memory: x + y (+ 8 bytes an index). No shared memory: reuse beyond
// the strip is L1's. ptxas sm_80, 0 spills: f32 max 32-68, average 45-84, dgrad 40-78; f64 36-62,
// 56-90, 54-86. Not run on a GPU.
#include "ops/pool2d/gpu_backward.cuh"
#include "ops/pool2d/gpu_forward.cuh"

namespace ck {
namespace CK_GPU {
namespace {

Reason supports(const Pool2dProblem& p, Direction) {
  const int64_t channels = p.layout == Layout::kNHWC ? p.c : 1;
  const int64_t limit = INT32_MAX / channels;
  if (p.h > limit / p.w || p.p > limit / p.q) {
    return refused("an image or output of %lld x %lld or %lld x %lld pixels, needs under 2**31 %s",
                   (long long)p.h, (long long)p.w, (long long)p.p, (long long)p.q,
                   channels > 1 ? "elements" : "pixels");
  }
  const int64_t reach_h = (p.p + 3) * p.stride_h + p.r * p.dilation_h;
  const int64_t reach_w = p.q * p.stride_w + p.s * p.dilation_w;
  if (reach_h > kPoolCoordinates || reach_w > kPoolCoordinates) {
    return refused("windows reach %lld x %lld padded pixels, needs at most 2**29 each",
                   (long long)reach_h, (long long)reach_w);
  }
  return accepted();
}

int64_t workspace_bytes(const Pool2dProblem&, Direction, int) { return 0; }

template <class T>
const char* kernel_name(Direction direction) {
  const bool single = sizeof(T) == 4;
  if (direction == Direction::kFprop)
    return single ? "pool2d.fprop.direct.f32" : "pool2d.fprop.direct.f64";
  return single ? "pool2d.dgrad.direct.f32" : "pool2d.dgrad.direct.f64";
}

template <class T, int kWidth, bool kIndexed, int kTaps>
void launch_max(const Pool2dProblem& p, const Pool2dArrays& arrays, void* stream) {
  for_each_launch(p, pool_geometry(p, p.p, p.q, kWidth), [&](const PoolGeometry& g, int64_t first) {
    launch<max_pool<T, kWidth, kIndexed, kTaps>>(
        kernel_name<T>(Direction::kFprop), pool_grid(g), dim3(kPoolThreads), 0, stream, g,
        static_cast<const T*>(arrays.x) + first * g.x_plane,
        static_cast<T*>(arrays.out) + first * g.y_plane,
        kIndexed ? arrays.indices_out + first * g.y_plane : nullptr);
  });
}

template <class T, int kWidth, bool kIndexed>
void launch_max(const Pool2dProblem& p, const Pool2dArrays& arrays, void* stream) {
  if (p.s == 2) {
    launch_max<T, kWidth, kIndexed, 2>(p, arrays, stream);
  } else if (p.s == 3) {
    launch_max<T, kWidth, kIndexed, 3>(p, arrays, stream);
  } else {
    launch_max<T, kWidth, kIndexed, 0>(p, arrays, stream);
  }
}

template <class T, int kWidth>
void launch_average(const Pool2dProblem& p, const Pool2dArrays& arrays, void* stream) {
  for_each_launch(p, pool_geometry(p, p.p, p.q, kWidth), [&](const PoolGeometry& g, int64_t first) {
    launch<average_pool<T, kWidth>>(kernel_name<T>(Direction::kFprop), pool_grid(g),
                                    dim3(kPoolThreads), 0, stream, g,
                                    static_cast<const T*>(arrays.x) + first * g.x_plane,
                                    static_cast<T*>(arrays.out) + first * g.y_plane);
  });
}

template <class T, int kWidth, bool kIsMax>
void launch_gradient(const Pool2dProblem& p, const Pool2dArrays& arrays, void* stream) {
  for_each_launch(p, pool_geometry(p, p.h, p.w, kWidth), [&](const PoolGeometry& g, int64_t first) {
    launch<pool_gradient<T, kWidth, kIsMax>>(
        kernel_name<T>(Direction::kDgrad), pool_grid(g), dim3(kPoolThreads), 0, stream, g,
        static_cast<const T*>(arrays.y) + first * g.y_plane,
        kIsMax ? arrays.indices_in + first * g.y_plane : nullptr,
        static_cast<T*>(arrays.out) + first * g.x_plane);
  });
}

template <class T, int kWidth>
void run_width(const Pool2dProblem& p, Direction direction, const Pool2dArrays& arrays,
               void* stream) {
  if (direction == Direction::kDgrad) {
    if (p.is_max) {
      launch_gradient<T, kWidth, true>(p, arrays, stream);
    } else {
      launch_gradient<T, kWidth, false>(p, arrays, stream);
    }
  } else if (!p.is_max) {
    launch_average<T, kWidth>(p, arrays, stream);
  } else if (arrays.indices_out != nullptr) {
    launch_max<T, kWidth, true>(p, arrays, stream);
  } else {
    launch_max<T, kWidth, false>(p, arrays, stream);
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
  if (vectors) {
    run_width<T, kWidth>(p, direction, arrays, stream);
  } else {
    run_width<T, 1>(p, direction, arrays, stream);
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
