// lrn.{fprop,dgrad}.strict on the CPU: a lane is a pixel, which goes through ops/lrn/strict.h
// channel by channel. The gradient keeps the terms of a vector's pixels.
#include "cpu/strict_windows.h"
#include "ops/lrn/strict.h"

namespace ck {
namespace CK_ISA {
namespace {

Reason supports(const LrnProblem&, Direction) { return accepted(); }

int threads_for(const LrnProblem& p, int threads) {
  const int64_t taps = min_of(p.before + p.after + 1, 64);
  return useful_threads(p.n * p.c * p.h * p.w * (2 * taps + 32), threads);
}

int64_t term_bytes(const LrnProblem& p) { return round_up(p.c * kVectorBytes, 64); }

int64_t workspace_bytes(const LrnProblem& p, Direction direction, int threads) {
  return direction == Direction::kDgrad ? threads_for(p, threads) * term_bytes(p) : 0;
}

template <class T>
void run_typed(const LrnProblem& p, Direction direction, const LrnArrays& arrays,
               const Execution& execution) {
  const auto f = StrictLrn<Vec<T>, T>::of(p, [](T value) { return Vec<T>::broadcast(value); });
  const bool last = p.layout == Layout::kNHWC;
  const int64_t images = last ? 1 : p.n, pixels = (last ? p.n : 1) * p.h * p.w;
  const int64_t groups = ceil_div(pixels, kLanes<T>);
  const int64_t lane = last ? p.c : 1, channel = last ? 1 : pixels;
  run_tasks(images * groups, threads_for(p, execution.threads), [&](int64_t task, int64_t worker) {
    const int64_t first = task % groups * kLanes<T>, lanes = min_of(kLanes<T>, pixels - first);
    const int64_t at = task / groups * p.c * pixels + first * lane;
    const LaneSource<T> x = {static_cast<const T*>(arrays.x) + at, nullptr, channel, lane, lanes};
    T* const out = static_cast<T*>(arrays.out) + at;
    if (direction == Direction::kFprop) {
      for (int64_t i = 0; i < p.c; ++i)
        store_lanes(f.normalized(i, x), out + i * channel, lane, lanes);
      return;
    }
    const LaneSource<T> y = {static_cast<const T*>(arrays.y) + at, nullptr, channel, lane, lanes};
    T* const kept =
        reinterpret_cast<T*>(static_cast<char*>(execution.workspace) + worker * term_bytes(p));
    const LaneSource<T> terms = {kept, nullptr, kLanes<T>, 1, kLanes<T>};
    const LaneSource<T> scaled = {out, nullptr, channel, lane, lanes};
    for (int64_t i = 0; i < p.c; ++i) {
      const auto made = f.first(i, y, x);
      store_lanes(made.scaled, out + i * channel, lane, lanes);
      made.term.store(kept + i * kLanes<T>);
    }
    for (int64_t i = 0; i < p.c; ++i) {
      const Vec<T> result = f.gradient(i, scaled.value(i), x.value(i), terms);
      store_lanes(result, out + i * channel, lane, lanes);
    }
  });
}

void run(const LrnProblem& p, Direction direction, const LrnArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace

extern const LrnKernel lrn_strict;
const LrnKernel lrn_strict = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
