// lrn.{fprop,dgrad}.direct, float32 and float64, NCHW and NHWC: y = x / S^beta,
// S = k + alpha * (sum of squares over the window of channels), and the gradient.
// Needs: fewer than 2^31 channels.
//
// fprop NCHW: lanes along pixels, a thread has 4 channels of one pixel in registers: windows of 3
// or 5 take 6 or 8 loads for 4 outputs, any other loads its taps from L1. NHWC: lanes along
// channels, one output a thread; the taps of neighbours are the same lines of L1.
//
// dgrad: a block of 256 threads makes a tile of 32 channels x 32 pixels. It computes the terms
// t = grad_y x S^(-beta - 1) of the tile and of the channels beyond whose windows reach in, once
// each (36 / 32 of them for a window of 5), into shared memory, meets at one barrier, and sums them
// there. t[64][33] and scaled[32][33] take 12,672 bytes (f32) or 25,344 (f64); the 33 keeps lanes
// along channels on different banks. Windows of more than 33 channels write all terms to the
// workspace (n c h w elements) in one launch and sum them in the next.
//
// Order: a window is summed in order of channels; of more than 64 it is chains of 64, whose sums
// are joined in levels (gpu/sums.cuh). No atomics.
// Limit: memory: 2 arrays forward, 3 backward. Loads of NHWC are 4 or 8 bytes a lane, not 16.
// ptxas sm_80: f32 28-40 registers, f64 32-50; no spills but 12 bytes of f32 windows past 64
// channels, whose levels stand on a stack of 8 to 24 bytes. Not run on a GPU.
#include "gpu/activation.cuh"
#include "gpu/sums.cuh"
#include "ops/lrn/problem.h"

namespace ck {
namespace CK_GPU {
namespace {

constexpr int kThreads = 256;
constexpr int kTile = 32, kHalo = 32;
constexpr int kShort = 0, kLong = -1;         // in place of a number of taps: up to kSumBlock, any
constexpr int64_t kItems = int64_t(1) << 30;  // of one launch, unless one pixel has more

struct LrnGeometry {
  int32_t c, pixels, before, after;
  int64_t image, channel, pixel;  // elements to the next one
  bool channels_last;
  // Item number = (image * slow + slow index) * fast + fast index; fast is along the lanes.
  FastDivide by_fast, by_slow;
  uint32_t items;
};

template <class T>
struct Normalizer {
  LrnPower power;
  T alpha, k, twice;  // twice: 2 alpha beta
  NegativePower<T> any;

