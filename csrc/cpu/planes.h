// The implicit im2col of NCHW: rows of the column matrix gathered straight into packed operands.
//
// A row of the column matrix is one channel under one tap; its elements are pixels, and
// neighbouring pixels lie side by side in the source until a row of the image ends. So a vector of
// pixels is filled by few masked loads, nearly always one: where output and source rows are equally
// long, the rows of an image join seamlessly and padding is only a hole in the mask. Which loads
// they are does not depend on the tap, which only shifts them; and the mask is the lanes whose
// source row exists under the tap's row, and those whose column exists under its column. Small
// tables of both, made once per block of pixels, leave a load, a mask and a store per vector, with
// no test of any element.
//
// Strided convolutions first copy the source phase by phase (gather.h), after which they are like
// the others.
#pragma once

#include <cstdint>

#include "cpu/epilogue.h"
#include "cpu/gather.h"
#include "cpu/gemm.h"
#include "cpu/operands.h"

namespace ck {
namespace CK_ISA {

// Images of one plane per channel and phase.
template <class T>
struct Planes {
  const T* at;
  int64_t image_stride, channel_stride;
  int64_t height, width;  // of one phase
};

// Where lane 0 of a vector would lie, and which lanes are there.
struct LaneRun {
  int64_t offset;
  uint32_t lanes;
};

// Walks pixels (image * height + i) * width + j in stretches that stay in one vector and in one
// row.
template <class T, class Body>
static CK_INLINE void for_each_stretch(Span pixels, int64_t height, int64_t width,
                                       const Body& body) {
  int64_t j = pixels.begin % width, i = pixels.begin / width % height;
  int64_t image = pixels.begin / (width * height);
  int64_t vector = 0;
  for (int64_t m = pixels.begin; m < pixels.end; ++vector) {
    const int64_t end = min_of(m + kLanes<T>, pixels.end);
    for (int64_t lane = 0; m < end;) {
      const int64_t count = min_of(end - m, width - j);
      body(vector, lane, count, image, i, j);
      lane += count;
      m += count;
      j += count;
      if (j == width) {
        j = 0;
        if (++i == height) {
          i = 0;
          ++image;
        }
      }
    }
  }
}

// Stretches a vector may fall into where rows have `row` pixels.
template <class T>
static int64_t max_stretches(int64_t row) {
  return min_of(kLanes<T>, (kLanes<T> + row - 2) / max_of(1, row) + 1);
}

// The loads that fill the vectors of a span of pixels, under any tap.
template <class T>
class TapTable {
 public:
  Axis h = {}, w = {};
  Planes<T> planes = {};

  template <class Arena>
  static TapTable take(Arena& arena, const Axis& h, const Axis& w, int64_t max_pixels) {
    TapTable table;
    table.h = h;
    table.w = w;
    const int64_t vectors = ceil_div(max_pixels, kLanes<T>);
    table.runs_ = arena.template take<LaneRun>(vectors * max_stretches<T>(w.count));
    table.run_start_ = arena.template take<int32_t>(vectors + 1);
    table.row_lanes_ = arena.template take<uint32_t>(vectors * h.taps);
    table.col_lanes_ = arena.template take<uint32_t>(vectors * w.taps);
    table.row_shift_ = arena.template take<int64_t>(h.taps);
    table.col_shift_ = arena.template take<int64_t>(w.taps);
    return table;
  }

  int64_t taps() const { return h.taps * w.taps; }
  int64_t vectors() const { return vectors_; }
  Span pixels() const { return pixels_; }

