// conv2d.{fprop,dgrad}.direct on planes: vectors lie along the columns of the output.
// A task copies the strip of source it needs into planes [channel][row][column] with the padding
// in place and, for stride s, every s-th column side by side. In these planes each tap of each
// vector of outputs is one plain load, at the borders as inside, for any stride, dilation and
// padding; NHWC differs in the copy and in the store alone.
// Block tile: see cpu_direct_block.h.
// Order: (channel, r, s) ascending, one fused multiply-add per term, runs of at most kBlockTerms.
#include "ops/conv2d/cpu_direct_block.h"

namespace ck {
namespace CK_ISA {
namespace direct {

namespace {

constexpr int64_t kTileColumns = 2048;
constexpr int64_t kNearBytes = 32 << 10;  // a strip this large stays in the first cache,
constexpr int64_t kFarBytes = 256 << 10;  // and this large in the second
constexpr int64_t kFewRows = 4;
constexpr int64_t kFewWeights = 1 << 14;  // packed by one thread

template <class T>
struct Gather {
  int64_t images, groups, src_channels, dst_channels;  // channels of one group
  int64_t src_h, src_w;
  Strides src, dst;
  int64_t w_group, w_dst, w_src, w_row,
      w_col;  // strides of w; rows and columns count back if flipped
  int64_t w_first;
  int64_t r, s;
  Axis *rows, *cols;                                       // classes
  int64_t row_classes, col_classes, row_count, col_count;  // the counts of the largest class
  int64_t* col_offset;                                     // of each tap column, class after class
  int64_t low, pitch, phases, line, plane;                 // of a packed strip, in elements
  int64_t strip_rows, strips, tile_cols, tiles, part_filters, parts;
  bool staged;  // sums go through a buffer, to be spread over the output
  int64_t stage_pitch, slot_elems, workers, items;
  T *packed, *slots;
  const T *source, *weights;
  T* out;
  Epilogue<T> epilogue;
};

template <class T>
int64_t strip_slots(const Gather<T>& g, const AxisRule& rule, int64_t rows) {
  int64_t most = 0;
  for (int64_t a = 0; a < g.row_classes; ++a) {
    Axis axis = rule.axis(a);
    if (axis.taps) most = larger(most, window_of(axis, rows).slots);
  }
  return most;
}

template <class T>
Gather<T> plan(const Conv2dProblem& p, Direction direction, int threads, Arena& arena) {
  constexpr int64_t W = kLanes<T>;
  bool dgrad = direction == Direction::kDgrad, nchw = p.layout == Layout::kNCHW;
  Gather<T> g = {};
  g.images = p.n;
  g.groups = p.groups;
  g.src_channels = dgrad ? p.k_per_group : p.c_per_group;
  g.dst_channels = dgrad ? p.c_per_group : p.k_per_group;
  Strides x = strides_of(p.layout, p.c, p.h, p.w), y = strides_of(p.layout, p.k, p.p, p.q);
  g.src = dgrad ? y : x;
  g.dst = dgrad ? x : y;
  g.src_h = dgrad ? p.p : p.h;
  g.src_w = dgrad ? p.q : p.w;
  g.r = p.r;
  g.s = p.s;
  int64_t w_k = p.c_per_group * p.r * p.s, w_c = nchw ? p.r * p.s : 1;
  g.w_group = p.k_per_group * w_k;
  g.w_dst = dgrad ? w_c : w_k;
  g.w_src = dgrad ? w_k : w_c;
  g.w_row = nchw ? p.s : p.s * p.c_per_group;
  g.w_col = nchw ? 1 : p.c_per_group;
  if (p.flip_kernel) {
    g.w_first = (p.r - 1) * g.w_row + (p.s - 1) * g.w_col;
    g.w_row = -g.w_row;
    g.w_col = -g.w_col;
  }

  AxisRule row_rule = {dgrad, dgrad ? p.h : p.p, p.r, p.stride_h, p.dilation_h, p.pad_top};
  AxisRule col_rule = {dgrad, dgrad ? p.w : p.q, p.s, p.stride_w, p.dilation_w, p.pad_left};
  g.row_classes = row_rule.classes();
  g.col_classes = col_rule.classes();
  g.rows = arena.take<Axis>(g.row_classes);
  g.cols = arena.take<Axis>(g.col_classes);
  g.col_offset = arena.take<int64_t>(p.s);
  g.row_count = row_rule.axis(0).count;
  g.col_count = col_rule.axis(0).count;

  // One packed line serves all column classes: it runs from the lowest source position of any tap
  // of output 0 to the highest of the last output in the tile.
  int64_t high = INT64_MIN, step = 1;
  g.low = INT64_MAX;
  for (int64_t a = 0; a < g.col_classes; ++a) {
    Axis axis = col_rule.axis(a);
    if (!axis.taps) continue;
    int64_t last = axis.offset + (axis.taps - 1) * axis.offset_step;
    g.low = smaller(g.low, smaller(axis.offset, last));
    high = larger(high, larger(axis.offset, last));
    step = axis.step;
  }
  g.tile_cols = smaller(g.col_count, kTileColumns);
  g.tiles = ceil_div(g.col_count, g.tile_cols);
  g.phases = smaller(step, high - g.low + 1);
  g.pitch = round_up(round_up(g.tile_cols, W) + (high - g.low) / step, W);
  g.line = g.phases * g.pitch;

  // As many rows in a strip as the caches like, fewer where the threads would lack work.
  int64_t line_bytes = g.src_channels * g.line * int64_t(sizeof(T)), rows = 1;
  while (rows < g.row_count) {
    int64_t next = smaller(2 * rows, g.row_count);
    int64_t limit = next <= kFewRows ? kFarBytes : kNearBytes;
    if (strip_slots(g, row_rule, next) * line_bytes > limit) break;
    rows = next;
  }
  int64_t per_strip = g.images * g.groups * g.row_classes * g.tiles;
  while (rows > 1 && per_strip * ceil_div(g.row_count, rows) < 2 * threads) rows = (rows + 1) / 2;
  g.strip_rows = rows;
  g.strips = ceil_div(g.row_count, rows);
  g.parts = clamp(ceil_div(threads, larger(per_strip * g.strips, 1)), 1,
                  ceil_div(g.dst_channels, kMaxFilters));
  g.part_filters = round_up(ceil_div(g.dst_channels, g.parts), kMaxFilters);
  g.parts = ceil_div(g.dst_channels, g.part_filters);
  g.items = per_strip * g.strips * g.parts;
  g.workers = larger(threads, 1);

  g.plane = strip_slots(g, row_rule, rows) * g.line;
  g.staged = !nchw || g.col_classes > 1 || (dgrad && p.stride_w > 1);
  g.stage_pitch = round_up(g.tile_cols, W);
  g.slot_elems = g.src_channels * g.plane;
  if (g.staged) g.slot_elems += rows * kMaxFilters * g.col_classes * g.stage_pitch;
  g.slot_elems = round_up(g.slot_elems, 64 / int64_t(sizeof(T)));
  g.packed = arena.take<T>(g.groups * g.w_group);
  g.slots = arena.take<T>(g.workers * g.slot_elems);
  if (g.rows == nullptr) return g;

  int64_t before = 0;
  for (int64_t a = 0; a < g.row_classes; ++a) {
    g.rows[a] = row_rule.axis(a);
    g.rows[a].taps_before = before;
    before += g.rows[a].taps;
  }
  before = 0;
  for (int64_t b = 0; b < g.col_classes; ++b) {
    Axis axis = col_rule.axis(b);
    axis.taps_before = before;
    for (int64_t j = 0; j < axis.taps; ++j) {
      int64_t slot = axis.offset + j * axis.offset_step - g.low;
      g.col_offset[before + j] = slot % step * g.pitch + slot / step;
    }
    before += axis.taps;
    g.cols[b] = axis;
  }
  return g;
}

// Weights of the filters of a class, from filter `filter` on, in the order gather_block takes.
template <class T>
T* packed_weights(const Gather<T>& g, int64_t group, const Axis& row, const Axis& col,
                  int64_t filter) {
  int64_t per_filter = g.src_channels * row.taps * col.taps;
  return g.packed + group * g.w_group +
         g.dst_channels * g.src_channels * (row.taps_before * g.s + row.taps * col.taps_before) +
         filter * per_filter;
}

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
void run_item(const Gather<T>& g, int64_t item, T* slot) {
  constexpr int W = kLanes<T>;
  int64_t part = item % g.parts;
  item /= g.parts;
  int64_t tile = item % g.tiles;
  item /= g.tiles;
  int64_t strip = item % g.strips;
  item /= g.strips;
  const Axis& row = g.rows[item % g.row_classes];
  item /= g.row_classes;
  int64_t group = item % g.groups, image = item / g.groups;

  int64_t first_row = strip * g.strip_rows, rows = smaller(g.strip_rows, row.count - first_row);
  int64_t first_col = tile * g.tile_cols, cols = smaller(g.tile_cols, g.col_count - first_col);
  if (rows <= 0) return;
  Window window = {};
  if (row.taps) window = window_of(row, rows);

  const T* image_source = g.source + image * g.src.image + group * g.src_channels * g.src.channel;
  int64_t step = g.cols[0].step;
  for (int64_t c = 0; c < g.src_channels; ++c) {
    for (int64_t i = 0; i < window.slots; ++i) {
      int64_t h = position_of(window, row, first_row, i);
      const T* from =
          h < 0 || h >= g.src_h ? nullptr : image_source + c * g.src.channel + h * g.src.row;
      copy_line(slot + c * g.plane + i * g.line, g.pitch, step, g.phases, from, g.src.col, g.src_w,
                g.low + first_col * step);
    }
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
      int64_t to_row = g.staged ? kMaxFilters * g.col_classes * g.stage_pitch : g.dst.row;

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
  bool dgrad = direction == Direction::kDgrad;
  Arena arena(execution.workspace);
  Gather<T> g = plan<T>(p, direction, execution.threads, arena);
  g.source = static_cast<const T*>(dgrad ? arrays.y : arrays.x);
  g.weights = static_cast<const T*>(arrays.w);
  g.out = static_cast<T*>(arrays.out);
  if (!dgrad) g.epilogue = epilogue_of<T>(p, arrays);
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
    plan<float>(p, direction, threads, arena);
  } else {
    plan<double>(p, direction, threads, arena);
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
