// adaptive_pool2d.{fprop,dgrad}.direct on the CPU: any image and output sides, NCHW and NHWC.
//   average    the rows of a window are added up, whole image rows at a time, pixels (and channels)
//              along the vectors; then, along that row of sums, the columns. Its gradient is the
//              same with image and output exchanged: a pixel adds the windows that hold it, which
//              are a range as the pixels of a window are. Neighbouring rows held by the same
//              windows are copies.
//              Whole planes of NCHW are summed, or filled, as they lie in memory.
//   maximum    NHWC: window by window, channels along the vectors, as pool2d. NCHW: rows first as
//              above, with the row each maximum came from, then columns; the first in row-major
//              order is told by the rows.
//   small planes of NCHW are packed into images whose channels are vectors   cpu_packed.h
//   its gradient: each goes where its index points, if that is in its window, in the order of the
//              windows. Where a pixel may be in more windows than one chain of a sum, it gathers.
// Tasks are runs of rows of the result, or of packs. No result depends on the cut.
#include "ops/adaptive_pool2d/cpu_average.h"
#include "ops/adaptive_pool2d/cpu_max.h"
#include "ops/adaptive_pool2d/cpu_packed.h"

namespace ck {
namespace CK_ISA {
namespace {

constexpr int64_t kStepsPerPixel = 8;  // vector multiplications that take as long, about

// Calls action.go<Worker>() with the worker of the problem.
template <class T, bool kGradient, class Action>
auto with_average(const Grid& g, int64_t channels, const Action& action) {
  typedef PlaneAverage<T, kGradient> Planes;
  if (Planes::suits(g)) return action.template go<Planes>();
  typedef Packed<T, Average<T, kGradient>, kGradient, false> Packs;
  if (Packs::suits(g, channels)) return action.template go<Packs>();
  return action.template go<Average<T, kGradient>>();
}

template <class T, bool kIndexed, class Action>
auto with_max(const Grid& g, int64_t channels, const Action& action) {
  typedef Packed<T, ImageMax<T, kIndexed>, false, kIndexed> Packs;
  if (g.width != 1) return action.template go<ImageMax<T, kIndexed>>();
  if (Packs::suits(g, channels)) return action.template go<Packs>();
  return action.template go<PlaneMax<T>>();
}

template <class T, class Action>
auto with_worker(const AdaptivePool2dProblem& p, Direction direction, bool indexed,
                 const Action& action) {
  const Grid g = grid_of(p, direction);
  if (direction == Direction::kDgrad) {
    if (p.is_max) return action.template go<MaxGradient<T>>();
    return with_average<T, true>(g, p.c, action);
  }
  if (!p.is_max) return with_average<T, false>(g, p.c, action);
  if (indexed) return with_max<T, true>(g, p.c, action);
  return with_max<T, false>(g, p.c, action);
}

struct CountBytes {
  const Grid& grid;

  template <class Worker>
  int64_t go() const {
    Arena arena(nullptr);
    Worker::take(arena, grid);
    return arena.used_bytes();
  }
};

struct RunParts {
  const Grid& grid;
  const Pool2dArrays& arrays;
  const Execution& execution;

  template <class Worker>
  void go() const {
    const int64_t units = Worker::units(grid);
    const int64_t bytes = CountBytes{grid}.go<Worker>();
    const int64_t pixels = grid.rows * grid.columns + grid.source_rows * grid.source_columns;
    const int threads =
        useful_threads(grid.planes * grid.width * pixels * kStepsPerPixel, execution.threads);
    const int64_t parts = parts_for(units, threads);
    run_tasks(parts, threads, [&](int64_t part, int64_t thread) {
      Arena arena(static_cast<char*>(execution.workspace) + thread * bytes);
      Worker::take(arena, grid).run(grid, arrays, share_of({0, units}, part, parts));
    });
  }
};

Reason supports(const AdaptivePool2dProblem& p, Direction direction) {
  // Places within a window are kept as int32 beside float32, so that lanes pair up.
  const int64_t rows = largest_adaptive_range(p.h, p.p), columns = largest_adaptive_range(p.w, p.q);
  const int64_t places = p.layout == Layout::kNCHW ? rows : (rows - 1) * p.w + columns;
  if (direction == Direction::kFprop && p.is_max && p.dtype == DType::kFloat32 &&
      places > INT32_MAX) {
    return refused("a window of %lld x %lld pixels, float32 needs places within it below 2**31",
                   (long long)rows, (long long)columns);
  }
  return accepted();
}

int64_t workspace_bytes(const AdaptivePool2dProblem& p, Direction direction, int threads) {
  const Grid grid = grid_of(p, direction);
  const CountBytes count = {grid};
  const int64_t bytes = p.dtype == DType::kFloat32 ? with_worker<float>(p, direction, true, count)
                                                   : with_worker<double>(p, direction, true, count);
  return bytes * max_of(1, threads);
}

void run(const AdaptivePool2dProblem& p, Direction direction, const Pool2dArrays& arrays,
         const Execution& execution) {
  const Grid grid = grid_of(p, direction);
  const RunParts parts = {grid, arrays, execution};
  const bool indexed = arrays.indices_out != nullptr;
  if (p.dtype == DType::kFloat32) {
    with_worker<float>(p, direction, indexed, parts);
  } else {
    with_worker<double>(p, direction, indexed, parts);
  }
}

}  // namespace

extern const AdaptivePool2dKernel adaptive_pool2d_direct;
const AdaptivePool2dKernel adaptive_pool2d_direct = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
