// im2col.gather, cpu: every run of columns that comes from one image row is one copy; the rest of
// the row is zero. Elements are moved as they are, whatever their type. NCHW: for tap (r, s) and
// output row p the run is along q, so stride 1 is memcpy and stride 2 a shuffle. NHWC: for a window
// row the run is along (s, c).
//
// col2im is a gather as well: an image row visits the columns it went to, taps ascending, so rows
// are independent and nothing is scattered. NCHW sums a row by column phase (column modulo stride):
// each tap adds one contiguous run, and padding is simply a part of the sums that is not stored.
// Where padded rows are far longer than the image, NCHW takes its pixels one by one.
// Order of each sum: (r, s) ascending, in the levels of cpu/sums.h.
#include "cpu/rows.h"
#include "cpu/tasks.h"
#include "ops/im2col/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

struct Item16 {
  uint64_t low, high;
};

Reason supports(const Im2colProblem&, Direction) { return accepted(); }

// im2col
// -----------------------------------------------------------------------------------------------

template <class T>
void columns_of_tap(const Im2colProblem& p, const T* x, int64_t r, int64_t s, T* to) {
  const int64_t left = s * p.dilation_w - p.pad_left;
  const TapRange inside = taps_inside(left, p.stride_w, p.q, p.w);
  const int64_t top = r * p.dilation_h - p.pad_top;
  const TapRange rows = taps_inside(top, p.stride_h, p.p, p.h);
  fill(to, rows.lo * p.q, T{});
  fill(to + rows.hi * p.q, (p.p - rows.hi) * p.q, T{});
  if (p.stride_h == 1 && p.stride_w == 1 && p.q == p.w && inside.size() == p.w) {
    move(to + rows.lo * p.q, x + (top + rows.lo) * p.w, rows.size() * p.w);
    return;
  }
  for (int64_t i = rows.lo; i < rows.hi; ++i) {
    T* const row = to + i * p.q;
    fill(row, inside.lo, T{});
    copy_pixels(row + inside.lo, 1,
                x + (top + i * p.stride_h) * p.w + left + inside.lo * p.stride_w, p.stride_w,
                inside.size(), 1);
    fill(row + inside.hi, p.q - inside.hi, T{});
  }
}

template <class T>
void im2col_nchw(const Im2colProblem& p, const T* x, T* cols, int threads) {
  run_tasks(p.n * p.c * p.r, threads, [&](int64_t task, int64_t) {
    const int64_t plane = task / p.r, r = task % p.r;
    for (int64_t s = 0; s < p.s; ++s) {
      columns_of_tap(p, x + plane * p.h * p.w, r, s, cols + (task * p.s + s) * p.p * p.q);
    }
  });
}

template <class T>
void im2col_nhwc(const Im2colProblem& p, const T* x, T* cols, int threads) {
  const int64_t row_elems = p.s * p.c;
  run_tasks(p.n * p.p, threads, [&](int64_t task, int64_t) {
    const T* const image = x + task / p.p * p.h * p.w * p.c;
    const int64_t top = task % p.p * p.stride_h - p.pad_top;
    T* to = cols + task * p.q * p.r * row_elems;
    for (int64_t q = 0; q < p.q; ++q) {
      const int64_t left = q * p.stride_w - p.pad_left;
      const TapRange inside = taps_inside(left, p.dilation_w, p.s, p.w);
      for (int64_t r = 0; r < p.r; ++r, to += row_elems) {
        const int64_t h = top + r * p.dilation_h;
        if (h < 0 || h >= p.h) {
          fill(to, row_elems, T{});
          continue;
        }
        fill(to, inside.lo * p.c, T{});
        copy_pixels(to + inside.lo * p.c, p.c,
                    image + (h * p.w + left + inside.lo * p.dilation_w) * p.c, p.dilation_w * p.c,
                    inside.size(), p.c);
        fill(to + inside.hi * p.c, (p.s - inside.hi) * p.c, T{});
      }
    }
  });
}