  void forget_pixels() { pixels_ = {0, 0}; }
  void set_pixels(Span pixels) { set_pixels(pixels, {0, taps()}); }
  // For `some` of the taps alone, so that parts of a huge filter cost their share.
  void set_pixels(Span pixels, Span some) {
    pixels_ = pixels;
    vectors_ = ceil_div(pixels.size(), kLanes<T>);
    const Span rows = {some.begin / max_of(1, w.taps), ceil_div(some.end, max_of(1, w.taps))};
    const bool one_row = rows.size() == 1;
    const Span cols = {one_row ? some.begin - rows.begin * w.taps : 0,
                       one_row ? some.end - rows.begin * w.taps : w.taps};
    for (int64_t t = rows.begin; t < rows.end; ++t) {
      row_shift_[t] = (h.phase_slot(t) * w.phases() * planes.height + h.shift(t)) * planes.width;
    }
    for (int64_t t = cols.begin; t < cols.end; ++t) {
      col_shift_[t] = w.phase_slot(t) * planes.height * planes.width + w.shift(t);
    }
    for (int64_t v = 0; v < vectors_; ++v) {
      for (int64_t t = rows.begin; t < rows.end; ++t) row_lanes_[v * h.taps + t] = 0;
      for (int64_t t = cols.begin; t < cols.end; ++t) col_lanes_[v * w.taps + t] = 0;
    }
    int32_t runs = 0;
    for_each_stretch<T>(
        pixels, h.count, w.count,
        [&](int64_t v, int64_t lane, int64_t count, int64_t image, int64_t i, int64_t j) {
          const uint32_t lanes = first_lanes(count) << lane;
          const int64_t offset = image * planes.image_stride + i * planes.width + j - lane;
          if (lane == 0) run_start_[v] = runs;
          if (lane > 0 && runs_[runs - 1].offset == offset) {
            runs_[runs - 1].lanes |= lanes;
          } else {
            runs_[runs++] = {offset, lanes};
          }
          for (int64_t t = rows.begin; t < rows.end; ++t) {
            const int64_t row = i + h.shift(t);
            if (row >= 0 && row < planes.height) row_lanes_[v * h.taps + t] |= lanes;
          }
          for (int64_t t = cols.begin; t < cols.end; ++t) {
            const int64_t low = max_of(j, -w.shift(t));
            const int64_t high = min_of(j + count, planes.width - w.shift(t));
            if (low < high) {
              col_lanes_[v * w.taps + t] |= first_lanes(high - low) << (lane + low - j);
            }
          }
        });
    run_start_[vectors_] = runs;
  }

  // Vector v of `count` channels under tap (th, tw). Rows of the column matrix a channel apart lie
  // to_stride apart.
  CK_INLINE void gather(const T* channel, int64_t count, int64_t th, int64_t tw, int64_t v, T* to,
                        int64_t to_stride) const {
    const uint32_t valid = row_lanes_[v * h.taps + th] & col_lanes_[v * w.taps + tw];
    const LaneRun* run = runs_ + run_start_[v];
    const int64_t runs = run_start_[v + 1] - run_start_[v];
    const int64_t stride = planes.channel_stride;
    channel += row_shift_[th] + col_shift_[tw];
    if (runs == 1) {
      const T* from = channel + run->offset;
      const uint32_t lanes = run->lanes & valid;
      if (lanes == kAllLanes<T> && count > 4) {
        for (int64_t c = 0; c < count; ++c, from += stride, to += to_stride) {
          Vec<T>::load(from).store(to);
        }
      } else {
        for (int64_t c = 0; c < count; ++c, from += stride, to += to_stride) {
          Vec<T>::load_masked(from, lanes).store(to);
        }
      }
    } else if (runs == 2) {
      const uint32_t lanes = run[0].lanes & valid, others = run[1].lanes & valid;
      const T* from = channel + run[0].offset;
      const T* other = channel + run[1].offset;
      for (int64_t c = 0; c < count; ++c, from += stride, other += stride, to += to_stride) {
        (Vec<T>::load_masked(from, lanes) | Vec<T>::load_masked(other, others)).store(to);
      }
    } else {
      for (int64_t c = 0; c < count; ++c, channel += stride, to += to_stride) {
        Vec<T> all = Vec<T>::load_masked(channel + run->offset, run->lanes & valid);
        for (int64_t r = 1; r < runs; ++r) {
          all = all | Vec<T>::load_masked(channel + run[r].offset, run[r].lanes & valid);
        }
        all.store(to);
      }
    }
  }

