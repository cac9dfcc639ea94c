// lrn.direct, cpu: S = k + alpha * (sum of squares over the window), y = x / S^beta, and the
// gradient. Every window is summed anew: for the usual 5 channels that is 5 loads from L1 and 5
// multiply-adds, less than the roots and the quotient cost, and nothing drifts as it does where
// squares are subtracted again. A window is one line operation on `taps` rows that lie `stride`
// apart:
//   NCHW   pixels along the vectors; the rows are those of neighbouring channels, in strips that
//          keep them in L1.
//   NHWC   channels along the vectors, pixel by pixel; the rows are one copy of the pixel, between
//          zeros, read at shifted places.
// The gradient writes out = grad_y / S^beta and keeps t = out * x / S of the strip, then takes
// 2 alpha beta x * (sum of t over the windows) off, as soon as the terms are there.
// Sums: chains of 64 in order of channels, whose sums are joined in levels (cpu/sums.h). Nothing
// depends on the strips or the threads.
#include "cpu/functions.h"
#include "cpu/operands.h"
#include "cpu/sums.h"
#include "cpu/tasks.h"
#include "ops/lrn/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

// Pixels of a strip: one row of a strip is a few cache lines, a window of them stays in L1.
constexpr int64_t kStrip = 512;
constexpr int64_t kTermBytes = int64_t(256) << 10;  // the gradient's terms stay in L2

Reason supports(const LrnProblem&, Direction) { return accepted(); }

template <class T>
struct Normalizer {
  LrnPower power;
  Vec<T> alpha, k, twice;  // twice: 2 alpha beta
  NegativePower<T> any;

  static Normalizer of(const LrnProblem& p) {
    return {lrn_power(p.beta), Vec<T>::broadcast(T(p.alpha)), Vec<T>::broadcast(T(p.k)),
            Vec<T>::broadcast(T(2 * p.alpha * p.beta)), NegativePower<T>::of(p.beta)};
  }
  CK_INLINE Vec<T> sum(Vec<T> squares) const { return multiply_add(alpha, squares, k); }
  // v / s^beta
  CK_INLINE Vec<T> apply(Vec<T> v, Vec<T> s) const {
    if (power == LrnPower::kAny) return v * power_of(s, any);
    if (power == LrnPower::kOne) return {v.raw / s.raw};
    const Vec<T> root = square_root(s);
    if (power == LrnPower::kHalf) return {v.raw / root.raw};
    return {v.raw / (root * square_root(root)).raw};
  }
};

// Lanes of the sum over rows [first, end), of the rows' squares or of themselves.
template <class T, bool kSquares>
CK_INLINE Vec<T> chain_of_taps(const T* row, int64_t stride, int64_t first, int64_t end,
                               int64_t left) {
  Vec<T> v = Vec<T>::load_first(row + first * stride, left);
  Vec<T> sum = kSquares ? v * v : v;
#pragma GCC unroll 8
  for (int64_t t = first + 1; t < end; ++t) {
    v = Vec<T>::load_first(row + t * stride, left);
    sum = kSquares ? multiply_add(v, v, sum) : sum + v;
  }
  return sum;
}

// Not inlined, as shorter windows would pay for its levels.
template <class T, bool kSquares>
__attribute__((noinline)) Vec<T> long_sum_of_taps(const T* row, int64_t stride, int64_t taps,
                                                  int64_t left) {
  LongSum<Vec<T>> sum;
  for (int64_t first = 0; first < taps; first += kChain) {
    const int64_t end = min_of(taps, first + kChain);
    sum.add_chain(chain_of_taps<T, kSquares>(row, stride, first, end, left));
  }
  return sum.total();
}

template <class T, int kTaps, bool kSquares>
CK_INLINE Vec<T> sum_of_taps(const T* row, int64_t stride, int64_t taps, int64_t left) {
  if constexpr (kTaps > 0) return chain_of_taps<T, kSquares>(row, stride, 0, kTaps, left);
  if (taps > kChain * kSumGroup) return long_sum_of_taps<T, kSquares>(row, stride, taps, left);
  Vec<T> total = chain_of_taps<T, kSquares>(row, stride, 0, min_of(taps, kChain), left);
  for (int64_t first = kChain; first < taps; first += kChain) {
    const int64_t end = min_of(taps, first + kChain);
    total = total + chain_of_taps<T, kSquares>(row, stride, first, end, left);
  }
  return total;
}

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

