// conv2d.{fprop,dgrad}.direct on planes: vectors lie along the columns of the output.
// A task copies the strip of source it needs into planes [channel][row][column] with the padding
// in place and, for stride s, every s-th column side by side; columns far apart are copied tap by
// tap. In these planes each tap of each vector of outputs is one plain load, at the borders as
// inside, for any stride, dilation and padding; NHWC differs in the copy and in the store alone.
// Block tile: see cpu_direct_block.h.
// Order: (channel, r, s) ascending, one fused multiply-add per term, runs of at most kBlockTerms.
#include "ops/conv2d/cpu_direct_gather.h"
#include "ops/conv2d/cpu_direct_block.h"
#include "ops/conv2d/cpu_direct_lines.h"

namespace ck {
namespace CK_ISA {
namespace direct {

namespace {

template <class T>
void pack_weights(const Gather<T>& g, int64_t group, int64_t first_filter, int64_t last_filter) {
  for (int64_t a = 0; a < g.row_classes; ++a) {
    for (int64_t b = 0; b < g.col_classes; ++b) {
      const Axis &row = g.rows[a], &col = g.cols[b];
      for (int64_t k = first_filter, block; k < last_filter; k += block) {
        block = next_filters(last_filter - k);
        T* to = packed_weights(g, group, row, col, k);
        for (int64_t c = 0; c < g.src_channels; ++c) {
          for (int64_t r = 0; r < row.taps; ++r) {
            for (int64_t s = 0; s < col.taps; ++s) {
              const T* from = g.weights + g.w_first + group * g.w_group + k * g.w_dst +
                              c * g.w_src + (row.tap + r * row.tap_step) * g.w_row +
                              (col.tap + s * col.tap_step) * g.w_col;
              for (int64_t i = 0; i < block; ++i) *to++ = from[i * g.w_dst];
            }
          }
        }
      }
    }
  }
}

// Spreads staged sums [row][filter][class][column] over the output.
template <class T>
void spread_stage(const Gather<T>& g, const T* stage, T* out, const Axis& row, int64_t rows,
                  int64_t filter, int64_t filters, int64_t first_col, int64_t cols) {
  constexpr int64_t W = kLanes<T>;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t k = 0; k < filters; ++k) {
      const T* from = stage + (i * kMaxFilters + k) * g.col_classes * g.stage_pitch;
      T* to = out + i * row.stride * g.dst.row + k * g.dst.channel;
      if (g.col_classes == 2 && g.dst.col == 1) {  // dgrad of stride 2
        int64_t count = smaller(2 * cols, g.cols[0].count + g.cols[1].count - 2 * first_col);
        for (int64_t j = 0; j < count; j += 2 * W) {
          const T* pair = from + j / 2;
          Pair<T> joined = join_pairs(Vec<T>::load(pair), Vec<T>::load(pair + g.stage_pitch));
          joined.even.store_first(to + j, count - j);
          if (count - j > W) joined.odd.store_first(to + j + W, count - j - W);
        }
        continue;
      }
      for (int64_t b = 0; b < g.col_classes; ++b) {
        const Axis& col = g.cols[b];
        int64_t count = smaller(cols, col.count - first_col), step = col.stride * g.dst.col;
        const T* sums = from + b * g.stage_pitch;
        T* line = to + col.first * g.dst.col;
        if (g.epilogue.empty()) {
          for (int64_t j = 0; j < count; ++j) line[j * step] = sums[j];
        } else {
          for (int64_t j = 0; j < count; ++j) {
            line[j * step] = g.epilogue.apply(sums[j], filter + k, line + j * step - g.out);
          }
        }
      }
    }
  }
}

template <class T>
void run_item(const Gather<T>& g, int64_t index, T* slot) {
  constexpr int W = kLanes<T>;
  Item item = item_of(g, index);
  if (item.rows <= 0) return;
  const Axis& row = *item.row;
  const Window& window = item.window;
  int64_t part = item.part, group = item.group, image = item.image;
  int64_t first_row = item.first_row, rows = item.rows, first_col = item.first_col,
          cols = item.cols;

  const T* image_source = g.source + image * g.src.image + group * g.src_channels * g.src.channel;
  const LinePacking& packing = g.packing;
  for (int64_t i = 0; i < window.slots; ++i) {
    int64_t h = position_of(window, row, first_row, i);
    const T* from = h < 0 || h >= g.src_h ? nullptr : image_source + h * g.src.row;
    for_each_part(packing, first_col * g.step, [&](int64_t at, int64_t phases, int64_t low) {
      T* to = slot + i * g.line + at;
      if (g.src.col == 1) {
        for (int64_t c = 0; c < g.src_channels; ++c) {
          copy_line(to + c * g.plane, packing.pitch, packing.step, phases,
                    from ? from + c * g.src.channel : nullptr, 1, g.src_w, low);
        }
      } else {
        copy_pixels(to, g.plane, packing.pitch, packing.step, phases, from, g.src.col,
                    g.src_channels, g.src_w, low);
      }
    });
  }

  T* stage = slot + g.src_channels * g.plane;
  int64_t last_filter = smaller((part + 1) * g.part_filters, g.dst_channels);
  for (int64_t k = part * g.part_filters, filters; k < last_filter; k += filters) {
    filters = next_filters(last_filter - k);
    int64_t channel = group * g.dst_channels + k;
    T* out = g.out + image * g.dst.image + channel * g.dst.channel +
             (row.first + first_row * row.stride) * g.dst.row +
             first_col * g.cols[0].stride * g.dst.col;
    for (int64_t b = 0; b < g.col_classes; ++b) {
      const Axis& col = g.cols[b];
      int64_t count = smaller(cols, col.count - first_col);
      Taps taps = {g.src_channels,
                   row.taps,
                   col.taps,
                   g.plane,
                   window.tap_step * g.line,
                   g.col_offset + col.taps_before};
      const T* w = packed_weights(g, group, row, col, k);
      T* to = g.staged ? stage + b * g.stage_pitch : out;
      int64_t to_channel = g.staged ? g.col_classes * g.stage_pitch : g.dst.channel;
      int64_t to_row =
          g.staged ? kMaxFilters * g.col_classes * g.stage_pitch : row.stride * g.dst.row;

      int64_t vectors_per_row = ceil_div(count, W), left = rows * vectors_per_row;
      int64_t most = max_vectors(int(filters));
      int64_t i = 0, j = 0;
      while (left > 0) {
        int vectors = int(ceil_div(left, ceil_div(left, most)));
        const T* x_at[kMaxVectors];
        T* y_at[kMaxVectors];
        int lanes[kMaxVectors];
        for (int v = 0; v < vectors; ++v) {
          x_at[v] = slot + (window.base + i * window.output_step) * g.line + j;
          y_at[v] = to + i * to_row + j;
          lanes[v] = int(smaller(W, count - j));
          j += W;
          if (j >= count) {
            j = 0;
            ++i;
          }
        }
        block_kernel<T>(int(filters), vectors)(taps, x_at, w, y_at, to_channel, lanes);
        left -= vectors;
        if (g.staged || g.epilogue.empty()) continue;
        for (int v = 0; v < vectors; ++v) {
          for (int f = 0; f < filters; ++f) {
            T* at = y_at[v] + f * to_channel;
            Vec<T> sum = Vec<T>::load_masked(at, first_lanes(lanes[v]));
            sum =
                g.epilogue.apply_along_pixels(sum, channel + f, at - g.out, first_lanes(lanes[v]));
            sum.store_first(at, lanes[v]);
          }
        }
      }
    }
    if (g.staged) spread_stage(g, stage, out, row, rows, channel, filters, first_col, cols);
  }
}

template <class T>
void run_typed(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
               const Execution& execution) {
  Arena arena(execution.workspace);
  Gather<T> g = plan_gather<T>(p, direction, arrays, execution.threads, arena);
  if (g.filters_last) {
    run_pixels(g, execution.threads);
    return;
  }
  int pack_threads = g.groups * g.w_group < kFewWeights ? 1 : execution.threads;
  run_tasks(g.groups * g.parts, pack_threads, [&](int64_t task, int64_t) {
    int64_t first = task % g.parts * g.part_filters;
    pack_weights(g, task / g.parts, first, smaller(first + g.part_filters, g.dst_channels));
  });
  run_tasks(g.items, execution.threads, [&](int64_t item, int64_t worker) {
    run_item(g, item, g.slots + worker * g.slot_elems);
  });
}

}  // namespace

int64_t gather_workspace_bytes(const Conv2dProblem& p, Direction direction, int threads) {
  Arena arena(nullptr);
  if (p.dtype == DType::kFloat32) {
    plan_gather<float>(p, direction, {}, threads, arena);
  } else {
    plan_gather<double>(p, direction, {}, threads, arena);
  }
  return arena.used_bytes();
}

void run_gather(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
                const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
