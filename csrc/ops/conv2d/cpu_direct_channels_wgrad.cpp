// conv2d.wgrad.direct, NHWC, depthwise: vectors lie along the channels, every lane has the sums of
// its own filter. Needs: see fits_channels. NCHW with rows of half a vector and less is turned into
// images of one vector of channels, which costs less than such rows.
// A tile is kPixels neighbouring pixels of grad_y: each vector of x serves every one whose window
// holds it. Columns in the padding are multiplied as zeros.
// Order: pixels row by row in runs of at most kBlockTerms, runs in order, batches of runs in order.
#include "cpu/operands.h"
#include "ops/conv2d/cpu_direct_lines.h"

namespace ck {
namespace CK_ISA {
namespace direct {

namespace {

constexpr int kPixels = 7;

// Adds to sum[r * kSide + s], for kRows tap rows, the products of kCount pixels of grad_y with what
// they saw.
template <class T, int kSide, int kStride, int kRows, int kCount, bool kInside>
CK_INLINE void weigh_pixels(const Row<T>* x, int64_t col, const Row<T>& y, int64_t first,
                            Vec<T> (&sum)[kRows * kSide]) {
  Vec<T> grad[kCount];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) grad[i] = y.template pixel<kInside>(first + i);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 32
    for (int j = 0; j < (kCount - 1) * kStride + kSide; ++j) {
      Vec<T> seen = x[r].template pixel<kInside>(col + j);
#pragma GCC unroll 8
      for (int i = 0; i < kCount; ++i) {
        int s = j - i * kStride;
        if (s >= 0 && s < kSide) {
          sum[r * kSide + s] = multiply_add(seen, grad[i], sum[r * kSide + s]);
        }
      }
    }
  }
}

// One run: pixels [first, last) of rows [row, row_end) of an image of grad_y, tap rows r and on.
template <class T, int kSide, int kStride, int kRows>
void weigh_run(const Conv2dProblem& p, const T* x, const T* y, int64_t channel, uint32_t lanes,
               int64_t row, int64_t row_end, int64_t first, int64_t last, int64_t tap, T* sums,
               int64_t pitch) {
  Vec<T> sum[kRows * kSide];
#pragma GCC unroll 16
  for (int t = 0; t < kRows * kSide; ++t) sum[t] = Vec<T>::zero();
  constexpr int kReach = (kPixels - 1) * kStride + kSide;
  for (; row < row_end; ++row) {
    Row<T> grad = {y + row * p.q * p.c + channel, p.q, p.c, lanes}, seen[kRows];
    bool full = lanes == kAllLanes<T>;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      int64_t h = row * p.stride_h - p.pad_top + tap + r;
      bool used = h >= 0 && h < p.h;
      full = full && used;
      seen[r] = {used ? x + h * p.w * p.c + channel : nullptr, used ? p.w : 0, p.c, lanes};
    }
    int64_t i = first;
    for (; i + kPixels <= last; i += kPixels) {
      int64_t col = i * kStride - p.pad_left;
      if (full && col >= 0 && col + kReach <= p.w) {
        weigh_pixels<T, kSide, kStride, kRows, kPixels, true>(seen, col, grad, i, sum);
      } else {
        weigh_pixels<T, kSide, kStride, kRows, kPixels, false>(seen, col, grad, i, sum);
      }
    }
    for (; i < last; ++i) {
      int64_t col = i * kStride - p.pad_left;
      weigh_pixels<T, kSide, kStride, kRows, 1, false>(seen, col, grad, i, sum);
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < kRows * kSide; ++t) {
    T* to = sums + (tap * kSide + t) * pitch;
    (Vec<T>::load(to) + sum[t]).store(to);
  }
}

template <class T>
struct Weighing {
  int64_t run_rows, run_cols, strips, tiles, vectors, pitch;
  Batches batches;
  T* sums;      // [worker][of a batch, of a chain of batches][tap][lane]
  T* partials;  // [batch][tap][channel]
};

template <class T>
Weighing<T> plan_weighing(const Conv2dProblem& p, int threads, Arena& arena) {
  Weighing<T> g = {};
  g.run_cols = p.q <= kBlockTerms ? p.q : kBlockTerms / kPixels * kPixels;
  g.run_rows = clamp(kBlockTerms / g.run_cols, 1, p.p);
  g.strips = ceil_div(p.p, g.run_rows);
  g.tiles = ceil_div(p.q, g.run_cols);
  g.vectors = ceil_div(p.c, kLanes<T>);
  g.pitch = g.vectors * kLanes<T>;
  int64_t partial = p.r * p.s * g.pitch;
  g.batches = batches_of(p.n * g.strips * g.tiles, kBlockTerms, g.vectors,
                         partial * int64_t(sizeof(T)), threads);
  g.sums = arena.take<T>(2 * larger(threads, 1) * p.r * p.s * kLanes<T>);
  g.partials = arena.take<T>(partial * g.batches.kept());
  return g;
}

template <class T>
void run_weighing(const Conv2dProblem& p, const Conv2dArrays& arrays, const Execution& execution) {
  constexpr int64_t W = kLanes<T>;
  Arena arena(execution.workspace);
  Weighing<T> g = plan_weighing<T>(p, execution.threads, arena);
  const T *x = static_cast<const T*>(arrays.x), *y = static_cast<const T*>(arrays.y);
  int64_t taps = p.r * p.s, rows_at_once = p.r == 3 ? 3 : 1;
  auto weigh = p.stride_w == 1 ? (p.r == 3 ? weigh_run<T, 3, 1, 3> : weigh_run<T, 5, 1, 1>)
                               : (p.r == 3 ? weigh_run<T, 3, 2, 3> : weigh_run<T, 5, 2, 1>);
  run_batches(g.batches, g.vectors, execution.threads,
              [&](int64_t unit, int64_t worker, int64_t batch, int64_t batch_end, int64_t kept) {
                int64_t channel = unit * W;
                uint32_t lanes = first_lanes(smaller(W, p.c - channel));
                T *sums = g.sums + 2 * worker * taps * W, *chain = sums + taps * W;
                T* total = g.partials + kept * taps * g.pitch + channel;
                for (int64_t t = 0; t < taps; ++t) Vec<T>::zero().store(total + t * g.pitch);
                clear_sums(chain, taps * W);
                for (; batch < batch_end; ++batch) {
                  clear_sums(sums, taps * W);
                  int64_t end = smaller((batch + 1) * g.batches.runs_each, g.batches.runs);
                  for (int64_t run = batch * g.batches.runs_each; run < end; ++run) {
                    int64_t tile = run % g.tiles, row = run / g.tiles % g.strips * g.run_rows;
                    int64_t image = run / g.tiles / g.strips;
                    for (int64_t tap = 0; tap < p.r; tap += rows_at_once) {
                      weigh(p, x + image * p.h * p.w * p.c, y + image * p.p * p.q * p.c, channel,
                            lanes, row, smaller(row + g.run_rows, p.p), tile * g.run_cols,
                            smaller((tile + 1) * g.run_cols, p.q), tap, sums, W);
                    }
                  }
                  add_batch(g.batches, batch, sums, chain, total, g.pitch, taps, W, W);
                }
              });
  join_batches(g.batches, g.partials, taps * g.pitch);
  T* out = static_cast<T*>(arrays.out);
  for (int64_t c = 0; c < p.c; ++c) {
    for (int64_t t = 0; t < taps; ++t) {
      out[c * taps + (p.flip_kernel ? taps - 1 - t : t)] = g.partials[t * g.pitch + c];
    }
  }
}

constexpr int64_t kPackBytes = int64_t(256) << 10;  // of one vector of channels, for L2

Conv2dProblem pack_of(const Conv2dProblem& p, int lanes) {
  Conv2dProblem pack = p;
  pack.layout = Layout::kNHWC;
  pack.c = pack.k = pack.groups = lanes;
  return pack;
}

template <class T>
struct Packs {
  Conv2dProblem pack;
  T *x, *y;
  char* weighing;