// Calls body(constant taps) for the windows of AlexNet and the like, body(0) for any.
template <class Body>
CK_INLINE void with_taps(int64_t taps, const Body& body) {
  if (taps == 5) {
    body(Constant<5>());
  } else if (taps == 3) {
    body(Constant<3>());
  } else {
    body(Constant<0>());
  }
}

// A window's rows: the first one, where lane 0 of the line reads, and how many.
template <class T>
struct Rows {
  const T* first;
  int64_t stride, taps;
};

template <class T>
void normalize_line(const Normalizer<T>& f, const Rows<T>& rows, const T* x, T* y, int64_t count) {
  with_taps(rows.taps, [&](auto taps) {
    for (int64_t i = 0; i < count; i += kLanes<T>) {
      const int64_t left = count - i;
      const Vec<T> s = f.sum(sum_of_taps<T, decltype(taps)::value, true>(
          rows.first + i, rows.stride, rows.taps, left));
      f.apply(Vec<T>::load_first(x + i, left), s).store_first(y + i, left);
    }
  });
}

// out = grad_y / S^beta and the term out * x / S.
template <class T>
void terms_line(const Normalizer<T>& f, const Rows<T>& rows, const T* x, const T* grad_y, T* term,
                T* out, int64_t count) {
  with_taps(rows.taps, [&](auto taps) {
    for (int64_t i = 0; i < count; i += kLanes<T>) {
      const int64_t left = count - i;
      const Vec<T> s = f.sum(sum_of_taps<T, decltype(taps)::value, true>(
          rows.first + i, rows.stride, rows.taps, left));
      const Vec<T> scaled = f.apply(Vec<T>::load_first(grad_y + i, left), s);
      const Vec<T> t = {(scaled * Vec<T>::load_first(x + i, left)).raw / s.raw};
      scaled.store_first(out + i, left);
      t.store_first(term + i, left);
    }
  });
}

// out -= 2 alpha beta x * the sum of terms.
template <class T>
void subtract_line(const Normalizer<T>& f, const Rows<T>& rows, const T* x, T* out, int64_t count) {
  with_taps(rows.taps, [&](auto taps) {
    for (int64_t i = 0; i < count; i += kLanes<T>) {
      const int64_t left = count - i;
      const Vec<T> sum = sum_of_taps<T, decltype(taps)::value, false>(rows.first + i, rows.stride,
                                                                      rows.taps, left);
      const Vec<T> share = f.twice * Vec<T>::load_first(x + i, left);
      (Vec<T>::load_first(out + i, left) - share * sum).store_first(out + i, left);
    }
  });
}

struct Arguments {
  const LrnProblem* p;
  Direction direction;
  const LrnArrays* arrays;
  int64_t strip;  // pixels of a task
};

template <class T>
int64_t strip_of(const LrnProblem& p, Direction direction) {
  const int64_t pixels = p.h * p.w;
  if (p.layout == Layout::kNHWC) return min_of(pixels, max_of(1, kStrip * 16 / p.c));
  int64_t strip = kStrip;
  if (direction == Direction::kDgrad) {
    while (strip > 16 && strip * p.c * int64_t(sizeof(T)) > kTermBytes) strip /= 2;
  }
  return min_of(pixels, strip);
}

// Rows of the channels [i - before, i + after] that exist.
template <class T>
Rows<T> channel_rows(const T* channels, int64_t stride, int64_t c, int64_t i, int64_t before,
                     int64_t after) {
  const int64_t first = max_of(0, i - before), last = min_of(c - 1, i + after);
  return {channels + first * stride, stride, last - first + 1};
}

template <class T>
void strip_of_planes(const Normalizer<T>& f, const Arguments& a, int64_t at, int64_t count,
                     T* terms) {
  const LrnProblem& p = *a.p;
  const int64_t plane = p.h * p.w;
  const T* const x = static_cast<const T*>(a.arrays->x) + at;
  T* const out = static_cast<T*>(a.arrays->out) + at;
  const auto squares = [&](int64_t i) { return channel_rows(x, plane, p.c, i, p.before, p.after); };
  if (a.direction == Direction::kFprop) {
    for (int64_t i = 0; i < p.c; ++i)
      normalize_line(f, squares(i), x + i * plane, out + i * plane, count);
    return;
  }
  const T* const y = static_cast<const T*>(a.arrays->y) + at;
  for (int64_t i = 0; i < p.c + p.before; ++i) {
    if (i < p.c) {
      terms_line(f, squares(i), x + i * plane, y + i * plane, terms + i * a.strip, out + i * plane,
                 count);
    }
    const int64_t m = i - p.before;  // the windows that hold it are those up to i
    if (m < 0 || p.beta == 0) continue;
    subtract_line(f, channel_rows<T>(terms, a.strip, p.c, m, p.after, p.before), x + m * plane,
                  out + m * plane, count);
  }
}

