// The implicit im2col of NCHW: rows of the column matrix gathered straight into packed operands.
//
// A row of the column matrix is one channel under one tap; its elements are pixels, and
// neighbouring pixels lie side by side in the source until a row of the image ends. So for each
// vector of pixels and each tap a small table holds the masked loads that fill it (nearly always
// one: where output and source rows are equally long, the rows of an image join seamlessly and
// padding is only a hole in the mask). The table serves all channels, and packing costs a load, a
// mask and a store per vector, with no test of any element.
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

// A stretch of consecutive pixels of one output row inside a vector.
struct PixelPiece {
  int64_t image, i, j;
  int32_t lane, count;
};

// Taps are numbered t = th * taps_w + tw. Holds the loads of `pixels` for a window of at most
// kDepthBlock taps.
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
    const int64_t pieces = vectors * max_pieces(w.count);
    const int64_t window = min_of(h.taps * w.taps, kDepthBlock);
    table.pieces_ = arena.template take<PixelPiece>(pieces);
    table.piece_start_ = arena.template take<int32_t>(vectors + 1);
    table.runs_ = arena.template take<LaneRun>(pieces * window);
    table.run_start_ = arena.template take<int32_t>(vectors * window + 1);
    return table;
  }

  static int64_t max_pieces(int64_t row) {
    return min_of(kLanes<T>, (kLanes<T> + row - 2) / max_of(1, row) + 1);
  }

  int64_t taps() const { return h.taps * w.taps; }
  int64_t vectors() const { return vectors_; }
  Span pixels() const { return pixels_; }

  // Pixels are numbered (image * h.count + i) * w.count + j.
  void set_pixels(Span pixels) {
    pixels_ = pixels;
    vectors_ = 0;
    tap_count_ = 0;
    int64_t j = pixels.begin % w.count, i = pixels.begin / w.count % h.count;
    int64_t image = pixels.begin / (w.count * h.count);
    int32_t pieces = 0;
    for (int64_t m = pixels.begin; m < pixels.end;) {
      const int64_t end = min_of(m + kLanes<T>, pixels.end);
      piece_start_[vectors_++] = pieces;
      for (int32_t lane = 0; m < end;) {
        const int32_t count = int32_t(min_of(end - m, w.count - j));
        pieces_[pieces++] = {image, i, j, lane, count};
        lane += count;
        m += count;
        j += count;
        if (j == w.count) {
          j = 0;
          if (++i == h.count) {
            i = 0;
            ++image;
          }
        }
      }
    }
    piece_start_[vectors_] = pieces;
  }

  // The window of taps [first, first + count), wrapping around; at most kDepthBlock of them.
  void set_taps(int64_t first, int64_t count) {
    if (count <= tap_count_ && first == first_tap_) return;
    first_tap_ = first;
    tap_count_ = count;
    int32_t runs = 0;
    int32_t* start = run_start_;
    for (int64_t n = 0; n < count; ++n) {
      const int64_t t = (first + n) % taps();
      const int64_t th = t / w.taps, tw = t % w.taps;
      const int64_t down = h.shift(th), right = w.shift(tw);
      const int64_t slot = h.phase_slot(th) * w.phases() + w.phase_slot(tw);
      const int64_t shift = (slot * planes.height + down) * planes.width + right;
      for (int64_t v = 0; v < vectors_; ++v) {
        const int32_t begin = runs;
        *start++ = begin;
        for (int32_t p = piece_start_[v]; p < piece_start_[v + 1]; ++p) {
          const PixelPiece& piece = pieces_[p];
          if (piece.i + down < 0 || piece.i + down >= planes.height) continue;
          const int64_t low = max_of(piece.j, -right);
          const int64_t high = min_of(piece.j + piece.count, planes.width - right);
          if (low >= high) continue;
          const int64_t offset = piece.image * planes.image_stride + piece.i * planes.width +
                                 piece.j - piece.lane + shift;
          const uint32_t lanes = first_lanes(high - low) << (piece.lane + low - piece.j);
          if (runs > begin && runs_[runs - 1].offset == offset) {
            runs_[runs - 1].lanes |= lanes;
          } else {
            runs_[runs++] = {offset, lanes};
          }
        }
        if (runs == begin)
          runs_[runs++] = {0, 0};  // every vector has a run, so that loops need not ask
      }
    }
    *start = runs;
  }

  // Window that covers gemm_k [k, k + depth) where gemm_k = channel * taps + tap; the whole filter
  // if it fits.
  void set_taps_for(int64_t k, int64_t depth) {
    if (taps() <= kDepthBlock) {
      set_taps(0, taps());
    } else {
      set_taps(k % taps(), depth);
    }
  }

  // One row of the column matrix: vector v goes to to + v / per_panel * panel_stride + v %
  // per_panel * kLanes.
  template <int kPerPanel>
  CK_INLINE void gather(const T* channel, int64_t tap, T* to, int64_t panel_stride) const {
    int64_t n = tap - first_tap_;
    if (n < 0) n += taps();
    const int32_t* start = run_start_ + n * vectors_;
    for (int64_t v = 0; v < vectors_; v += kPerPanel, to += panel_stride) {
#pragma GCC unroll 4
      for (int u = 0; u < kPerPanel; ++u) {
        if (kPerPanel > 1 && v + u >= vectors_) break;
        const LaneRun* run = runs_ + start[v + u];
        const LaneRun* end = runs_ + start[v + u + 1];
        Vec<T> lanes = Vec<T>::load_masked(channel + run->offset, run->lanes);
        while (++run < end) lanes = lanes | Vec<T>::load_masked(channel + run->offset, run->lanes);
        lanes.store(to + u * kLanes<T>);
      }
    }
  }

 private:
  PixelPiece* pieces_ = nullptr;
  int32_t* piece_start_ = nullptr;
  LaneRun* runs_ = nullptr;
  int32_t* run_start_ = nullptr;
  int64_t vectors_ = 0, first_tap_ = 0, tap_count_ = 0;
  Span pixels_ = {0, 0};
};

