// Sums over all pixels of a channel, on the GPU: of values, of deviations from the mean, of
// products.
//
// channel_sums: a block takes a chunk of one channel (NCHW), or of 8 groups of 16 bytes of channels
// (NHWC, and images of one pixel), into registers, and leaves its sums in `partials`:
//
//            threads             packs of 16 bytes a thread   chunk (float)
//   NCHW     256 along pixels    4, along pixels              4096 pixels of one channel
//   NHWC     32 pixels x 8       8, of 8 pixels               256 pixels of 32 channels
//
// Its values being held, a block finds their mean first and then sums the deviations from it.
// channel_totals: a warp takes a channel, its lanes every 32nd chunk, joined in double.
// Loads are 16 bytes wide where rows are whole packs and aligned, else element by element into the
// same places, so the tree is the same: a chain in each thread (16 values of a channel, or 8), a
// butterfly in each warp, warps in order, chunks as above. It depends on the shape alone. No
// atomics.
#pragma once

#include "core/types.h"
#include "gpu/element.cuh"

namespace ck {
namespace CK_GPU {

constexpr int kChannelThreads = 256, kChannelWarps = kChannelThreads / kWarpSize;
constexpr int kPlanePacks = 4, kRowPacks = 8, kRowLanes = 8;
constexpr int kRowsAtOnce = kChannelThreads / kRowLanes;
constexpr int64_t kGridBlocks = (int64_t(1) << 31) - 1;
// Quotients are quick below; a longer plane ends at most once in a chunk.
constexpr int64_t kQuickPixels = int64_t(1) << 30;

struct ChannelShape {
  bool planar;
  int64_t c, pixels, count;  // count: of all images' pixels
  int64_t chunk, chunks, groups;
};

template <class T>
static ChannelShape channel_shape(Layout layout, int64_t n, int64_t c, int64_t pixels) {
  constexpr int64_t kWidth = kVectorBytes / sizeof(T);
  ChannelShape shape = {layout == Layout::kNCHW && pixels > 1, c, pixels, n * pixels, 0, 0, c};
  shape.chunk = shape.planar ? kChannelThreads * kPlanePacks * kWidth : kRowsAtOnce * kRowPacks;
  shape.chunks = ceil_div(shape.count, shape.chunk);
  if (!shape.planar) shape.groups = ceil_div(c, kRowLanes * kWidth);
  return shape;
}

template <class T>
struct ChannelArguments {
  const T *x, *grad_y, *center;  // the last two for products alone
  T* partials;                   // [field][channel][chunk]
  int64_t c, pixels, count, chunks, first;
  FastDivide by_pixels;
};

// What is summed. add() takes a value of x, one of grad_y and the channel's center.
template <class T>
struct ValueSums {
  static constexpr int kSums = 1, kFields = 1;
  static constexpr bool kProducts = false, kDeviations = false;
  static __device__ __forceinline__ void add(T x, T, T, T* sums) { sums[0] += x; }
  static __device__ __forceinline__ void join(double* total, double, const double* more, double) {
    total[0] += more[0];
  }
  static __device__ __forceinline__ void start(const T* partial, double, double* total) {
    total[0] = double(partial[0]);
  }
};

template <class T>
struct ProductSums {
  static constexpr int kSums = 2, kFields = 2;
  static constexpr bool kProducts = true, kDeviations = false;
  static __device__ __forceinline__ void add(T x, T grad, T center, T* sums) {
    sums[0] += grad;
    sums[1] = fma_rn(grad, x - center, sums[1]);
  }
  static __device__ __forceinline__ void join(double* total, double, const double* more, double) {
    total[0] += more[0];
    total[1] += more[1];
  }
  static __device__ __forceinline__ void start(const T* partial, double, double* total) {
    total[0] = double(partial[0]);
    total[1] = double(partial[1]);
  }
};

// Fields of a chunk: its mean as rounded (the center), sums of deviations from it and of their
// squares. Of a channel: mean as base + offset, sum of squared deviations, and the plain sum, which
// stays the mean's only witness where a value is infinite.
template <class T>
struct Moments {
  static constexpr int kSums = 2, kFields = 4;
  static constexpr bool kProducts = false, kDeviations = true;
  static __device__ __forceinline__ void add(T x, T, T center, T* sums) {
    const T d = x - center;
    sums[0] += d;
    sums[1] = fma_rn(d, d, sums[1]);
  }
  static __device__ __forceinline__ void start(const T* partial, double count, double* total) {
    const double center = double(partial[0]), sum = double(partial[1]);
    total[0] = center;
    total[1] = sum / count;
    total[2] = double(partial[2]) - sum * total[1];
    total[3] = center * count;
  }
  static __device__ __forceinline__ void join(double* total, double before, const double* more,
                                              double count) {
    const double share = count / (before + count);
    const double d = (more[0] - total[0]) + (more[1] - total[1]);
    total[1] += d * share;
    total[2] += more[2] + d * d * (before * share);
    total[3] += more[3];
  }
};

template <class Sums>
constexpr int kPartialFields = Sums::kSums + (Sums::kDeviations ? 1 : 0);

template <class T, bool kPlanar>
struct ChannelTile {
  static constexpr int kWidth = kVectorBytes / sizeof(T);
  static constexpr int kPacks = kPlanar ? kPlanePacks : kRowPacks;
  static constexpr int kOwn = kPlanar ? 1 : kWidth;                // channels of a thread
  static constexpr int kSlots = kPlanar ? 1 : kRowLanes * kWidth;  // channels of a block
  static constexpr int kChunk =
      kPlanar ? kChannelThreads * kPlanePacks * kWidth : kRowsAtOnce * kRowPacks;