  // v / s^beta
  __device__ __forceinline__ T apply(T v, T s) const {
    if (power == LrnPower::kAny) return v * stated_power(s, any);
    if (power == LrnPower::kOne) return v / s;
    const T root = sqrt(s);
    return v / (power == LrnPower::kHalf ? root : root * sqrt(root));
  }
};

template <class T>
static Normalizer<T> normalizer_of(const LrnProblem& p) {
  return {lrn_power(p.beta), T(p.alpha), T(p.k), T(2 * p.alpha * p.beta),
          NegativePower<T>::of(p.beta)};
}

// The sum of term(j) over the channels j in [channel - before, channel + after] that exist.
template <class T, int kTaps, class Term>
static __device__ __forceinline__ T sum_of_window(const LrnGeometry& g, int32_t channel,
                                                  int32_t before, int32_t after, const Term& term) {
  const int32_t first = channel - smaller(channel, before),
                last = channel + smaller(g.c - 1 - channel, after);
  if constexpr (kTaps == kShort) {
    T sum = T(0);
    for (int32_t j = first; j <= last; ++j) sum = term(j, sum);
    return sum;
  } else {
    T total[1][1] = {};
    CarriedSums<T, 1, 1> levels;
    int chains = 0;
    for (int32_t left = last - first + 1; left > 0; left -= kSumBlock) {
      T chain = T(0);
      const int32_t start = last - left + 1, count = smaller(left, kSumBlock);
      for (int32_t i = 0; i < count; ++i) chain = term(start + i, chain);
      total[0][0] += chain;
      levels.carry(total, ++chains);
    }
    levels.finish(total, chains);
    return total[0][0];
  }
}

// S of one channel; x is channel 0 of its pixel.
template <class T, int kTaps>
static __device__ __forceinline__ T sum_around(const LrnGeometry& g, const Normalizer<T>& f,
                                               const T* x, int32_t channel) {
  T total = T(0);
  if constexpr (kTaps > 0) {
#pragma unroll
    for (int t = 0; t < kTaps; ++t) {
      const int32_t j = channel + t - kTaps / 2;
      const T v = uint32_t(j) < uint32_t(g.c) ? x[j * g.channel] : T(0);
      total = fma_rn(v, v, total);
    }
  } else {
    total = sum_of_window<T, kTaps>(g, channel, g.before, g.after, [&](int32_t j, T sum) {
      const T v = x[j * g.channel];
      return fma_rn(v, v, sum);
    });
  }
  return fma_rn(f.alpha, total, f.k);
}

template <class T, int kTaps, int kStrip>
__global__ void __launch_bounds__(kThreads)
    normalize(LrnGeometry g, Normalizer<T> f, const T* __restrict__ x, T* __restrict__ y) {
  const uint32_t item = blockIdx.x * kThreads + threadIdx.x;
  if (item >= g.items) return;
  const uint32_t line = g.by_fast.quotient(item), image = g.by_slow.quotient(line);
  const int32_t fast = int32_t(g.by_fast.remainder(item, line));
  const int32_t slow = int32_t(g.by_slow.remainder(line, image));
  const int32_t pixel = kStrip > 1 ? fast : slow;
  const int32_t channel = kStrip > 1 ? slow * kStrip : fast;
  const int64_t at = image * g.image + pixel * g.pixel;
  if constexpr (kTaps > 0 && kStrip > 1) {
    constexpr int kValues = kStrip + kTaps - 1;
    T value[kValues];
#pragma unroll
    for (int i = 0; i < kValues; ++i) {
      const int32_t j = channel + i - kTaps / 2;
      value[i] = uint32_t(j) < uint32_t(g.c) ? x[at + j * g.channel] : T(0);
    }
#pragma unroll
    for (int i = 0; i < kStrip; ++i) {
      T total = T(0);
#pragma unroll
      for (int t = 0; t < kTaps; ++t) total = fma_rn(value[i + t], value[i + t], total);
      if (channel + i < g.c) {
        y[at + (channel + i) * g.channel] =
            f.apply(value[i + kTaps / 2], fma_rn(f.alpha, total, f.k));
      }
    }
  } else {
    const int32_t end = smaller(channel + kStrip, g.c);
    for (int32_t i = channel; i < end; ++i) {
      y[at + i * g.channel] = f.apply(x[at + i * g.channel], sum_around<T, kTaps>(g, f, x + at, i));
    }
  }
}

// Where element e of a tile of `channels` channels and 32 pixels lies: lanes go along memory.
static __device__ __forceinline__ void place_of(const LrnGeometry& g, int32_t e, int32_t channels,
                                                int32_t* channel, int32_t* pixel) {
  *channel = g.channels_last ? e % channels : e / kTile;
  *pixel = g.channels_last ? e / channels : e % kTile;
}

template <class T, int kTaps>
__global__ void __launch_bounds__(kThreads)
    gradient(LrnGeometry g, Normalizer<T> f, const T* __restrict__ x, const T* __restrict__ grad_y,
             T* __restrict__ out) {
  CK_SHARED(T, terms, [kTile + kHalo][kTile + 1]);
  CK_SHARED(T, scaled, [kTile][kTile + 1]);
  const uint32_t tiles = blockIdx.x, line = g.by_fast.quotient(tiles);
  const uint32_t image = g.by_slow.quotient(line);
  const int32_t pixel0 = int32_t(g.by_fast.remainder(tiles, line)) * kTile;
  const int32_t channel0 = int32_t(g.by_slow.remainder(line, image)) * kTile;
  const int64_t base = image * g.image + pixel0 * g.pixel;
  const int32_t around = kTile + g.before + g.after;

  for (int32_t e = threadIdx.x; e < around * kTile; e += kThreads) {
    int32_t row, column;
    place_of(g, e, around, &row, &column);
    const int32_t channel = channel0 + row - g.after;
    T term = T(0);
    if (uint32_t(channel) < uint32_t(g.c) && pixel0 + column < g.pixels) {
      const int64_t pixel = base + column * g.pixel, at = pixel + channel * g.channel;
      const T s = sum_around<T, kTaps>(g, f, x + pixel, channel);
      const T v = f.apply(grad_y[at], s);
      if (uint32_t(row - g.after) < uint32_t(kTile)) scaled[row - g.after][column] = v;
      term = v * x[at] / s;
    }
    terms[row][column] = term;
  }
  __syncthreads();
  const int32_t taps = kTaps > 0 ? kTaps : g.before + g.after + 1;
  for (int32_t e = threadIdx.x; e < kTile * kTile; e += kThreads) {
    int32_t row, column;
    place_of(g, e, kTile, &row, &column);
    const int32_t channel = channel0 + row;
    if (channel >= g.c || pixel0 + column >= g.pixels) continue;
    T sum = T(0);
#pragma unroll(kTaps > 0 ? kTaps : 1)
    for (int32_t t = 0; t < taps; ++t) sum += terms[row + t][column];
    const int64_t at = base + column * g.pixel + channel * g.channel;
    const T v = scaled[row][column];
    out[at] = f.any.b == T(0) ? v : v - f.twice * x[at] * sum;
  }
}

// Wide windows: all terms and out = grad_y / S^beta, then what is to be taken off.
template <class T>
__global__ void __launch_bounds__(kThreads)
    wide_terms(LrnGeometry g, Normalizer<T> f, const T* __restrict__ x,
               const T* __restrict__ grad_y, T* __restrict__ terms, T* __restrict__ out) {
  const uint32_t item = blockIdx.x * kThreads + threadIdx.x;
  if (item >= g.items) return;
  const uint32_t line = g.by_fast.quotient(item), image = g.by_slow.quotient(line);
  const int32_t fast = int32_t(g.by_fast.remainder(item, line));
  const int32_t slow = int32_t(g.by_slow.remainder(line, image));
  const int64_t pixel = image * g.image + (g.channels_last ? slow : fast) * g.pixel;
  const int32_t channel = g.channels_last ? fast : slow;
  const int64_t at = pixel + channel * g.channel;
  const T s = sum_around<T, kLong>(g, f, x + pixel, channel);
  const T v = f.apply(grad_y[at], s);
  terms[at] = v * x[at] / s;
  out[at] = v;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    wide_sums(LrnGeometry g, Normalizer<T> f, const T* __restrict__ x, const T* __restrict__ terms,
              T* __restrict__ out) {
  const uint32_t item = blockIdx.x * kThreads + threadIdx.x;
  if (item >= g.items) return;
  const uint32_t line = g.by_fast.quotient(item), image = g.by_slow.quotient(line);
  const int32_t fast = int32_t(g.by_fast.remainder(item, line));
  const int32_t slow = int32_t(g.by_slow.remainder(line, image));
  const int64_t pixel = image * g.image + (g.channels_last ? slow : fast) * g.pixel;
  const int32_t channel = g.channels_last ? fast : slow;
  const T total = sum_of_window<T, kLong>(g, channel, g.after, g.before, [&](int32_t j, T sum) {
    return sum + terms[pixel + j * g.channel];
  });
  const int64_t at = pixel + channel * g.channel;
  out[at] -= f.twice * x[at] * total;
}

static bool is_wide(const LrnProblem& p) { return p.before + p.after > kHalo; }

Reason supports(const LrnProblem& p, Direction) {
  if (p.c > INT32_MAX) {
    return refused("%lld channels, needs fewer than 2**31", (long long)p.c);
  }
  return accepted();
}

int64_t workspace_bytes(const LrnProblem& p, Direction direction, int) {
  return direction == Direction::kDgrad && is_wide(p) ? p.n * p.c * p.h * p.w * size_of(p.dtype)
                                                      : 0;
}

// Calls body(geometry, first element) for as many pixels and images at a time as 32-bit item
// numbers allow. An item is `channels` channels of `pixels` pixels.
template <class Body>
void for_each_launch(const LrnProblem& p, int64_t channels, int64_t pixels, bool pixels_fast,
                     const Body& body) {
  LrnGeometry g = {};
  g.channels_last = p.layout == Layout::kNHWC;
  g.c = int32_t(p.c);
  g.before = int32_t(p.before), g.after = int32_t(p.after);
  g.image = p.c * p.h * p.w;
  g.channel = g.channels_last ? 1 : p.h * p.w;
  g.pixel = g.channels_last ? p.c : 1;
  const int64_t groups = ceil_div(p.c, channels);
  const int64_t at_once = larger(smaller(kItems / groups, kItems / pixels), int64_t(1)) * pixels;
  for (int64_t pixel = 0; pixel < p.h * p.w; pixel += at_once) {
    g.pixels = int32_t(smaller(at_once, p.h * p.w - pixel));
    const int64_t places = ceil_div(g.pixels, pixels);
    g.by_fast = fast_divide(pixels_fast ? places : groups);
    g.by_slow = fast_divide(pixels_fast ? groups : places);
    const int64_t images = larger(kItems / (groups * places), int64_t(1));
    for (int64_t first = 0; first < p.n; first += images) {
      g.items = uint32_t(smaller(images, p.n - first) * groups * places);
      body(g, first * g.image + pixel * g.pixel);
    }
  }
}

dim3 grid_of(const LrnGeometry& g) { return dim3(unsigned(ceil_div(g.items, kThreads))); }

template <class T, int kTaps, int kStrip>
void launch_forward(const LrnProblem& p, const LrnArrays& arrays, void* stream) {
  for_each_launch(p, kStrip, 1, kStrip > 1, [&](const LrnGeometry& g, int64_t at) {
    launch<normalize<T, kTaps, kStrip>>(
        sizeof(T) == 4 ? "lrn.fprop.direct.f32" : "lrn.fprop.direct.f64", grid_of(g),
        dim3(kThreads), 0, stream, g, normalizer_of<T>(p), static_cast<const T*>(arrays.x) + at,
        static_cast<T*>(arrays.out) + at);
  });
}

template <class T, int kTaps>
void launch_gradient(const LrnProblem& p, const LrnArrays& arrays, void* stream) {
  for_each_launch(p, kTile, kTile, true, [&](const LrnGeometry& g, int64_t at) {
    launch<gradient<T, kTaps>>(
        sizeof(T) == 4 ? "lrn.dgrad.direct.f32" : "lrn.dgrad.direct.f64", dim3(g.items),
        dim3(kThreads), 0, stream, g, normalizer_of<T>(p), static_cast<const T*>(arrays.x) + at,
        static_cast<const T*>(arrays.y) + at, static_cast<T*>(arrays.out) + at);
  });
}

template <class T>
void launch_wide_gradient(const LrnProblem& p, const LrnArrays& arrays,
                          const Execution& execution) {
  const char* name = sizeof(T) == 4 ? "lrn.dgrad.direct.f32" : "lrn.dgrad.direct.f64";
  for_each_launch(p, 1, 1, p.layout == Layout::kNCHW, [&](const LrnGeometry& g, int64_t at) {
    const T* const x = static_cast<const T*>(arrays.x) + at;
    T* const terms = static_cast<T*>(execution.workspace) + at;
    T* const out = static_cast<T*>(arrays.out) + at;
    launch<wide_terms<T>>(name, grid_of(g), dim3(kThreads), 0, execution.stream, g,
                          normalizer_of<T>(p), x, static_cast<const T*>(arrays.y) + at, terms, out);
    if (p.beta == 0) return;
    launch<wide_sums<T>>(name, grid_of(g), dim3(kThreads), 0, execution.stream, g,
                         normalizer_of<T>(p), x, static_cast<const T*>(terms), out);
  });
}

template <class T, int kTaps>
void run_taps(const LrnProblem& p, Direction direction, const LrnArrays& arrays, void* stream) {
  if (direction == Direction::kDgrad) {
    launch_gradient<T, kTaps>(p, arrays, stream);
  } else if (p.layout == Layout::kNCHW) {
    launch_forward<T, kTaps, 4>(p, arrays, stream);
  } else {
    launch_forward<T, kTaps, 1>(p, arrays, stream);
  }
}

template <class T>
void run_typed(const LrnProblem& p, Direction direction, const LrnArrays& arrays,
               const Execution& execution) {
  if (direction == Direction::kDgrad && is_wide(p)) {
    launch_wide_gradient<T>(p, arrays, execution);
  } else if (p.before == 2 && p.after == 2) {
    run_taps<T, 5>(p, direction, arrays, execution.stream);
  } else if (p.before == 1 && p.after == 1) {
    run_taps<T, 3>(p, direction, arrays, execution.stream);
  } else if (p.before + p.after < kSumBlock) {
    run_taps<T, kShort>(p, direction, arrays, execution.stream);
  } else if (p.layout == Layout::kNCHW) {
    launch_forward<T, kLong, 4>(p, arrays, execution.stream);
  } else {
    launch_forward<T, kLong, 1>(p, arrays, execution.stream);
  }
}

void run(const LrnProblem& p, Direction direction, const LrnArrays& arrays,
         const Execution& execution) {
  if (p.n == 0) return;
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace

extern const LrnKernel lrn_direct;
const LrnKernel lrn_direct = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
