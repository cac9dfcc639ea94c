// pool2d.direct, cpu: maximum (with indices) and average, NCHW and NHWC, and their gradients.
// Which of the ways a problem takes depends on its geometry alone:
//   NHWC                 window by window, channels along the vectors        cpu_windows.h
//   NCHW, small planes   the same: as many planes as a vector has lanes are transposed into an
//                        image with that many channels, and the result back. The transposition
//                        costs less than the edges of short rows.
//   NCHW, one window: its gradient is the same for all pixels
//   NCHW, large planes   row by row, pixels along the vectors                cpu_planes_*.h
//   gradient of a maximum: gradients go where their index points             cpu_scatter.h
//     or pixels compare their number with the indices around them            cpu_match.h
// Work is cut into parts (planes or images, strips of columns, bands of rows), which threads take;
// each worker owns its scratch. No result depends on the cut.
#include "ops/pool2d/cpu_match.h"
#include "ops/pool2d/cpu_planes_backward.h"
#include "ops/pool2d/cpu_planes_forward.h"
#include "ops/pool2d/cpu_scatter.h"
#include "ops/pool2d/cpu_windows.h"

namespace ck {
namespace CK_ISA {
namespace {

// A vector of planes in scratch, image and result, must stay in L2.
constexpr int64_t kPackedBytes = int64_t(256) << 10;

// Averages add in another order here, and no batch may change their bits: their images are judged
// one by one.
template <class T>
bool packs_planes(const Pool2dProblem& p) {
  const int64_t planes = p.is_max ? p.n * p.c : p.c;
  return p.layout == Layout::kNCHW && planes * 4 >= kLanes<T> && p.r * p.s <= 64 &&
         p.h * p.w * kVectorBytes <= kPackedBytes && p.p * p.q * kVectorBytes <= kPackedBytes;
}

Reason supports(const Pool2dProblem&, Direction) { return accepted(); }

// Only the window by window way has places of 64 bits beside float32: planes take it as images of
// one channel.
Pool2dProblem as_run(const Pool2dProblem& problem, Direction direction) {
  Pool2dProblem p = problem;
  if (direction == Direction::kFprop && p.is_max && p.layout == Layout::kNCHW &&
      p.dtype == DType::kFloat32 && needs_wide_places<float>(p)) {
    p.n *= p.c;
    p.c = 1;
    p.layout = Layout::kNHWC;
  }
  return p;
}

// A way to run a problem: how many parts, what a worker needs, and one part's work.
// Worker::take(arena, problem, plan) carves scratch; Worker::run(problem, plan, arrays, part).

struct PartsPlan {
  int64_t units, bands, band, parts;
};

template <class T, Pooling kPooling>
struct PlanesForwardWay {
  typedef PlanesForwardPlan Plan;
  static Plan plan(const Pool2dProblem& p, int threads) {
    return plan_planes_forward<T>(p, threads);
  }
  static PlanesForwardWay take(Arena& arena, const Pool2dProblem&, const Plan& g) {
    return {PlanesForward<T, kPooling>::take(arena, g)};
  }
  void run(const Pool2dProblem& p, const Plan& g, const Pool2dArrays& arrays, int64_t part) {
    worker.run(p, g, arrays, share_of({0, g.units}, part, g.parts));
  }
  PlanesForward<T, kPooling> worker;
};

// The gradient of an average over all of a plane.
template <class T>
struct SpreadWay {
  typedef PartsPlan Plan;
  static bool suits(const Pool2dProblem& p) {
    return p.layout == Layout::kNCHW && p.p == 1 && p.q == 1 && p.dilation_h == 1 &&
           p.dilation_w == 1 && p.r - p.pad_top >= p.h && p.s - p.pad_left >= p.w;
  }
  static Plan plan(const Pool2dProblem& p, int threads) {
    Plan g = {};
    g.units = p.n * p.c;
    g.parts = parts_for(g.units, threads);
    return g;
  }
  static SpreadWay take(Arena&, const Pool2dProblem&, const Plan&) { return {}; }
  void run(const Pool2dProblem& p, const Plan& g, const Pool2dArrays& arrays, int64_t part) {
    const T area = T(counted_rows(p, 0)) * T(counted_columns(p, 0));
    const int64_t pixels = p.h * p.w;
    const Span planes = share_of({0, g.units}, part, g.parts);
    for (int64_t plane = planes.begin; plane < planes.end; ++plane) {
      spread(static_cast<T*>(arrays.out) + plane * pixels, pixels,
             static_cast<const T*>(arrays.y)[plane] / area);
    }
  }
};

template <class T>
struct PlanesBackwardWay {
  typedef PlanesBackwardPlan Plan;
  static Plan plan(const Pool2dProblem& p, int threads) {
    return plan_planes_backward<T>(p, threads);
  }
  static PlanesBackwardWay take(Arena& arena, const Pool2dProblem& p, const Plan& g) {
    return {PlanesBackward<T>::take(arena, p, g)};
  }
  void run(const Pool2dProblem& p, const Plan& g, const Pool2dArrays& arrays, int64_t part) {
    worker.run(p, g, arrays, share_of({0, g.units}, part, g.parts));
  }
  PlanesBackward<T> worker;
};

// Whole images or planes, each in bands of `rows` rows where there are too few of them.
PartsPlan plan_bands(int64_t images, int64_t rows, int threads) {
  PartsPlan g = {};
  g.band = ceil_div(rows, bands_for(rows, images, threads));
  g.bands = ceil_div(rows, g.band);
  g.units = images * g.bands;
  g.parts = parts_for(g.units, threads);
  return g;
}
Span band_of(const PartsPlan& g, int64_t unit, int64_t rows) {
  const int64_t first = unit % g.bands * g.band;
  return {first, min_of(rows, first + g.band)};
}

template <class T, Pooling kPooling>
struct ImagesForwardWay {
  typedef PartsPlan Plan;
  static Plan plan(const Pool2dProblem& p, int threads) { return plan_bands(p.n, p.p, threads); }
  static ImagesForwardWay take(Arena& arena, const Pool2dProblem& p, const Plan&) {
    return {WindowForward<T, kPooling, int64_t>::take(arena, p)};
  }
  void run(const Pool2dProblem& p, const Plan& g, const Pool2dArrays& arrays, int64_t part) {
    worker.start(p, {p.c, p.c});
    const Span units = share_of({0, g.units}, part, g.parts);
    for (int64_t unit = units.begin; unit < units.end; ++unit) {
      const int64_t image = unit / g.bands;
      const Span band = band_of(g, unit, p.p);
      for (int64_t i = band.begin; i < band.end; ++i) {
        const int64_t at = (image * p.p + i) * p.q * p.c;
        worker.row(static_cast<const T*>(arrays.x) + image * p.h * p.w * p.c, i,
                   static_cast<T*>(arrays.out) + at,
                   kPooling == Pooling::kMaxIndexed ? arrays.indices_out + at : nullptr);
      }
    }
  }
  WindowForward<T, kPooling, int64_t> worker;
};

template <class T>
struct ImagesBackwardWay {
  typedef PartsPlan Plan;
  static Plan plan(const Pool2dProblem& p, int threads) { return plan_bands(p.n, p.h, threads); }
  static ImagesBackwardWay take(Arena& arena, const Pool2dProblem& p, const Plan&) {
    return {WindowBackward<T>::take(arena, p, p.c)};
  }
  void run(const Pool2dProblem& p, const Plan& g, const Pool2dArrays& arrays, int64_t part) {
    worker.start(p, {p.c, p.c});
    const Span units = share_of({0, g.units}, part, g.parts);
    for (int64_t unit = units.begin; unit < units.end; ++unit) {
      const int64_t image = unit / g.bands;
      const Span band = band_of(g, unit, p.h);
      worker.start_image(static_cast<const T*>(arrays.y) + image * p.p * p.q * p.c);
      for (int64_t h = band.begin; h < band.end; ++h) {
        worker.row(h, static_cast<T*>(arrays.out) + (image * p.h + h) * p.w * p.c);
      }
    }
  }
  WindowBackward<T> worker;
};

template <class T>
PartsPlan plan_packs(const Pool2dProblem& p, int threads) {
  PartsPlan g = {};
  g.units = ceil_div(p.n * p.c, kLanes<T>);
  g.parts = parts_for(g.units, threads);
  return g;
}

template <class T, Pooling kPooling>
struct PacksForwardWay {
  typedef PartsPlan Plan;
  static Plan plan(const Pool2dProblem& p, int threads) { return plan_packs<T>(p, threads); }
  static PacksForwardWay take(Arena& arena, const Pool2dProblem& p, const Plan&) {
    const bool indexed = kPooling == Pooling::kMaxIndexed;
    return {WindowForward<T, kPooling, Place<T>>::take(arena, p),
            arena.take<T>(p.h * p.w * kLanes<T>), arena.take<T>(p.p * p.q * kLanes<T>),
            arena.take<Place<T>>(indexed ? p.p * p.q * kLanes<T> : 0)};
  }
  void run(const Pool2dProblem& p, const Plan& g, const Pool2dArrays& arrays, int64_t part) {
    const int64_t pixels = p.h * p.w, outputs = p.p * p.q;
    const Span units = share_of({0, g.units}, part, g.parts);
    for (int64_t unit = units.begin; unit < units.end; ++unit) {
      const int64_t first = unit * kLanes<T>, count = min_of(kLanes<T>, p.n * p.c - first);
      transpose(static_cast<const T*>(arrays.x) + first * pixels, pixels, count, pixels, image,
                int64_t(kLanes<T>));
      worker.start(p, {kLanes<T>, count});
      for (int64_t i = 0; i < p.p; ++i) {
        const int64_t at = i * p.q * kLanes<T>;
        worker.row(image, i, result + at, places + at);
      }
      transpose(result, int64_t(kLanes<T>), outputs, count,
                static_cast<T*>(arrays.out) + first * outputs, outputs);
      if constexpr (kPooling == Pooling::kMaxIndexed) store_places(p, arrays, first, count);
    }
  }
  // Through `result`, which is free again: transposition moves bits, whatever they stand for.
  void store_places(const Pool2dProblem& p, const Pool2dArrays& arrays, int64_t first,
                    int64_t count) {
    const int64_t outputs = p.p * p.q;
    transpose(reinterpret_cast<const T*>(places), int64_t(kLanes<T>), outputs, count, result,
              outputs);
    int64_t* const indices = arrays.indices_out + first * outputs;
    for (int64_t i = 0; i < count * outputs; ++i) {
      Place<T> place;
      __builtin_memcpy(&place, result + i, sizeof(place));
      indices[i] = place;
    }
  }
  WindowForward<T, kPooling, Place<T>> worker;
  T* image;
  T* result;
  Place<T>* places;
};

template <class T>
struct PacksBackwardWay {
  typedef PartsPlan Plan;
  static Plan plan(const Pool2dProblem& p, int threads) { return plan_packs<T>(p, threads); }
  static PacksBackwardWay take(Arena& arena, const Pool2dProblem& p, const Plan&) {
    return {WindowBackward<T>::take(arena, p, kLanes<T>), arena.take<T>(p.p * p.q * kLanes<T>),
            arena.take<T>(p.h * p.w * kLanes<T>)};
  }
  void run(const Pool2dProblem& p, const Plan& g, const Pool2dArrays& arrays, int64_t part) {
    const int64_t pixels = p.h * p.w, outputs = p.p * p.q;
    const Span units = share_of({0, g.units}, part, g.parts);
    for (int64_t unit = units.begin; unit < units.end; ++unit) {
      const int64_t first = unit * kLanes<T>, count = min_of(kLanes<T>, p.n * p.c - first);
      transpose(static_cast<const T*>(arrays.y) + first * outputs, outputs, count, outputs, grads,
                int64_t(kLanes<T>));
      worker.start(p, {kLanes<T>, count});
      worker.start_image(grads);
      for (int64_t h = 0; h < p.h; ++h) worker.row(h, image + h * p.w * kLanes<T>);
      transpose(image, int64_t(kLanes<T>), pixels, count,
                static_cast<T*>(arrays.out) + first * pixels, pixels);
    }
  }
  WindowBackward<T> worker;
  T* grads;
  T* image;
};

template <class T, class Worker>
struct MaxBackwardWay {
  struct Plan : PartsPlan {
    int64_t images, joined;
  };
  static Plan plan(const Pool2dProblem& p, int threads) {
    const int64_t images = p.layout == Layout::kNCHW ? p.n * p.c : p.n;
    const int64_t share = max_of(1, threads > 1 ? images / (4 * int64_t(threads)) : images);
    const int64_t joined = min_of(Worker::images_at_once(p), share);
    Plan g = {plan_bands(ceil_div(images, joined), p.h, joined > 1 ? 1 : threads), images, joined};
    g.parts = parts_for(g.units, threads);
    return g;
  }
  static MaxBackwardWay take(Arena& arena, const Pool2dProblem& p, const Plan& g) {
    return {Worker::take(arena, p, g.joined, g.band)};
  }
  void run(const Pool2dProblem& p, const Plan& g, const Pool2dArrays& arrays, int64_t part) {
    worker.start(p, arrays);
    const Span units = share_of({0, g.units}, part, g.parts);
    for (int64_t unit = units.begin; unit < units.end; ++unit) {
      const int64_t first = unit / g.bands * g.joined;
      worker.band({first, min_of(first + g.joined, g.images)}, band_of(g, unit, p.h));
    }
  }
  Worker worker;
};

// Calls action.template go<Way>() with the problem's way.
template <class T, Pooling kPooling, class Action>
auto with_forward_way(const Pool2dProblem& p, const Action& action) {
  if (p.layout == Layout::kNHWC) return action.template go<ImagesForwardWay<T, kPooling>>();
  if (packs_planes<T>(p)) return action.template go<PacksForwardWay<T, kPooling>>();
  return action.template go<PlanesForwardWay<T, kPooling>>();
}

template <class T, class Action>
auto with_max_backward_way(const Pool2dProblem& p, const Action& action) {
  if (MatchSame<T>::supports(p)) return action.template go<MaxBackwardWay<T, MatchSame<T>>>();
  if (MatchPairs<T>::supports(p)) return action.template go<MaxBackwardWay<T, MatchPairs<T>>>();
  return action.template go<MaxBackwardWay<T, MaxBackward<T>>>();
}

template <class T, class Action>
auto with_way(const Pool2dProblem& p, Direction direction, bool indexed, const Action& action) {
  if (direction == Direction::kFprop) {
    if (!p.is_max) return with_forward_way<T, Pooling::kAverage>(p, action);
    if (indexed) return with_forward_way<T, Pooling::kMaxIndexed>(p, action);
    return with_forward_way<T, Pooling::kMax>(p, action);
  }
  if (p.is_max) return with_max_backward_way<T>(p, action);
  if (p.layout == Layout::kNHWC) return action.template go<ImagesBackwardWay<T>>();
  if (SpreadWay<T>::suits(p)) return action.template go<SpreadWay<T>>();
  if (packs_planes<T>(p)) return action.template go<PacksBackwardWay<T>>();
  return action.template go<PlanesBackwardWay<T>>();
}

struct CountBytes {
  const Pool2dProblem& p;
  int threads;