  int64_t channel;  // the thread's first
  int64_t chunk, image, pixel;
  int limit;  // elements (planar) or rows of the chunk that are there

  __device__ __forceinline__ explicit ChannelTile(const ChannelArguments<T>& args) {
    const int64_t block = args.first + blockIdx.x, group = block / args.chunks;
    chunk = block - group * args.chunks;
    const int64_t begin = chunk * kChunk;
    limit = int(smaller(int64_t(kChunk), args.count - begin));
    if (kPlanar) {
      channel = group;
      image = begin / args.pixels;
      pixel = begin - image * args.pixels;
    } else {
      channel = group * kSlots + threadIdx.x % kRowLanes * kWidth;
      image = begin;
      pixel = 0;
    }
  }

  __device__ __forceinline__ int place_of(int pack) const {
    return kPlanar ? (pack * kChannelThreads + int(threadIdx.x)) * kWidth
                   : pack * kRowsAtOnce + int(threadIdx.x) / kRowLanes;
  }
  __device__ __forceinline__ bool has(const ChannelArguments<T>& args, int pack, int i) const {
    const int place = place_of(pack);
    return kPlanar ? place + i < limit : place < limit && channel + i < args.c;
  }
  __device__ __forceinline__ int64_t offset_of(const ChannelArguments<T>& args, int pack,
                                               int i) const {
    const int place = place_of(pack);
    if (!kPlanar) return (image + place) * args.c + channel + i;
    const int64_t at = pixel + place + i;
    const int64_t over = args.pixels < kQuickPixels ? int64_t(args.by_pixels.quotient(uint32_t(at)))
                                                    : int64_t(at >= args.pixels);
    return ((image + over) * args.c + channel) * args.pixels + (at - over * args.pixels);
  }
  template <bool kVectorized>
  __device__ __forceinline__ Pack<T, kWidth> load(const ChannelArguments<T>& args, const T* from,
                                                  int pack) const {
    Pack<T, kWidth> held = zero_pack<T, kWidth>();
    if (kVectorized) {
      if (has(args, pack, 0)) held = load_pack<T, kWidth>(from + offset_of(args, pack, 0));
    } else {
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        if (has(args, pack, i)) held.value[i] = from[offset_of(args, pack, i)];
      }
    }
    return held;
  }
};

// Every thread's sums become those of all threads of the block that own the same channels.
template <class T, bool kPlanar, int kCount>
static __device__ __forceinline__ void sum_over_block(
    T (&sums)[kCount], T (&shared)[kChannelWarps][kCount * kRowLanes]) {
  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  const int slot = kPlanar ? 0 : lane % kRowLanes;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
#pragma unroll
    for (int step = kWarpSize / 2; step >= (kPlanar ? 1 : kRowLanes); step /= 2)
      sums[i] += __shfl_xor_sync(kFullMask, sums[i], step);
    if (lane == slot) shared[warp][slot * kCount + i] = sums[i];
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    sums[i] = shared[0][slot * kCount + i];
#pragma unroll
    for (int w = 1; w < kChannelWarps; ++w) sums[i] += shared[w][slot * kCount + i];
  }
  __syncthreads();  // the next sum may be written
}

