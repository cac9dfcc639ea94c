// Lines of an image as vectors: split and joined by parity, loaded with zeros beyond their ends,
// copied into the planes that the kernels of the direct algorithm walk.
#pragma once

#include "ops/conv2d/cpu_direct.h"

namespace ck {
namespace CK_ISA {
namespace direct {

// Even and odd elements of a line, and back.
template <class T>
struct Pair {
  Vec<T> even, odd;
};

#define CK_SHUFFLE(...) \
  Vec<T> { __builtin_shufflevector(a.raw, b.raw, __VA_ARGS__) }
template <class T>
static CK_INLINE Pair<T> split_pairs(Vec<T> a, Vec<T> b) {
  if constexpr (kLanes<T> == 2) {
    return {CK_SHUFFLE(0, 2), CK_SHUFFLE(1, 3)};
  } else if constexpr (kLanes<T> == 4) {
    return {CK_SHUFFLE(0, 2, 4, 6), CK_SHUFFLE(1, 3, 5, 7)};
  } else if constexpr (kLanes<T> == 8) {
    return {CK_SHUFFLE(0, 2, 4, 6, 8, 10, 12, 14), CK_SHUFFLE(1, 3, 5, 7, 9, 11, 13, 15)};
  } else {
    return {CK_SHUFFLE(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
            CK_SHUFFLE(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)};
  }
}

// a0 b0 a1 b1 ...: the first vector in `even`, the second in `odd`.
template <class T>
static CK_INLINE Pair<T> join_pairs(Vec<T> a, Vec<T> b) {
  if constexpr (kLanes<T> == 2) {
    return {CK_SHUFFLE(0, 2), CK_SHUFFLE(1, 3)};
  } else if constexpr (kLanes<T> == 4) {
    return {CK_SHUFFLE(0, 4, 1, 5), CK_SHUFFLE(2, 6, 3, 7)};
  } else if constexpr (kLanes<T> == 8) {
    return {CK_SHUFFLE(0, 8, 1, 9, 2, 10, 3, 11), CK_SHUFFLE(4, 12, 5, 13, 6, 14, 7, 15)};
  } else {
    return {CK_SHUFFLE(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
            CK_SHUFFLE(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)};
  }
}
#undef CK_SHUFFLE

// A row of pixels, of which a vector of channels is taken: pixel i is at[i * pitch]. A row in the
// padding has width 0.
template <class T>
struct Row {
  const T* at;
  int64_t width, pitch;
  uint32_t lanes;

  template <bool kInside>
  CK_INLINE Vec<T> pixel(int64_t i) const {
    if (kInside) return Vec<T>::load(at + i * pitch);
    return i >= 0 && i < width ? Vec<T>::load_masked(at + i * pitch, lanes) : Vec<T>::zero();
  }
};

// Lanes of elements [at, at + kLanes) of a line of `extent` elements that lie inside it.
template <class T>
static CK_INLINE uint32_t lanes_inside(int64_t at, int64_t extent) {
  constexpr int64_t W = kLanes<T>;
  return first_lanes(clamp(extent - at, 0, W)) & ~first_lanes(clamp(-at, 0, W));
}

// Elements [at, at + kLanes) of a line, zeros outside of it.
template <class T>
static CK_INLINE Vec<T> load_inside(const T* line, int64_t at, int64_t extent) {
  if (at >= 0 && at + kLanes<T> <= extent) return Vec<T>::load(line + at);
  return Vec<T>::load_masked(line + at, lanes_inside<T>(at, extent));
}

// Copies one line of the source, zeros outside of it, so that position low + f + i * step lands in
// to[f * pitch + i], for the first `phases` values of f. `pitch` is a multiple of kLanes.
template <class T>
static void copy_line(T* to, int64_t pitch, int64_t step, int64_t phases, const T* from,
                      int64_t from_stride, int64_t extent, int64_t low) {
  constexpr int64_t W = kLanes<T>;
  if (from == nullptr || low >= extent || low + phases + pitch * step <= 0) {
    for (int64_t i = 0; i < phases * pitch; i += W) Vec<T>::zero().store(to + i);
    return;
  }
  if (step == 1 && from_stride == 1) {
    for (int64_t i = 0; i < pitch; i += W) load_inside(from, low + i, extent).store(to + i);
    return;
  }
  if (step == 2 && from_stride == 1) {
    for (int64_t i = 0; i < pitch; i += W) {
      Pair<T> pair = split_pairs(load_inside(from, low + 2 * i, extent),
                                 load_inside(from, low + 2 * i + W, extent));
      pair.even.store(to + i);
      if (phases == 2) pair.odd.store(to + pitch + i);
    }
    return;
  }
  for (int64_t f = 0; f < phases; ++f, to += pitch) {
    int64_t start = low + f;
    int64_t begin = start >= 0 ? 0 : smaller(ceil_div(-start, step), pitch);
    int64_t end = start >= extent ? begin : clamp(ceil_div(extent - start, step), begin, pitch);
    for (int64_t i = 0; i < begin; ++i) to[i] = 0;
    for (int64_t i = begin; i < end; ++i) to[i] = from[(start + i * step) * from_stride];
    for (int64_t i = end; i < pitch; ++i) to[i] = 0;
  }
}

// Turns kLanes vectors of kLanes lanes: lane i of vector j becomes lane j of vector i.
template <class T>
static CK_INLINE void transpose(Vec<T> (&v)[kLanes<T>]) {
  constexpr int W = kLanes<T>;
#pragma GCC unroll 4
  for (int done = 1; done < W; done *= 2) {
    Vec<T> joined[W];
#pragma GCC unroll 16
    for (int i = 0; i < W / 2; ++i) {
      Pair<T> pair = join_pairs(v[i], v[i + W / 2]);
      joined[2 * i] = pair.even;
      joined[2 * i + 1] = pair.odd;
    }
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i) v[i] = joined[i];
  }
}

// copy_line for `channels` neighbouring channels of pixels `pixel` elements apart; channel c goes
// to to + c * plane.
template <class T>
static void copy_pixels(T* to, int64_t plane, int64_t pitch, int64_t step, int64_t phases,
                        const T* from, int64_t pixel, int64_t channels, int64_t extent,
                        int64_t low) {
  constexpr int64_t W = kLanes<T>;
  if (pixel == 1 || from == nullptr || channels * 4 <= W) {
    for (int64_t c = 0; c < channels; ++c) {
      copy_line(to + c * plane, pitch, step, phases, from ? from + c : nullptr, pixel, extent, low);
    }
    return;
  }
  for (int64_t c = 0; c < channels; c += W) {
    uint32_t lanes = first_lanes(smaller(W, channels - c));
    for (int64_t f = 0; f < phases; ++f) {
      for (int64_t i = 0; i < pitch; i += W) {
        Vec<T> v[W];
        for (int64_t j = 0; j < W; ++j) {
          int64_t at = low + f + (i + j) * step;
          bool inside = at >= 0 && at < extent;
          v[j] = inside ? Vec<T>::load_masked(from + at * pixel + c, lanes) : Vec<T>::zero();
        }
        transpose(v);
        T* line = to + c * plane + f * pitch + i;
        for (int64_t j = 0; j < smaller(W, channels - c); ++j) v[j].store(line + j * plane);
      }
    }
  }
}

// Pixels low, low + step, ... of a line in NHWC, `channels` of each, packed without gaps; zeros
// outside.
template <class T>
static void copy_groups(T* to, int64_t pitch, int64_t step, const T* from, int64_t pixel,
                        int64_t channels, int64_t extent, int64_t low) {
  if ((pixel == channels && step == 1) || from == nullptr) {
    copy_line(to, pitch, 1, 1, from, 1, extent * channels, low * channels);
    return;
  }
  for (int64_t j = 0; j < pitch / channels; ++j, to += channels, low += step) {
    bool inside = low >= 0 && low < extent;
    for (int64_t c = 0; c < channels; ++c) to[c] = inside ? from[low * pixel + c] : T(0);
  }
}

// to[j * to_row + i] = from[i * from_row + j]. Rows of `to` are filled up with zeros to whole
// vectors, and whole vectors of rows are written.
template <class T>
static void turn(T* to, int64_t to_row, const T* from, int64_t from_row, int64_t rows,
                 int64_t cols) {
  constexpr int64_t W = kLanes<T>;
  for (int64_t i = 0; i < rows; i += W) {
    for (int64_t j = 0; j < cols; j += W) {
      Vec<T> v[W];
      for (int64_t n = 0; n < W; ++n) {
        v[n] = i + n < rows ? Vec<T>::load_first(from + (i + n) * from_row + j, cols - j)
                            : Vec<T>::zero();
      }
      transpose(v);
      for (int64_t n = 0; n < W; ++n) v[n].store(to + (j + n) * to_row + i);
    }
  }
}

// The same, but nothing beyond `to`'s rows and columns is written, and `from` has whole vectors.
template <class T>
static void turn_back(T* to, int64_t to_row, const T* from, int64_t from_row, int64_t to_rows,
                      int64_t to_cols) {
  constexpr int64_t W = kLanes<T>;
  for (int64_t i = 0; i < to_rows; i += W) {
    for (int64_t j = 0; j < to_cols; j += W) {
      Vec<T> v[W];
      for (int64_t n = 0; n < W; ++n) {
        v[n] = j + n < to_cols ? Vec<T>::load(from + (j + n) * from_row + i) : Vec<T>::zero();
      }
      transpose(v);
      for (int64_t n = 0; n < smaller(W, to_rows - i); ++n) {
        v[n].store_first(to + (i + n) * to_row + j, to_cols - j);
      }
    }
  }
}

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