 private:
  LaneRun* runs_ = nullptr;
  int32_t* run_start_ = nullptr;
  uint32_t* row_lanes_ = nullptr;  // [vector][row of taps]
  uint32_t* col_lanes_ = nullptr;  // [vector][column of taps]
  int64_t* row_shift_ = nullptr;
  int64_t* col_shift_ = nullptr;
  int64_t vectors_ = 0;
  Span pixels_ = {0, 0};
};

// A place in (channel, tap), the order of gemm_k.
struct TapWalk {
  int64_t channel, th, tw;

  TapWalk(int64_t k, const Axis& h, const Axis& w)
      : channel(k / (h.taps * w.taps)), th(k / w.taps % h.taps), tw(k % w.taps) {}
  CK_INLINE void next(const Axis& h, const Axis& w) {
    if (++tw < w.taps) return;
    tw = 0;
    if (++th < h.taps) return;
    th = 0;
    ++channel;
  }
};

// B of fprop and dgrad: gemm_k is (channel, tap), columns are the table's pixels.
template <class T>
struct PlanePanels {
  const TapTable<T>* table;
  const T* channels;  // channel 0 of the group

  const T* panels(Span, int64_t k, int64_t depth, T* space) const {
    const int64_t taps = table->taps(), stride = table->planes.channel_stride;
    const int64_t different = min_of(taps, depth);
    // Channels innermost: what the table says of a vector under a tap is looked up once for all of
    // them, and the few lines of source they read stay in L1 for the next tap.
    for (int64_t v = 0; v < table->vectors(); ++v) {
      T* panel = space + v / kTileVecs * depth * kTileCols<T> + v % kTileVecs * kLanes<T>;
      TapWalk walk(k, table->h, table->w);
      for (int64_t n = 0; n < different; ++n, walk.next(table->h, table->w)) {
        const int64_t count = taps == different ? (depth - 1 - n) / taps + 1 : 1;
        table->gather(channels + walk.channel * stride, count, walk.th, walk.tw, v,
                      panel + n * kTileCols<T>, taps * kTileCols<T>);
      }
    }
    return space;
  }
};

// A of wgrad: rows are (tap, channel), so that a tile shares what the table says of a tap; gemm_k
// are pixels, counted from the first of `channels`.
template <class T>
struct PlaneRows {
  TapTable<T>* table;
  const T* channels;
  int64_t count_of_channels;
  Span taps;  // of the rows that are asked for

  RowTile<T> rows(int64_t i, int count, int64_t k, int64_t depth, T* space) const {
    if (table->pixels().begin != k || table->pixels().end != k + depth) {
      table->set_pixels({k, k + depth}, taps);
    }
    int64_t tap = i / count_of_channels, channel = i % count_of_channels;
    for (int64_t r = 0; r < count; ++tap, channel = 0) {
      const int64_t run = min_of(count - r, count_of_channels - channel);
      const T* from = channels + channel * table->planes.channel_stride;
      for (int64_t v = 0; v < table->vectors(); ++v) {
        table->gather(from, run, tap / table->w.taps, tap % table->w.taps, v,
                      space + r * kPackedRow<T> + v * kLanes<T>, kPackedRow<T>);
      }
      r += run;
    }
    return {space, kPackedRow<T>};
  }
};

// Copies channel planes phase by phase: [image][channel][slot of h][slot of w][phase_size of
// h][phase_size of w].
template <class T>
struct PhaseCopy {
  Axis h, w;