  static Packs take(const Conv2dProblem& p, Arena& arena) {
    Packs g = {};
    g.pack = pack_of(p, kLanes<T>);
    g.x = arena.take<T>(p.n * p.h * p.w * kLanes<T>);
    g.y = arena.take<T>(p.n * p.p * p.q * kLanes<T>);
    Arena inner(nullptr);
    plan_weighing<T>(g.pack, 1, inner);
    g.weighing = arena.take<char>(inner.used_bytes());
    return g;
  }

  // Channels [first, first + kLanes).
  void run(const Conv2dProblem& p, const Conv2dArrays& arrays, int64_t first) const {
    turn(static_cast<const T*>(arrays.x), p, p.h * p.w, first, x);
    turn(static_cast<const T*>(arrays.y), p, p.p * p.q, first, y);
    Conv2dArrays inner = {};
    inner.x = x;
    inner.y = y;
    inner.out = static_cast<T*>(arrays.out) + first * p.r * p.s;
    Execution alone = {};
    alone.threads = 1;
    alone.workspace = weighing;
    run_weighing<T>(pack, inner, alone);
  }

  static void turn(const T* from, const Conv2dProblem& p, int64_t pixels, int64_t first, T* to) {
    for (int64_t n = 0; n < p.n; ++n) {
      CK_ISA::transpose(from + (n * p.c + first) * pixels, pixels, int64_t(kLanes<T>), pixels,
                        to + n * pixels * kLanes<T>, int64_t(kLanes<T>));
    }
  }
};

template <class T>
int64_t pack_bytes(const Conv2dProblem& p) {
  Arena arena(nullptr);
  Packs<T>::take(p, arena);
  return arena.used_bytes();
}

template <class T>
void run_packs(const Conv2dProblem& p, const Conv2dArrays& arrays, const Execution& execution) {
  const int64_t bytes = pack_bytes<T>(p), packs = p.c / kLanes<T>;
  run_tasks(packs, execution.threads, [&](int64_t index, int64_t worker) {
    Arena arena(static_cast<char*>(execution.workspace) + worker * bytes);
    Packs<T>::take(p, arena).run(p, arrays, index * kLanes<T>);
  });
}

}  // namespace

bool fits_packs(const Conv2dProblem& p) {
  const int lanes = p.dtype == DType::kFloat32 ? kLanes<float> : kLanes<double>;
  return p.layout == Layout::kNCHW && p.c % lanes == 0 && p.q * 2 <= lanes &&
         p.n * (p.h * p.w + p.p * p.q) * kVectorBytes <= kPackBytes && p.c_per_group == 1 &&
         p.k_per_group == 1 && fits_channels(pack_of(p, lanes), Direction::kWgrad);
}

int64_t packs_wgrad_workspace_bytes(const Conv2dProblem& p, int threads) {
  return larger(threads, 1) *
         (p.dtype == DType::kFloat32 ? pack_bytes<float>(p) : pack_bytes<double>(p));
}

void run_packs_wgrad(const Conv2dProblem& p, const Conv2dArrays& arrays,
                     const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_packs<float>(p, arrays, execution);
  } else {
    run_packs<double>(p, arrays, execution);
  }
}

int64_t channels_wgrad_workspace_bytes(const Conv2dProblem& p, int threads) {
  Arena arena(nullptr);
  if (p.dtype == DType::kFloat32) {
    plan_weighing<float>(p, threads, arena);
  } else {
    plan_weighing<double>(p, threads, arena);
  }
  return arena.used_bytes();
}

void run_channels_wgrad(const Conv2dProblem& p, const Conv2dArrays& arrays,
                        const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_weighing<float>(p, arrays, execution);
  } else {
    run_weighing<double>(p, arrays, execution);
  }
}

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
