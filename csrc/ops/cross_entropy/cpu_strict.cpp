// cross_entropy.{fprop,dgrad}.strict on the CPU: a lane is a position, which goes through
// ops/cross_entropy/strict.h class by class. The gradient makes each exponential twice. Losses are
// one sum in the order of positions.
#include "cpu/strict_channels.h"
#include "cpu/strict_windows.h"
#include "ops/cross_entropy/strict.h"

namespace ck {
namespace CK_ISA {

template <class T>
static CK_INLINE Vec<T> larger_of(Vec<T> a, Vec<T> b) {
  return {a.raw > b.raw ? a.raw : b.raw};
}

namespace {

Reason supports(const CrossEntropyProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const CrossEntropyProblem& p, Direction direction, int) {
  const bool reduces = direction == Direction::kFprop && p.reduction != Reduction::kNone;
  return reduces ? p.n * p.pixels * size_of(p.dtype) : 0;
}

// As many positions as a vector has lanes, or fewer.
template <class T>
struct Positions {
  const CrossEntropyProblem& p;
  StrictWeights<T> w;
  LaneSource<T> z;
  const int64_t* target;

  StrictStats<Vec<T>> stats(bool smooth) const {
    return strict_stats(p.classes, smooth, Vec<T>::broadcast(-infinity_of<T>()), z);
  }

  void losses(T* to) const {
    const StrictStats<Vec<T>> made = stats(w.smooth());
    const Vec<T> log_sum = stated_log(made.sum);
    for (int i = 0; i < z.lanes; ++i) {
      if (!w.counts(target[i])) {
        to[i] = w.nothing(target[i]);
        continue;
      }
      const T own = z.at[i * z.lane_stride + target[i] * z.pixel_stride];
      to[i] = w.loss(log_sum[i], own, made.largest[i], made.shifted[i]);
    }
  }

  // grad: of each position's loss.
  void gradient(Vec<T> grad, T* to) const {
    const StrictStats<Vec<T>> made = stats(false);
    const Vec<T> inverse = divided(Vec<T>::broadcast(T(1)), made.sum);
    const Vec<T> even = Vec<T>::broadcast(-w.even);
    for (int64_t c = 0; c < p.classes; ++c) {
      const Vec<T> e = stated_exp(z.value(c) - made.largest);
      store_lanes(fused(e, inverse, even) * grad, to + c * z.pixel_stride, z.lane_stride, z.lanes);
    }
    for (int i = 0; i < z.lanes; ++i) {
      T* const mine = to + i * z.lane_stride;
      if (w.counts(target[i])) {
        const int64_t own = target[i] * z.pixel_stride;
        const T e = stated_exp(z.at[i * z.lane_stride + own] - made.largest[i]);
        mine[own] = w.gradient(e, inverse[i], true, grad[i]);
      } else {
        for (int64_t c = 0; c < p.classes; ++c) mine[c * z.pixel_stride] = w.nothing(target[i]);
      }
    }
  }
};

template <class T>
void run_typed(const CrossEntropyProblem& p, Direction direction, const CrossEntropyArrays& arrays,
               const Execution& execution) {
  const StrictWeights<T> w = StrictWeights<T>::of(p);
  const bool last = p.classes_last, forward = direction == Direction::kFprop;
  const bool is_mean = p.reduction == Reduction::kMean, each = p.reduction == Reduction::kNone;
  const int64_t positions = p.n * p.pixels;
  const int64_t images = last ? 1 : p.n, pixels = last ? positions : p.pixels;
  const int64_t groups = ceil_div(pixels, kLanes<T>);
  const int64_t lane = last ? p.classes : 1, stride = last ? 1 : pixels;
  T* const out = static_cast<T*>(arrays.out);
  T* const losses = each ? out : static_cast<T*>(execution.workspace);
  const T* const grad = static_cast<const T*>(arrays.grad);
  int64_t counted = 0;
  for (int64_t i = 0; is_mean && i < positions; ++i) counted += arrays.target[i] != p.ignore_index;
  const T scale = is_mean ? T(1) / T(counted) : T(1);

  const int threads = useful_threads(positions * p.classes * 64, execution.threads);
  run_tasks(images * groups, threads, [&](int64_t task, int64_t) {
    const int64_t inside = task % groups * kLanes<T>, first = task / groups * pixels + inside;
    const int64_t lanes = min_of(kLanes<T>, pixels - inside);
    const int64_t at = task / groups * pixels * p.classes + inside * lane;
    const LaneSource<T> z = {static_cast<const T*>(arrays.logits) + at, nullptr, stride, lane,
                             lanes};
    const Positions<T> mine = {p, w, z, arrays.target + first};
    if (forward) return mine.losses(losses + first);
    mine.gradient(each ? Vec<T>::load_first(grad + first, lanes)
                       : Vec<T>::broadcast(is_mean ? grad[0] * scale : grad[0]),
                  out + at);
  });
  if (!forward || each) return;
  strict_channel_sums({Layout::kNCHW, 1, 1, positions}, ValueSum<T>{{losses}, nullptr}, out, 1);
  if (is_mean) out[0] = out[0] / T(counted);
}

void run(const CrossEntropyProblem& p, Direction direction, const CrossEntropyArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace

extern const CrossEntropyKernel cross_entropy_strict;
const CrossEntropyKernel cross_entropy_strict = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