// B of fprop and dgrad: gemm_k is (channel, tap), columns are the table's pixels.
template <class T>
struct PlanePanels {
  TapTable<T>* table;
  const T* channels;  // channel 0 of the group

  const T* panels(Span, int64_t k, int64_t depth, T* space) const {
    table->set_taps_for(k, depth);
    const int64_t taps = table->taps();
    int64_t tap = k % taps;
    const T* channel = channels + k / taps * table->planes.channel_stride;
    for (int64_t d = 0; d < depth; ++d) {
      table->template gather<kTileVecs>(channel, tap, space + d * kTileCols<T>,
                                        depth * kTileCols<T>);
      if (++tap == taps) {
        tap = 0;
        channel += table->planes.channel_stride;
      }
    }
    return space;
  }
};

// A of wgrad: rows are (channel, tap), gemm_k are pixels from pixel 0 of `channels` on.
template <class T>
struct PlaneRows {
  TapTable<T>* table;
  const T* channels;

  RowTile<T> rows(int64_t i, int count, int64_t k, int64_t depth, T* space) const {
    const Span pixels = {k, k + depth};
    if (table->pixels().begin != pixels.begin || table->pixels().end != pixels.end) {
      table->set_pixels(pixels);
    }
    table->set_taps_for(i, count);
    const int64_t taps = table->taps();
    int64_t tap = i % taps;
    const T* channel = channels + i / taps * table->planes.channel_stride;
    for (int r = 0; r < count; ++r) {
      table->template gather<1>(channel, tap, space + r * kPackedRow<T>, kLanes<T>);
      if (++tap == taps) {
        tap = 0;
        channel += table->planes.channel_stride;
      }
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
          int64_t j = 0;
          if (row < h.source) {
            const T* source = from + row * w.source + first;
            for (; j < count; ++j) to[j] = source[j * w.stride];
          }
          for (; j < w.phase_size(); ++j) to[j] = T(0);
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
    store.runs = arena.template take<LaneRun>(vectors * TapTable<T>::max_pieces(row));
    store.run_start = arena.template take<int32_t>(vectors + 1);
    return store;
  }

  void set_pixels(Span pixels, const Axis& h, const Axis& w, int64_t out_width) {
    first_pixel = pixels.begin;
    int64_t j = pixels.begin % w.count, i = pixels.begin / w.count % h.count;
    int64_t image = pixels.begin / (w.count * h.count);
    int32_t count = 0;
    int64_t vectors = 0;
    lane_step = w.step;
    for (int64_t m = pixels.begin; m < pixels.end;) {
      const int64_t end = min_of(m + kLanes<T>, pixels.end);
      const int32_t begin = count;
      run_start[vectors++] = begin;
      for (int64_t lane = 0; m < end;) {
        const int64_t piece = min_of(end - m, w.count - j);
        const int64_t offset = image * image_stride + (h.first + i * h.step) * out_width + w.first +
                               (j - lane) * w.step;
        const uint32_t lanes = first_lanes(piece) << lane;
        if (count > begin && runs[count - 1].offset == offset) {
          runs[count - 1].lanes |= lanes;
        } else {
          runs[count++] = {offset, lanes};
        }
        lane += piece;
        m += piece;
        j += piece;
        if (j == w.count) {
          j = 0;
          if (++i == h.count) {
            i = 0;
            ++image;
          }
        }
      }
    }
    run_start[vectors] = count;
  }

  void tile(int64_t i, int rows, int64_t j, int cols, const T* sums) const {
    const int64_t vector = (j - first_pixel) / kLanes<T>;
    for (int r = 0; r < rows; ++r, sums += kTileCols<T>) {
      const int64_t channel = (i + r) * plane;
      for (int v = 0; v * kLanes<T> < cols; ++v) {
        const Vec<T> sum = Vec<T>::load(sums + v * kLanes<T>);
        for (int32_t n = run_start[vector + v]; n < run_start[vector + v + 1]; ++n) {
          const int64_t at = channel + runs[n].offset;
          if (lane_step == 1) {
            epilogue.apply_along_pixels(sum, i + r, at, runs[n].lanes)
                .store_masked(out + at, runs[n].lanes);
            continue;
          }
          for (int lane = 0; lane < kLanes<T>; ++lane) {
            if (runs[n].lanes >> lane & 1u) out[at + lane * lane_step] = sums[v * kLanes<T> + lane];
          }
        }
      }
    }
  }
};

}  // namespace CK_ISA
}  // namespace ck
