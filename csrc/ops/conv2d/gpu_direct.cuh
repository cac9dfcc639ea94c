// Kernel of conv2d.{fprop,dgrad}.direct: a correlation of `in` with a filter, computed where it
// stands. Tiles, reuse and order of sums are described in gpu_direct.cu.
#pragma once

#include "gpu/output.cuh"
#include "ops/conv2d/gpu_geometry.cuh"

namespace ck {
namespace CK_GPU {
namespace direct {

constexpr int kThreads = 256;
constexpr int kStrip = 4;  // rows of an output column one thread computes

// All in 64 bits: this row of the table takes what the others refuse.
struct Correlation {
  int64_t n, groups, in_channels, out_channels;  // channels of one group
  int64_t in_h, in_w, out_h, out_w;
  int64_t in_n, in_c, in_y, in_x, out_n, out_c, out_y, out_x;
  int64_t w_out, w_in, w_r, w_s, w_group;
  int64_t r, s, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w;
  bool flip_kernel, dgrad;
  // dgrad: x pixels in classes, as in implicit_gemm. fprop: one class.
  int64_t tap_step_h, tap_step_w, class_rows, class_columns;
  // A block: slots threads' worth of out channels (of groups_per_block groups, filters_per_group of
  // each) by strips by columns of threads; staged, it reads chunk in-channels of each of its groups
  // at a time.
  int32_t columns, strips, slots, groups_per_block, filters_per_group;
  int32_t chunk, patch_h, patch_w, weight_pitch, weight_elements;
  bool in_vectorized;
  int64_t filter_tiles, group_tiles, row_tiles, column_tiles;
  int64_t first_block;
};

// What a block is to do, worked out by one thread.
struct Job {
  int64_t n, group, filter;            // first group, first filter in each group
  int64_t row, column, rows, columns;  // first output pixel, number of them; in the class
  int64_t in_row,
      in_column;  // in coordinate of the block's first pixel under the filter's lowest tap
  int64_t out_base, out_y, out_x;
  int64_t w_base, w_tap_r, w_tap_s;
  int64_t stride_h, stride_w, step_h, step_w, low_h,
      low_w;  // from pixel to pixel, tap to tap on in; the lowest tap
  int64_t taps_h, taps_w;
};

struct AxisJob {
  int64_t count, start, stride, step, taps, out_base, out_step, w_base, w_tap;
};

static __device__ inline AxisJob axis_job(bool dgrad, bool flip, int64_t of_class, int64_t out_size,
                                          int64_t taps, int64_t stride, int64_t pad,
                                          int64_t dilation, int64_t tap_step, int64_t out_stride,
                                          int64_t w_stride) {
  if (!dgrad)
    return {out_size,   flip ? (taps - 1) * dilation - pad : -pad,
            stride,     flip ? -dilation : dilation,
            taps,       0,
            out_stride, 0,
            w_stride};
  const ClassAxis<int64_t> axis =
      class_axis(of_class, out_size, taps, stride, pad, dilation, tap_step);
  return {axis.count,
          axis.shift,
          1,
          -axis.shift_step,
          axis.tap_count,
          axis.first * out_stride,
          stride * out_stride,
          (flip ? taps - 1 - axis.tap_first : axis.tap_first) * w_stride,
          (flip ? -tap_step : tap_step) * w_stride};
}

static __device__ inline void describe_job(const Correlation& c, Job& job) {
  int64_t block = c.first_block + blockIdx.x;
  const int64_t filter_tile = block % c.filter_tiles;
  block /= c.filter_tiles;
  const int64_t column_tile = block % c.column_tiles;
  block /= c.column_tiles;
  const int64_t row_tile = block % c.row_tiles;
  block /= c.row_tiles;
  job.group = block % c.group_tiles * c.groups_per_block;
  block /= c.group_tiles;
  const int64_t of_class = block % (c.class_rows * c.class_columns);
  job.n = block / (c.class_rows * c.class_columns);
  job.filter = filter_tile * c.filters_per_group;
  const AxisJob h = axis_job(c.dgrad, c.flip_kernel, of_class / c.class_columns, c.out_h, c.r,
                             c.stride_h, c.pad_top, c.dilation_h, c.tap_step_h, c.out_y, c.w_r);
  const AxisJob w = axis_job(c.dgrad, c.flip_kernel, of_class % c.class_columns, c.out_w, c.s,
                             c.stride_w, c.pad_left, c.dilation_w, c.tap_step_w, c.out_x, c.w_s);
  job.row = row_tile * c.strips * kStrip;
  job.column = column_tile * c.columns;
  job.rows = h.count;
  job.columns = w.count;
  job.stride_h = h.stride;
  job.stride_w = w.stride;
  job.step_h = h.step;
  job.step_w = w.step;
  job.taps_h = h.taps;
  job.taps_w = w.taps;
  job.low_h = h.step < 0 ? (h.taps - 1) * h.step : 0;
  job.low_w = w.step < 0 ? (w.taps - 1) * w.step : 0;
  job.in_row = job.row * h.stride + h.start + job.low_h;
  job.in_column = job.column * w.stride + w.start + job.low_w;
  job.out_base = job.n * c.out_n + h.out_base + w.out_base;
  job.out_y = h.out_step;
  job.out_x = w.out_step;
  job.w_base = h.w_base + w.w_base;
  job.w_tap_r = h.w_tap;
  job.w_tap_s = w.w_tap;
}

// The part of `in` a block reads, channels `first` to `first + count` of each of its groups, zero
// where `in` ends. NCHW: patch[channel][row][column], NHWC: patch[row][column][channel]; channel =
// (in group) * groups + group.
template <class T, bool kChannelsLast>
static __device__ __forceinline__ void load_patch(const Correlation& c, const Job& job, const T* in,
                                                  int first, int count, T* patch) {
  const T* const from = in + job.n * c.in_n + (job.group * c.in_channels + first) * c.in_c;
  const int groups = c.groups_per_block, channels = groups * count;
  const int groups_left = int(smaller(c.groups - job.group, int64_t(groups)));
  constexpr int kVector = kVectorBytes / int(sizeof(T));
  const bool vectorized =
      kChannelsLast && c.in_vectorized && channels % kVector == 0 && first % kVector == 0;
  const int packs = vectorized ? channels / kVector : channels;
  const int elements = packs * c.patch_h * c.patch_w;
  for (int i = threadIdx.x; i < elements; i += kThreads) {
    int pack, row, column;
    if (kChannelsLast) {
      const int pixel = i / packs;
      pack = i - pixel * packs;
      row = pixel / c.patch_w;
      column = pixel - row * c.patch_w;
    } else {
      const int line = i / c.patch_w;
      column = i - line * c.patch_w;
      pack = line / c.patch_h;
      row = line - pack * c.patch_h;
    }
    const int64_t in_row = job.in_row + row, in_column = job.in_column + column;
    bool inside = uint64_t(in_row) < uint64_t(c.in_h) && uint64_t(in_column) < uint64_t(c.in_w);
    const int64_t pixel_offset = in_row * c.in_y + in_column * c.in_x;
    if (vectorized) {  // one group or one channel of each: channels lie as the patch wants them
      const int channel = pack * kVector;
      inside = inside && (groups == 1 || channel < groups_left);
      store_pack<T, kVector>(
          patch + i * kVector,
          inside ? load_pack<T, kVector>(from + pixel_offset + channel) : zero_pack<T, kVector>());
      continue;
    }
    // Neighbouring threads read neighbouring channels: count of a group, then the next group.
    const int group = pack / count, channel = pack - group * count;
    inside = inside && group < groups_left;
    const int slot = channel * groups + group;
    const int to = kChannelsLast ? (row * c.patch_w + column) * channels + slot
                                 : (slot * c.patch_h + row) * c.patch_w + column;
    patch[to] = inside ? from[pixel_offset + (group * c.in_channels + channel) * c.in_c] : T(0);
  }
}

// weights[channel][tap][out channel], the pitch padded so that neither side of the transposition
// meets one bank.
template <class T>
static __device__ __forceinline__ void load_weights(const Correlation& c, const Job& job,
                                                    const T* w, int first, int count, T* weights) {
  const int taps_w = int(job.taps_w), taps = int(job.taps_h) * taps_w;
  const int filters = c.groups_per_block * c.filters_per_group;
  for (int i = threadIdx.x; i < filters * count * taps; i += kThreads) {
    const int row = i / taps, tap = i - row * taps;
    const int filter = row / count, channel = row - filter * count;
    const int group = filter / c.filters_per_group, in_group = filter - group * c.filters_per_group;
    const bool inside = job.group + group < c.groups && job.filter + in_group < c.out_channels;
    const int r = tap / taps_w, s = tap - r * taps_w;
    weights[(channel * taps + tap) * c.weight_pitch + filter] =
        inside ? w[(job.group + group) * c.w_group + (job.filter + in_group) * c.w_out +
                   (first + channel) * c.w_in + job.w_base + r * job.w_tap_r + s * job.w_tap_s]
               : T(0);
  }
}

// Neighbouring filters, in loads of at most 16 bytes.
template <class T, int kFilters>
static __device__ __forceinline__ Pack<T, kFilters> load_filters(const T* from) {
  constexpr int kVector = smaller(kVectorBytes / int(sizeof(T)), kFilters);
  Pack<T, kFilters> result;
#pragma unroll
  for (int i = 0; i < kFilters; i += kVector) {
    const Pack<T, kVector> part = load_pack<T, kVector>(from + i);
#pragma unroll
    for (int k = 0; k < kVector; ++k) result.value[i + k] = part.value[k];
  }
  return result;
}

// kFilters out channels of one group by kStrip pixels of a column for each thread. kWindow:
// stride_h of the variant that keeps the rows under three taps in registers, 0 for any shape.
// Without kStaged everything comes from global memory.
template <class T, int kFilters, int kWindow, bool kChannelsLast, bool kStaged>
__global__ void __launch_bounds__(kThreads, kStaged ? 2 : 1)
    correlate(Correlation c, const T* __restrict__ in, const T* __restrict__ w, Output<T> out) {
  CK_DYN_SHARED(T, weights);
  CK_SHARED(Job, jobs, [1]);
  if (threadIdx.x == 0) describe_job(c, jobs[0]);
  __syncthreads();
  const Job& job = jobs[0];
  if (job.row >= job.rows || job.column >= job.columns) return;
  T* const patch = weights + c.weight_elements;

  int rest = threadIdx.x, slot, column, strip;
  if (kChannelsLast) {
    slot = rest % c.slots;
    rest /= c.slots;
    column = rest % c.columns;
    strip = rest / c.columns;
  } else {
    column = rest % c.columns;
    rest /= c.columns;
    strip = rest % c.strips;
    slot = rest / c.strips;
  }
  const int slots_per_group = (c.filters_per_group + kFilters - 1) / kFilters;
  const int group = slot / slots_per_group, filter = slot % slots_per_group * kFilters;
  const int strip_row = strip * kStrip;
  const bool active = strip < c.strips && slot < c.slots && job.group + group < c.groups &&
                      job.filter + filter < c.out_channels && job.row + strip_row < job.rows &&
                      job.column + column < job.columns;

  T sum[kStrip][kFilters] = {}, total[kStrip][kFilters] = {};
  CarriedSums<T, kStrip, kFilters> carried;
  int chains = 0;
  const auto flush = [&] {
#pragma unroll
    for (int j = 0; j < kStrip; ++j) {
#pragma unroll
      for (int k = 0; k < kFilters; ++k) {
        total[j][k] += sum[j][k];
        sum[j][k] = T(0);
      }
    }
    carried.carry(total, ++chains);
  };
  const int taps_h = int(job.taps_h), taps_w = int(job.taps_w), taps = taps_h * taps_w;
  const int out_channel = group * c.filters_per_group + filter;
  int terms = 0;  // in `sum`
  if constexpr (kStaged) {
    const int in_channels = int(c.in_channels);
    for (int first = 0; first < in_channels && taps > 0; first += c.chunk) {
      const int count = smaller(c.chunk, in_channels - first);
      __syncthreads();
      load_patch<T, kChannelsLast>(c, job, in, first, count, patch);
      load_weights(c, job, w, first, count, weights);
      __syncthreads();
      if (!active) continue;
      const int channels = c.groups_per_block * count;
      const int channel_step = kChannelsLast ? 1 : c.patch_h * c.patch_w;
      const int column_step = kChannelsLast ? channels : 1, row_step = c.patch_w * column_step;
      const int stride_h = int(job.stride_h), step_h = int(job.step_h), step_w = int(job.step_w);
      for (int channel = 0; channel < count; ++channel) {
        const T* const from = patch + (channel * c.groups_per_block + group) * channel_step +
                              strip_row * stride_h * row_step +
                              (column * int(job.stride_w) - int(job.low_w)) * column_step;
        const T* const filters = weights + channel * taps * c.weight_pitch + out_channel;
        if constexpr (kWindow > 0) {
          constexpr int kRows = (kStrip - 1) * kWindow + 3;
          const int upside_down = step_h < 0 ? 2 : 0;
          for (int s = 0; s < taps_w; ++s) {
            if (terms + 3 > kSumBlock) {
              flush();
              terms = 0;
            }
            terms += 3;
            T rows[kRows], tap[3];
#pragma unroll
            for (int i = 0; i < kRows; ++i) rows[i] = from[i * row_step + s * step_w * column_step];
#pragma unroll
            for (int i = 0; i < 3; ++i)
              tap[i] = filters[((i == 1 ? 1 : i ^ upside_down) * taps_w + s) * c.weight_pitch];
#pragma unroll
            for (int i = 0; i < 3; ++i) {
#pragma unroll
              for (int j = 0; j < kStrip; ++j)
                sum[j][0] = fma_rn(rows[j * kWindow + i], tap[i], sum[j][0]);
            }
          }
        } else {
          for (int r = 0; r < taps_h; ++r) {
            const T* const row = from + (r * step_h - int(job.low_h)) * row_step;
            for (int part = 0; part < taps_w; part += kSumBlock) {
              const int end = smaller(part + kSumBlock, taps_w);
              if (terms + end - part > kSumBlock) {
                flush();
                terms = 0;
              }
              terms += end - part;
              for (int s = part; s < end; ++s) {
                const Pack<T, kFilters> tap =
                    load_filters<T, kFilters>(filters + (r * taps_w + s) * c.weight_pitch);
#pragma unroll
                for (int j = 0; j < kStrip; ++j) {
                  const T x = row[j * stride_h * row_step + s * step_w * column_step];
#pragma unroll
                  for (int k = 0; k < kFilters; ++k) sum[j][k] = fma_rn(x, tap.value[k], sum[j][k]);
                }
              }
            }
          }
        }
      }
    }
  } else if (active) {
    const T* const from = in + job.n * c.in_n + (job.group + group) * c.in_channels * c.in_c;
    const T* const filters =
        w + (job.group + group) * c.w_group + (job.filter + filter) * c.w_out + job.w_base;
    const int64_t first_row = job.in_row - job.low_h + strip_row * job.stride_h;
    const int64_t first_column = job.in_column - job.low_w + column * job.stride_w;
    for (int64_t channel = 0; channel < c.in_channels; ++channel) {
      for (int64_t r = 0; r < job.taps_h; ++r) {
        for (int64_t s = 0; s < job.taps_w; ++s) {
          if (terms == kSumBlock) {
            flush();
            terms = 0;
          }
          ++terms;
          const int64_t in_column = first_column + s * job.step_w;
          if (uint64_t(in_column) >= uint64_t(c.in_w)) continue;
          T tap[kFilters];
#pragma unroll
          for (int k = 0; k < kFilters; ++k)
            tap[k] =
                job.filter + filter + k < c.out_channels
                    ? filters[k * c.w_out + channel * c.w_in + r * job.w_tap_r + s * job.w_tap_s]
                    : T(0);
#pragma unroll
          for (int j = 0; j < kStrip; ++j) {
            const int64_t in_row = first_row + j * job.stride_h + r * job.step_h;
            if (uint64_t(in_row) >= uint64_t(c.in_h)) continue;
            const T x = from[channel * c.in_c + in_row * c.in_y + in_column * c.in_x];
#pragma unroll
            for (int k = 0; k < kFilters; ++k) sum[j][k] = fma_rn(x, tap[k], sum[j][k]);
          }
        }
      }
    }
  }
  flush();
  carried.finish(total, chains);
  if (!active) return;

  const int64_t channel = (job.group + group) * c.out_channels + job.filter + filter;
  const int64_t base = job.out_base + channel * c.out_c + (job.column + column) * job.out_x;
#pragma unroll
  for (int j = 0; j < kStrip; ++j) {
    const int64_t row = job.row + strip_row + j;
    if (row >= job.rows) break;
    const int64_t offset = base + row * job.out_y;
    constexpr int kPack = kChannelsLast ? smaller(kVectorBytes / int(sizeof(T)), kFilters) : 1;
#pragma unroll
    for (int k = 0; k < kFilters; k += kPack) {
      Pack<T, kPack> pack;
      int64_t to[kPack];
      bool inside[kPack];
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        pack.value[i] = total[j][k + i];
        to[i] = offset + (k + i) * c.out_c;
        inside[i] = job.filter + filter + k + i < c.out_channels;
      }
      finish_pack(out, pack, to, inside, channel + k, 1);
    }
  }
}

}  // namespace direct
}  // namespace CK_GPU
}  // namespace ck