// col2im
// -----------------------------------------------------------------------------------------------

// Sums of one image row of NCHW, by phase: padded column j * stride + phase at [phase][j].
struct PhasePlan {
  int64_t phases, elems;
  bool chains;    // more taps than one chain of the sum
  bool by_pixel;  // the sums would be far more than the pixels and windows
};
PhasePlan plan_phases(const Im2colProblem& p) {
  const int64_t reach = (p.s - 1) * p.dilation_w;
  // Both phases of stride 2, even where one stays zero: storing pairs is one shuffle.
  const int64_t phases = p.stride_w == 2 ? 2 : min_of(p.stride_w, reach + 1);
  const int64_t elems = p.q + reach / p.stride_w, most = 4 * (p.q + p.w) + 64;
  return {phases, elems, p.r * p.s > kChain, max_of(phases * elems, p.stride_w) > most};
}

template <class T>
struct Col2imScratch {
  T* sums;
  T* levels;          // of finished chains
  const T** sources;  // NHWC: the columns of one pixel

  static Col2imScratch take(Arena& arena, const Im2colProblem& p) {
    Col2imScratch scratch = {};
    if (p.layout == Layout::kNHWC) {
      scratch.sources = arena.take<const T*>(p.r * p.s);
      return scratch;
    }
    const PhasePlan plan = plan_phases(p);
    if (plan.by_pixel) return scratch;
    scratch.sums = arena.take<T>(plan.phases * plan.elems);
    if (plan.chains) scratch.levels = arena.take<T>(kSumLevels * plan.phases * plan.elems);
    return scratch;
  }
};

template <class T>
void add_row(T* __restrict__ to, const T* __restrict__ from, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] += from[i];
}

template <class T>
void store_phases(const Im2colProblem& p, const PhasePlan& plan, const T* sums, T* row) {
  if (p.stride_w == 2) {
    // Whole pairs, then what is left at either end.
    const int64_t first = p.pad_left % 2 == 0 ? 0 : 1;
    const int64_t j = (p.pad_left + first) / 2;
    const int64_t pairs = max_of(0, min_of((p.w - first) / 2, plan.elems - j));
    interleave_two(row + first, sums + j, sums + plan.elems + j, pairs);
    const auto store_one = [&](int64_t w) {
      const int64_t t = w + p.pad_left;
      row[w] = t / 2 < plan.elems ? sums[t % 2 * plan.elems + t / 2] : T(0);
    };
    if (first == 1) store_one(0);
    for (int64_t w = first + 2 * pairs; w < p.w; ++w) store_one(w);
    return;
  }
  for (int64_t phase = 0; phase < p.stride_w; ++phase) {
    // Column w is padded column w + pad_left; j counts from that of column 0.
    const int64_t column = (phase - p.pad_left % p.stride_w + p.stride_w) % p.stride_w;
    const int64_t j = (column + p.pad_left) / p.stride_w;
    if (column >= p.w) continue;
    const int64_t count = (p.w - 1 - column) / p.stride_w + 1;
    const int64_t summed = phase < plan.phases ? max_of(0, min_of(count, plan.elems - j)) : 0;
    copy_pixels(row + column, p.stride_w, sums + phase * plan.elems + j, 1, summed, 1);
    for (int64_t i = summed; i < count; ++i) row[column + i * p.stride_w] = T(0);
  }
}

// Calls visit(window, tap), taps ascending, for the windows of one axis that cover padded pixel t.
template <class Visit>
CK_INLINE void covering_windows(int64_t t, int64_t stride, int64_t dilation, int64_t taps,
                                int64_t windows, Visit visit) {
  if (dilation > stride) {  // fewer taps than windows
    for (int64_t tap = 0; tap < taps && tap * dilation <= t; ++tap) {
      const int64_t offset = t - tap * dilation;
      if (offset % stride == 0 && offset / stride < windows) visit(offset / stride, tap);
    }
    return;
  }
  for (int64_t i = min_of(windows - 1, t / stride); i >= 0; --i) {
    const int64_t offset = t - i * stride;
    const int64_t tap = dilation == 1 ? offset : offset / dilation;
    if (tap >= taps) return;
    if (tap * dilation == offset) visit(i, tap);
  }
}