  bool needed() const { return h.stride > 1 || w.stride > 1; }
  int64_t channel_elems() const {
    return h.phases() * w.phases() * h.phase_size() * w.phase_size();
  }
  void copy_channel(const T* from, T* to) const {
    for (int64_t sh = 0; sh < h.phases(); ++sh) {
      for (int64_t sw = 0; sw < w.phases(); ++sw) {
        const int64_t first = w.residue(sw);
        const int64_t count = first < w.source ? (w.source - 1 - first) / w.stride + 1 : 0;
        for (int64_t i = 0; i < h.phase_size(); ++i, to += w.phase_size()) {
          const int64_t row = h.residue(sh) + i * h.stride;
          const int64_t inside = row < h.source ? count : 0;
          if (inside > 0) copy_every(from + row * w.source + first, w.stride, inside, to);
          zero_run(to + inside, w.phase_size() - inside);
        }
      }
    }
  }
};

// The way back: where vectors of output pixels are stored, (image, h.first + i * h.step, w.first +
// j * w.step).
template <class T>
struct PlaneStore {
  T* out;                // channel 0 of the group, image 0
  Epilogue<T> epilogue;  // its arrays begin there too
  int64_t image_stride, plane;
  int64_t lane_step;  // distance of neighbouring pixels of a row
  LaneRun* runs;
  int32_t* run_start;
  int64_t first_pixel;

  template <class Arena>
  static PlaneStore take(Arena& arena, int64_t max_pixels, int64_t row) {
    PlaneStore store = {};
    const int64_t vectors = ceil_div(max_pixels, kLanes<T>);
    store.runs = arena.template take<LaneRun>(vectors * max_stretches<T>(row));
    store.run_start = arena.template take<int32_t>(vectors + 1);
    return store;
  }

  void set_pixels(Span pixels, const Axis& h, const Axis& w, int64_t out_width) {
    first_pixel = pixels.begin;
    lane_step = w.step;
    int32_t count = 0;
    for_each_stretch<T>(
        pixels, h.count, w.count,
        [&](int64_t v, int64_t lane, int64_t length, int64_t image, int64_t i, int64_t j) {
          const uint32_t lanes = first_lanes(length) << lane;
          const int64_t offset = image * image_stride + (h.first + i * h.step) * out_width +
                                 w.first + (j - lane) * w.step;
          if (lane == 0) run_start[v] = count;
          if (lane > 0 && runs[count - 1].offset == offset) {
            runs[count - 1].lanes |= lanes;
          } else {
            runs[count++] = {offset, lanes};
          }
        });
    run_start[ceil_div(pixels.size(), kLanes<T>)] = count;
  }

  void tile(int64_t i, int rows, int64_t j, int cols, const T* sums) const {
    const int64_t vector = (j - first_pixel) / kLanes<T>;
    for (int v = 0; v * kLanes<T> < cols; ++v, sums += kLanes<T>) {
      for (int32_t n = run_start[vector + v]; n < run_start[vector + v + 1]; ++n) {
        store_run(i, rows, runs[n], sums);
      }
    }
  }

 private:
  CK_INLINE void store_run(int64_t i, int rows, LaneRun run, const T* sums) const {
    int64_t at = i * plane + run.offset;
    if (lane_step != 1) {
      for (int r = 0; r < rows; ++r, at += plane, sums += kTileCols<T>) {
        for (uint32_t lanes = run.lanes; lanes != 0; lanes &= lanes - 1) {
          const int lane = __builtin_ctz(lanes);
          out[at + lane * lane_step] = sums[lane];
        }
      }
    } else if (!epilogue.empty()) {
      for (int r = 0; r < rows; ++r, at += plane, sums += kTileCols<T>) {
        epilogue.apply_along_pixels(Vec<T>::load(sums), i + r, at, run.lanes)
            .store_masked(out + at, run.lanes);
      }
    } else if (run.lanes == kAllLanes<T>) {
      for (int r = 0; r < rows; ++r, at += plane, sums += kTileCols<T>) {
        Vec<T>::load(sums).store(out + at);
      }
    } else {
      for (int r = 0; r < rows; ++r, at += plane, sums += kTileCols<T>) {
        Vec<T>::load(sums).store_masked(out + at, run.lanes);
      }
    }
  }
};

}  // namespace CK_ISA
}  // namespace ck