  template <class Way>
  int64_t go() const {
    Arena arena(nullptr);
    Way::take(arena, p, Way::plan(p, threads));
    return arena.used_bytes() * max_of(1, threads);
  }
};

struct RunParts {
  const Pool2dProblem& p;
  const Pool2dArrays& arrays;
  const Execution& execution;

  template <class Way>
  void go() const {
    const typename Way::Plan plan = Way::plan(p, execution.threads);
    Arena counter(nullptr);
    Way::take(counter, p, plan);
    const int64_t bytes = counter.used_bytes();
    run_tasks(plan.parts, execution.threads, [&](int64_t part, int64_t worker) {
      Arena arena(static_cast<char*>(execution.workspace) + worker * bytes);
      Way way = Way::take(arena, p, plan);
      way.run(p, plan, arrays, part);
    });
  }
};

// Indices are counted as wanted: whether they are is known at run time alone.
int64_t workspace_bytes(const Pool2dProblem& problem, Direction direction, int threads) {
  const Pool2dProblem p = as_run(problem, direction);
  const CountBytes count = {p, threads};
  return p.dtype == DType::kFloat32 ? with_way<float>(p, direction, true, count)
                                    : with_way<double>(p, direction, true, count);
}

void run(const Pool2dProblem& problem, Direction direction, const Pool2dArrays& arrays,
         const Execution& execution) {
  const Pool2dProblem p = as_run(problem, direction);
  const RunParts parts = {p, arrays, execution};
  const bool indexed = arrays.indices_out != nullptr;
  if (p.dtype == DType::kFloat32) {
    with_way<float>(p, direction, indexed, parts);
  } else {
    with_way<double>(p, direction, indexed, parts);
  }
}

}  // namespace

extern const Pool2dKernel pool2d_direct;
const Pool2dKernel pool2d_direct = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