template <class T, template <class> class Sums, bool kPlanar, bool kVectorized>
__global__ void __launch_bounds__(kChannelThreads) channel_sums(ChannelArguments<T> args) {
  using Tile = ChannelTile<T, kPlanar>;
  using S = Sums<T>;
  constexpr int kWidth = Tile::kWidth, kOwn = Tile::kOwn;
  constexpr int kCount = S::kSums * kOwn;
  CK_SHARED(T, shared, [kChannelWarps][kCount * kRowLanes]);
  CK_SHARED(T, mean_shared, [kChannelWarps][kOwn * kRowLanes]);
  const Tile tile(args);

  Pack<T, kWidth> x[Tile::kPacks];

  T center[kOwn];
#pragma unroll
  for (int i = 0; i < kOwn; ++i) center[i] = T(0);
  if (S::kDeviations) {
#pragma unroll
    for (int j = 0; j < Tile::kPacks; ++j) x[j] = tile.template load<kVectorized>(args, args.x, j);
#pragma unroll
    for (int j = 0; j < Tile::kPacks; ++j) {
#pragma unroll
      for (int i = 0; i < kWidth; ++i) center[kPlanar ? 0 : i] += x[j].value[i];
    }
    sum_over_block<T, kPlanar>(center, mean_shared);
#pragma unroll
    for (int i = 0; i < kOwn; ++i) center[i] /= T(tile.limit);
  } else if (S::kProducts) {
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      if (tile.channel + i < args.c) center[i] = args.center[tile.channel + i];
    }
  }

  T sums[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) sums[i] = T(0);
#pragma unroll
  for (int j = 0; j < Tile::kPacks; ++j) {
    if (!S::kDeviations) x[j] = tile.template load<kVectorized>(args, args.x, j);
    Pack<T, kWidth> grad = zero_pack<T, kWidth>();
    if (S::kProducts) grad = tile.template load<kVectorized>(args, args.grad_y, j);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const int own = kPlanar ? 0 : i;
      if (tile.has(args, j, i))
        S::add(x[j].value[i], grad.value[i], center[own], sums + own * S::kSums);
    }
  }
  sum_over_block<T, kPlanar>(sums, shared);

  if (threadIdx.x >= (kPlanar ? 1 : kRowLanes)) return;
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    if (tile.channel + i >= args.c) continue;
    T* const to = args.partials + (tile.channel + i) * args.chunks + tile.chunk;
    const int64_t field = args.c * args.chunks;
    if (S::kDeviations) to[0] = center[i];
#pragma unroll
    for (int f = 0; f < S::kSums; ++f)
      to[(f + (S::kDeviations ? 1 : 0)) * field] = sums[i * S::kSums + f];
  }
}

constexpr int kTotalThreads = 128, kTotalWarps = kTotalThreads / kWarpSize;

