// How fprop and dgrad are cut into tasks: image, group, class of rows, strip of rows, tile of
// columns, part of the filters. A task packs the strip of source it needs and walks its filters
// over it.
#pragma once

#include "ops/conv2d/cpu_direct_block.h"

namespace ck {
namespace CK_ISA {
namespace direct {

constexpr int64_t kTileColumns = 2048;
constexpr int64_t kNearBytes = 32 << 10;  // a strip this large stays in the first cache,
constexpr int64_t kFarBytes = 512 << 10;  // and this large in the second
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
  int64_t filters;  // of a group as packed: dst_channels, or filled up to whole vectors
  int64_t r, s;
  Axis *rows, *cols;                                       // classes
  int64_t row_classes, col_classes, row_count, col_count;  // the counts of the largest class
  int64_t* col_offset;  // of each tap column, class after class, in a packed line
  LinePacking packing;
  int64_t line, plane;     // of a packed strip, in elements
  int64_t step, col_step;  // from output to output: columns of the source, elements of a line
  int64_t strip_rows, strips, tile_cols, tiles, part_filters, parts;
  bool filters_last;  // vectors along the filters, see cpu_direct_pixels.cpp
  bool staged;        // sums go through a buffer, to be spread over the output
  int64_t stage_pitch, slot_elems, workers, items;
  T *packed, *slots;
  const T *source, *weights;
  T* out;
  Epilogue<T> epilogue;
};

template <class T>
static int64_t strip_slots(const Gather<T>& g, const AxisRule& rule, int64_t rows) {
  int64_t most = 0;
  for (int64_t a = 0; a < g.row_classes; ++a) {
    Axis axis = rule.axis(a);
    if (axis.taps) most = larger(most, window_of(axis, rows).slots);
  }
  return most;
}

template <class T>
static Gather<T> plan_gather(const Conv2dProblem& p, Direction direction,
                             const Conv2dArrays& arrays, int threads, Arena& arena) {
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
  int64_t* starts = arena.take<int64_t>(p.s);
  g.row_count = row_rule.axis(0).count;
  g.col_count = col_rule.axis(0).count;

  // One packed line serves all column classes: it runs from the lowest source position of any tap
  // of output 0 to the highest of the last output in the tile.
  int64_t low = INT64_MAX, high = INT64_MIN, taps = 0;
  for (int64_t a = 0; a < g.col_classes; ++a) {
    Axis axis = col_rule.axis(a);
    if (!axis.taps) continue;
    int64_t last = axis.offset + (axis.taps - 1) * axis.offset_step;
    low = smaller(low, smaller(axis.offset, last));
    high = larger(high, larger(axis.offset, last));
    taps += axis.taps;
  }
  if (taps == 0) low = high = 0;
  int64_t step = dgrad ? 1 : p.stride_w, reach = high - low;
  g.tile_cols = smaller(g.col_count, kTileColumns);
  g.tiles = ceil_div(g.col_count, g.tile_cols);
  g.filters_last = !nchw && 2 * g.dst_channels > W;
  int64_t consecutive = (g.tile_cols - 1) * step + reach + 1;
  bool by_tap = packs_by_tap(consecutive, taps, round_up(g.tile_cols, W));
  int64_t pixel = g.filters_last ? g.src_channels : 1;  // elements from column to column
  g.step = step;
  g.col_step = (by_tap || !g.filters_last ? 1 : step) * pixel;
  g.packing = {1, 0, step, low, by_tap ? starts : nullptr};
  if (by_tap) {
    g.packing.phases = taps;
    g.packing.pitch = round_up(g.tile_cols * pixel, W);
  } else if (g.filters_last) {
    // A line keeps the order of the source: columns of all channels of the group.
    g.packing.step = 1;
    g.packing.pitch = round_up(consecutive * pixel, W);
  } else {
    g.packing.phases = smaller(step, reach + 1);
    g.packing.pitch = round_up(round_up(g.tile_cols, W) + reach / step, W);
  }
  g.line = g.packing.phases * g.packing.pitch;

  // As many rows in a strip as the caches like, fewer where the threads would lack work.
  int64_t lines = g.filters_last ? 1 : g.src_channels;
  int64_t line_bytes = lines * g.line * int64_t(sizeof(T)), rows = 1;
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
  int64_t block = g.filters_last ? W : kMaxFilters;
  g.parts =
      clamp(ceil_div(threads, larger(per_strip * g.strips, 1)), 1, ceil_div(g.dst_channels, block));
  g.part_filters = round_up(ceil_div(g.dst_channels, g.parts), block);
  g.parts = ceil_div(g.dst_channels, g.part_filters);
  g.items = per_strip * g.strips * g.parts;
  g.workers = larger(threads, 1);

  g.plane = strip_slots(g, row_rule, rows) * g.line;
  g.staged = !g.filters_last && (!nchw || (dgrad && p.stride_w > 1));
  g.stage_pitch = round_up(g.tile_cols, W);
  g.slot_elems = lines * g.plane;
  if (g.staged) g.slot_elems += rows * kMaxFilters * g.col_classes * g.stage_pitch;
  g.slot_elems = round_up(g.slot_elems, 64 / int64_t(sizeof(T)));
  g.filters = g.filters_last ? round_up(g.dst_channels, W) : g.dst_channels;
  g.packed = arena.take<T>(g.groups * g.filters * g.src_channels * p.r * p.s);
  g.slots = arena.take<T>(g.workers * g.slot_elems);
  if (g.rows == nullptr) return g;

  g.source = static_cast<const T*>(dgrad ? arrays.y : arrays.x);
  g.weights = static_cast<const T*>(arrays.w);
  g.out = static_cast<T*>(arrays.out);
  if (!dgrad) g.epilogue = epilogue_of<T>(p, arrays);

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
      int64_t tap = before + j, start = axis.offset + j * axis.offset_step, slot = start - low;
      starts[tap] = start;
      g.col_offset[tap] = by_tap           ? tap * g.packing.pitch
                          : g.filters_last ? slot * g.src_channels
                                           : slot % step * g.packing.pitch + slot / step;
    }
    before += axis.taps;
    g.cols[b] = axis;
  }
  return g;
}

// What a task is, and its share of the source.
struct Item {
  int64_t part, first_col, cols, first_row, rows, group, image;
  const Axis* row;
  Window window;
};

template <class T>
static Item item_of(const Gather<T>& g, int64_t index) {
  Item item = {};
  item.part = index % g.parts;
  index /= g.parts;
  item.first_col = index % g.tiles * g.tile_cols;
  item.cols = smaller(g.tile_cols, g.col_count - item.first_col);
  index /= g.tiles;
  item.first_row = index % g.strips * g.strip_rows;
  index /= g.strips;
  item.row = g.rows + index % g.row_classes;
  item.rows = smaller(g.strip_rows, item.row->count - item.first_row);
  index /= g.row_classes;
  item.group = index % g.groups;
  item.image = index / g.groups;
  if (item.row->taps && item.rows > 0) item.window = window_of(*item.row, item.rows);
  return item;
}

// Weights of the filters of a class, from filter `filter` on, in the order the kernels take.
template <class T>
static T* packed_weights(const Gather<T>& g, int64_t group, const Axis& row, const Axis& col,
                         int64_t filter) {
  int64_t taps_before = row.taps_before * g.s + row.taps * col.taps_before;
  return g.packed + g.src_channels * (g.filters * (group * g.r * g.s + taps_before) +
                                      filter * row.taps * col.taps);
}

// cpu_direct_pixels.cpp
void run_pixels(const Gather<float>&, int threads);
void run_pixels(const Gather<double>&, int threads);

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
