// Kernel of conv2d.wgrad.direct. Tiles, reuse and order of sums are described in gpu_direct.cu.
#pragma once

#include "gpu/output.cuh"
#include "ops/conv2d/gpu_geometry.cuh"

namespace ck {
namespace CK_GPU {
namespace direct {

constexpr int kWgradThreads = 256;
constexpr int kWgradGroups = 32;   // side by side in a block: channels last, few channels a group
constexpr int kWgradElements = 9;  // filter elements of a thread: a 3 x 3 filter
constexpr int kWgradRuns = 8;      // the lanes are added in runs, then the runs
// A column more for each warp, so that the runs start in different banks.
constexpr int kWgradPitch = kWgradThreads + kWgradThreads / kWarpSize;

struct WgradArguments {
  Conv2dProblem problem;
  int64_t x_n, x_c, x_h, x_w, y_n, y_k, y_p, y_q;
  int64_t elements;  // of one filter
  int64_t filter_tiles, element_tiles, group_tiles, pixels, chunk_pixels, first_chunk, first_block;
};

// Element e of a filter, as an offset on x from the corner of a window.
template <class Index>
struct alignas(16) ElementPlace {
  int64_t offset;
  Index h, w;
};

template <class Index>
static __device__ inline ElementPlace<Index> element_place(const WgradArguments& args, int64_t e) {
  const Conv2dProblem& problem = args.problem;
  const bool last = problem.layout == Layout::kNHWC;
  const int64_t taps = problem.r * problem.s;
  const int64_t c = last ? e % problem.c_per_group : e / taps,
                tap = last ? e / problem.c_per_group : e % taps;
  const int64_t r = tap / problem.s, s = tap % problem.s;
  const int64_t h = (problem.flip_kernel ? problem.r - 1 - r : r) * problem.dilation_h;
  const int64_t w = (problem.flip_kernel ? problem.s - 1 - s : s) * problem.dilation_w;
  return {c * args.x_c + h * args.x_h + w * args.x_w, Index(h), Index(w)};
}

// Index int32_t: coordinates within the limits of PixelRun and Place (check_coordinates); int64_t:
// any.
template <class T, class Index, int kFilters, int kGroups>
__global__ void __launch_bounds__(kWgradThreads, sizeof(Index) == 4 ? 2 : 1)
    correlate_filters(WgradArguments args, PixelGrid grid, const T* __restrict__ x,
                      const T* __restrict__ y, T* out) {
  constexpr int kSums = kFilters * kWgradElements, kLanes = kWgradThreads / kGroups;
  static_assert(kLanes >= kWgradRuns && kLanes % kWgradRuns == 0);
  CK_SHARED(ElementPlace<Index>, elements, [kWgradElements]);
  CK_SHARED(T, sums, [kSums][kWgradPitch]);
  const Conv2dProblem& problem = args.problem;
  int64_t block = args.first_block + blockIdx.x;
  const int64_t first_filter = block % args.filter_tiles * kFilters;
  block /= args.filter_tiles;
  const int64_t first_element = block % args.element_tiles * kWgradElements;
  block /= args.element_tiles;
  const int64_t first_group = block % args.group_tiles * kGroups, chunk = block / args.group_tiles;
  const int count = int(smaller(args.elements - first_element, int64_t(kWgradElements)));
  if (int(threadIdx.x) < count)
    elements[threadIdx.x] = element_place<Index>(args, first_element + threadIdx.x);
  __syncthreads();

  const int unit = threadIdx.x % kGroups, lane = threadIdx.x / kGroups;
  const int64_t group = first_group + unit;
  const int64_t start = (args.first_chunk + chunk) * args.chunk_pixels;
  const int pixels = int(larger(smaller(args.pixels - start, args.chunk_pixels), int64_t(0)));
  const T* const image = x + group * problem.c_per_group * args.x_c;
  const T* const grad = y + (group * problem.k_per_group + first_filter) * args.y_k;
  T sum[kSums] = {};
  if (group < problem.groups) {
    const PixelRun run(grid, sizeof(Index) == 4 ? start : 0);
    for (int i = lane; i < pixels; i += kLanes) {
      int64_t n;
      Index row, column;
      if constexpr (sizeof(Index) == 4) {
        const Pixel pixel = run.at(i);
        n = pixel.n;
        row = pixel.row;
        column = pixel.column;
      } else {
        column = (start + i) % problem.q;
        row = (start + i) / problem.q % problem.p;
        n = (start + i) / problem.q / problem.p;
      }
      T gradient[kFilters];
#pragma unroll
      for (int k = 0; k < kFilters; ++k)
        gradient[k] = first_filter + k < problem.k_per_group
                          ? grad[n * args.y_n + row * args.y_p + column * args.y_q + k * args.y_k]
                          : T(0);
      const Index h = row * Index(problem.stride_h) - Index(problem.pad_top);
      const Index w = column * Index(problem.stride_w) - Index(problem.pad_left);
      const T* const window = image + n * args.x_n + h * args.x_h + w * args.x_w;
#pragma unroll
      for (int e = 0; e < kWgradElements; ++e) {
        if (e >= count) break;
        const ElementPlace<Index> place = elements[e];
        const bool inside = h + place.h >= 0 && h + place.h < Index(problem.h) &&
                            w + place.w >= 0 && w + place.w < Index(problem.w);
        const T value = inside ? window[place.offset] : T(0);
#pragma unroll
        for (int k = 0; k < kFilters; ++k)
          sum[k * kWgradElements + e] = fma_rn(value, gradient[k], sum[k * kWgradElements + e]);
      }
    }
  }

  const auto slot_of = [](int thread) { return thread + thread / kWarpSize; };
#pragma unroll
  for (int i = 0; i < kSums; ++i) sums[i][slot_of(threadIdx.x)] = sum[i];
  __syncthreads();
  constexpr int kRun = kLanes / kWgradRuns;
  if constexpr (kRun > 1) {
    for (int i = threadIdx.x; i < kSums * kGroups * kWgradRuns; i += kWgradThreads) {
      const int run_unit = i % kGroups, run = i / kGroups % kWgradRuns,
                index = i / kGroups / kWgradRuns;
      T total = sums[index][slot_of(run * kRun * kGroups + run_unit)];
      for (int j = 1; j < kRun; ++j)
        total += sums[index][slot_of((run * kRun + j) * kGroups + run_unit)];
      sums[index][slot_of(run * kRun * kGroups + run_unit)] = total;
    }
    __syncthreads();
  }
  T* const partial = out + chunk * problem.k * args.elements;
  for (int i = threadIdx.x; i < kSums * kGroups; i += kWgradThreads) {
    const int of_unit = i / kSums, index = i % kSums, k = index / kWgradElements,
              e = index % kWgradElements;
    if (first_group + of_unit >= problem.groups || first_filter + k >= problem.k_per_group ||
        e >= count)
      continue;
    T total = sums[index][slot_of(of_unit)];
    for (int j = 1; j < kWgradRuns; ++j)
      total += sums[index][slot_of(j * kRun * kGroups + of_unit)];
    partial[((first_group + of_unit) * problem.k_per_group + first_filter + k) * args.elements +
            first_element + e] = total;
  }
}

}  // namespace direct
}  // namespace CK_GPU
}  // namespace ck