// finish(channel, total) on one lane for each channel; zeros where there are no pixels.
template <class T, template <class> class Sums, class Finish>
__global__ void __launch_bounds__(kTotalThreads)
    channel_totals(const T* __restrict__ partials, int64_t c, int64_t count, int64_t chunk,
                   int64_t chunks, int64_t first, Finish finish) {
  using S = Sums<T>;
  const int lane = threadIdx.x % kWarpSize;
  const int64_t channel = first + int64_t(blockIdx.x) * kTotalWarps + threadIdx.x / kWarpSize;
  if (channel >= c) return;  // a whole warp
  double total[S::kFields], pixels = 0;
#pragma unroll
  for (int f = 0; f < S::kFields; ++f) total[f] = 0;
  for (int64_t k = lane; k < chunks; k += kWarpSize) {
    T partial[kPartialFields<S>];
#pragma unroll
    for (int f = 0; f < kPartialFields<S>; ++f)
      partial[f] = partials[(f * c + channel) * chunks + k];
    const double more_pixels = double(smaller(chunk, count - k * chunk));
    double more[S::kFields];
    S::start(partial, more_pixels, more);
    if (pixels == 0) {
#pragma unroll
      for (int f = 0; f < S::kFields; ++f) total[f] = more[f];
    } else {
      S::join(total, pixels, more, more_pixels);
    }
    pixels += more_pixels;
  }
#pragma unroll
  for (int step = kWarpSize / 2; step > 0; step /= 2) {
    double more[S::kFields];
#pragma unroll
    for (int f = 0; f < S::kFields; ++f) more[f] = __shfl_down_sync(kFullMask, total[f], step);
    const double more_pixels = __shfl_down_sync(kFullMask, pixels, step);
    if (lane + step < kWarpSize && more_pixels > 0) {  // earlier lanes have at least as much
      S::join(total, pixels, more, more_pixels);
      pixels += more_pixels;
    }
  }
  if (lane == 0) finish(channel, total);
}

// The host's side.

template <class T, template <class> class Sums>
static int64_t partial_elems(const ChannelShape& shape) {
  return kPartialFields<Sums<T>> * shape.c * shape.chunks;
}

template <class T, template <class> class Sums, bool kPlanar, bool kVectorized>
static void launch_sums(const char* name, const ChannelShape& shape, ChannelArguments<T> args,
                        void* stream) {
  const int64_t blocks = shape.groups * shape.chunks;
  for (args.first = 0; args.first < blocks; args.first += kGridBlocks) {
    const dim3 grid(unsigned(smaller(kGridBlocks, blocks - args.first)));
    launch<channel_sums<T, Sums, kPlanar, kVectorized>>(name, grid, dim3(kChannelThreads), 0,
                                                        stream, args);
  }
}

// Two launches: sums of chunks, then finish(channel, totals). grad_y and center may be null where
// the sums need none.
template <class T, template <class> class Sums, class Finish>
static void reduce_channels(const char* name, const ChannelShape& shape, const T* x,
                            const T* grad_y, const T* center, T* partials, const Finish& finish,
                            void* stream) {
  ChannelArguments<T> args = {x,           grad_y,       center, partials, shape.c, shape.pixels,
                              shape.count, shape.chunks, 0,      {}};
  args.by_pixels = fast_divide(shape.pixels < kQuickPixels ? shape.pixels : 1);
  constexpr int64_t kWidth = kVectorBytes / sizeof(T);
  const bool vectorized = (shape.planar ? shape.pixels : shape.c) % kWidth == 0 &&
                          is_vector_aligned(x) && is_vector_aligned(grad_y);
  if (shape.planar && vectorized) {
    launch_sums<T, Sums, true, true>(name, shape, args, stream);
  } else if (shape.planar) {
    launch_sums<T, Sums, true, false>(name, shape, args, stream);
  } else if (vectorized) {
    launch_sums<T, Sums, false, true>(name, shape, args, stream);
  } else {
    launch_sums<T, Sums, false, false>(name, shape, args, stream);
  }
  constexpr int64_t kAtOnce = kGridBlocks * kTotalWarps;
  for (int64_t first = 0; first < shape.c; first += kAtOnce) {
    const int64_t blocks = ceil_div(smaller(kAtOnce, shape.c - first), kTotalWarps);
    launch<channel_totals<T, Sums, Finish>>(name, dim3(unsigned(blocks)), dim3(kTotalThreads), 0,
                                            stream, static_cast<const T*>(partials), shape.c,
                                            shape.count, shape.chunk, shape.chunks, first, finish);
  }
}

}  // namespace CK_GPU
}  // namespace ck