// Pixels [first, first + count) of the batch. Scratch: a pixel and its terms, each between as many
// zeros as windows reach over, and a vector more.
template <class T>
void run_of_pixels(const Normalizer<T>& f, const Arguments& a, int64_t first, int64_t count,
                   T* pixel, T* terms) {
  const LrnProblem& p = *a.p;
  const int64_t taps = p.before + p.after + 1, padded = p.c + p.before + p.after;
  zero_run(pixel, padded);
  if (terms != nullptr) zero_run(terms, padded);
  for (int64_t i = first; i < first + count; ++i) {
    const T* const x = static_cast<const T*>(a.arrays->x) + i * p.c;
    T* const out = static_cast<T*>(a.arrays->out) + i * p.c;
    copy_run(x, p.c, pixel + p.before);
    if (a.direction == Direction::kFprop) {
      normalize_line(f, {pixel, 1, taps}, x, out, p.c);
      continue;
    }
    const T* const y = static_cast<const T*>(a.arrays->y) + i * p.c;
    terms_line(f, {pixel, 1, taps}, x, y, terms + p.after, out, p.c);
    if (p.beta != 0) subtract_line<T>(f, {terms, 1, taps}, x, out, p.c);
  }
}

template <class T>
struct Scratch {
  T *pixel, *terms;

  static Scratch take(Arena& arena, const LrnProblem& p, Direction direction) {
    const bool backward = direction == Direction::kDgrad;
    if (p.layout == Layout::kNCHW)
      return {nullptr, backward ? arena.take<T>(p.c * strip_of<T>(p, direction)) : nullptr};
    const int64_t padded = p.c + p.before + p.after;
    T* const pixel = arena.take<T>(padded);
    return {pixel, backward ? arena.take<T>(padded) : nullptr};
  }
};

int threads_for(const LrnProblem& p, int threads) {
  const int64_t taps = min_of(p.before + p.after + 1, 64);
  return useful_threads(p.n * p.c * p.h * p.w * (taps + 16), threads);
}

template <class T>
int64_t typed_workspace_bytes(const LrnProblem& p, Direction direction, int threads) {
  Arena arena(nullptr);
  for (int i = 0; i < threads_for(p, threads); ++i) Scratch<T>::take(arena, p, direction);
  return arena.used_bytes();
}

int64_t workspace_bytes(const LrnProblem& p, Direction direction, int threads) {
  return p.dtype == DType::kFloat32 ? typed_workspace_bytes<float>(p, direction, threads)
                                    : typed_workspace_bytes<double>(p, direction, threads);
}

template <class T>
void run_typed(const LrnProblem& p, Direction direction, const LrnArrays& arrays,
               const Execution& execution) {
  const Normalizer<T> f = Normalizer<T>::of(p);
  const Arguments a = {&p, direction, &arrays, strip_of<T>(p, direction)};
  const int64_t pixels = p.h * p.w, strips = ceil_div(pixels, a.strip);
  const int threads = threads_for(p, execution.threads);
  run_tasks(p.n * strips, threads, [&](int64_t task, int64_t worker) {
    Arena arena(execution.workspace);
    Scratch<T> scratch = Scratch<T>::take(arena, p, direction);
    for (int64_t i = 0; i < worker; ++i) scratch = Scratch<T>::take(arena, p, direction);
    const int64_t image = task / strips, first = task % strips * a.strip;
    const int64_t count = min_of(a.strip, pixels - first);
    if (p.layout == Layout::kNCHW) {
      strip_of_planes<T>(f, a, image * p.c * pixels + first, count, scratch.terms);
    } else {
      run_of_pixels<T>(f, a, image * pixels + first, count, scratch.pixel, scratch.terms);
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

extern const LrnKernel lrn_direct;
const LrnKernel lrn_direct = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