template <class T>
T sum_of_pixel(const Im2colProblem& p, const T* columns, int64_t h, int64_t w) {
  LongSum<T> sum;
  covering_windows(h + p.pad_top, p.stride_h, p.dilation_h, p.r, p.p, [&](int64_t i, int64_t r) {
    covering_windows(w + p.pad_left, p.stride_w, p.dilation_w, p.s, p.q, [&](int64_t j, int64_t s) {
      sum.add(columns[((r * p.s + s) * p.p + i) * p.q + j]);
    });
  });
  return sum.total();
}

template <class T>
void col2im_nchw(const Im2colProblem& p, const T* cols, T* x, const Execution& execution) {
  const PhasePlan plan = plan_phases(p);
  const int64_t phase_elems = plan.phases * plan.elems;
  Arena arena(nullptr);
  Col2imScratch<T>::take(arena, p);
  const int64_t worker_bytes = arena.used_bytes();
  // Bands of 8 rows: neighbours read neighbouring output rows.
  const int64_t bands = ceil_div(p.h, 8);
  run_tasks(p.n * p.c * bands, execution.threads, [&](int64_t task, int64_t worker) {
    Arena own(static_cast<char*>(execution.workspace) + worker * worker_bytes);
    const Col2imScratch<T> scratch = Col2imScratch<T>::take(own, p);
    const int64_t plane = task / bands, first = task % bands * 8;
    for (int64_t h = first; h < min_of(p.h, first + 8); ++h) {
      T* const row = x + (plane * p.h + h) * p.w;
      if (plan.by_pixel) {
        const T* const columns = cols + plane * p.r * p.s * p.p * p.q;
        for (int64_t w = 0; w < p.w; ++w) row[w] = sum_of_pixel(p, columns, h, w);
        continue;
      }
      fill(scratch.sums, phase_elems, T(0));
      int64_t chains = 0, terms = 0;
      const auto close_chain = [&] {
        add_to_levels(scratch.levels, phase_elems, phase_elems, chains++, scratch.sums);
        fill(scratch.sums, phase_elems, T(0));
        terms = 0;
      };
      for (int64_t r = 0; r < p.r; ++r) {
        const int64_t offset = h + p.pad_top - r * p.dilation_h;
        if (offset < 0) break;
        if (offset % p.stride_h != 0 || offset / p.stride_h >= p.p) continue;
        for (int64_t s = 0; s < p.s; ++s) {
          const int64_t tap = r * p.s + s;
          if (terms == kChain) close_chain();
          ++terms;
          const int64_t t = s * p.dilation_w;
          add_row(scratch.sums + t % p.stride_w * plan.elems + t / p.stride_w,
                  cols + ((plane * p.r * p.s + tap) * p.p + offset / p.stride_h) * p.q, p.q);
        }
      }
      if (chains > 0) {
        close_chain();
        add_levels(scratch.levels, phase_elems, phase_elems, chains, scratch.sums);
      }
      store_phases(p, plan, scratch.sums, row);
    }
  });
}

// An image row of few channels: whole window rows are added, windows descending, so that taps
// ascend in each pixel.
template <class T>
void col2im_narrow_row(const Im2colProblem& p, const T* image, int64_t h, T* row) {
  const int64_t row_elems = p.s * p.c;
  fill(row, p.w * p.c, T(0));
  covering_windows(h + p.pad_top, p.stride_h, p.dilation_h, p.r, p.p, [&](int64_t i, int64_t r) {
    for (int64_t j = p.q - 1; j >= 0; --j) {
      const int64_t left = j * p.stride_w - p.pad_left;
      const TapRange inside = taps_inside(left, 1, p.s, p.w);
      add_row(row + (left + inside.lo) * p.c,
              image + ((i * p.q + j) * p.r + r) * row_elems + inside.lo * p.c, inside.size() * p.c);
    }
  });
}

template <class T>
void col2im_nhwc(const Im2colProblem& p, const T* cols, T* x, const Execution& execution) {
  Arena arena(nullptr);
  Col2imScratch<T>::take(arena, p);
  const int64_t worker_bytes = arena.used_bytes();
  const int64_t pixel_elems = p.r * p.s * p.c;
  const int64_t most_terms = (p.dilation_h == 1 ? ceil_div(p.r, p.stride_h) : p.r) *
                             ceil_div(p.s, p.stride_w);  // of a pixel, where dilation_w is 1
  const bool narrow = p.c < kLanes<T> && p.dilation_w == 1 && most_terms <= kChain;
  run_tasks(p.n * p.h, execution.threads, [&](int64_t task, int64_t worker) {
    Arena own(static_cast<char*>(execution.workspace) + worker * worker_bytes);
    const Col2imScratch<T> scratch = Col2imScratch<T>::take(own, p);
    const int64_t h = task % p.h;
    const T* const image = cols + task / p.h * p.p * p.q * pixel_elems;
    if (narrow) return col2im_narrow_row(p, image, h, x + task * p.w * p.c);
    for (int64_t w = 0; w < p.w; ++w) {
      int64_t count = 0;
      covering_windows(
          h + p.pad_top, p.stride_h, p.dilation_h, p.r, p.p, [&](int64_t i, int64_t r) {
            covering_windows(w + p.pad_left, p.stride_w, p.dilation_w, p.s, p.q,
                             [&](int64_t j, int64_t t) {
                               scratch.sources[count++] =
                                   image + (i * p.q + j) * pixel_elems + (r * p.s + t) * p.c;
                             });
          });
      sum_of_rows(count, scratch.sources, p.c, x + (task * p.w + w) * p.c);
    }
  });
}

template <class T>
void move_items(const Im2colProblem& p, const Im2colArrays& arrays, int threads) {
  const auto columns = p.layout == Layout::kNCHW ? im2col_nchw<T> : im2col_nhwc<T>;
  columns(p, static_cast<const T*>(arrays.in), static_cast<T*>(arrays.out), threads);
}

template <class T>
void sum_columns(const Im2colProblem& p, const Im2colArrays& arrays, const Execution& execution) {
  const auto sums = p.layout == Layout::kNCHW ? col2im_nchw<T> : col2im_nhwc<T>;
  sums(p, static_cast<const T*>(arrays.in), static_cast<T*>(arrays.out), execution);
}

int64_t workspace_bytes(const Im2colProblem& p, Direction direction, int threads) {
  if (direction == Direction::kFprop) return 0;
  Arena arena(nullptr);
  if (p.dtype == DType::kFloat32) {
    Col2imScratch<float>::take(arena, p);
  } else {
    Col2imScratch<double>::take(arena, p);
  }
  return arena.used_bytes() * max_of(1, threads);
}

void run(const Im2colProblem& p, Direction direction, const Im2colArrays& arrays,
         const Execution& execution) {
  if (direction == Direction::kDgrad) {
    return p.dtype == DType::kFloat32 ? sum_columns<float>(p, arrays, execution)
                                      : sum_columns<double>(p, arrays, execution);
  }
  switch (p.itemsize) {
    case 1:
      return move_items<uint8_t>(p, arrays, execution.threads);
    case 2:
      return move_items<uint16_t>(p, arrays, execution.threads);
    case 4:
      return move_items<float>(p, arrays, execution.threads);
    case 8:
      return move_items<double>(p, arrays, execution.threads);
    default:
      return move_items<Item16>(p, arrays, execution.threads);
  }
}

}  // namespace

extern const Im2colKernel im2col_gather;
const Im2colKernel im2col_gather = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
