// Where the pixels around an image come from: padding as a map of indices, so that no padded copy
// of the image is made.
#pragma once

#include "core/reason.h"
#include "core/types.h"

namespace ck {

// The pixel that position `at` of an axis of `size` pixels shows; -1 where it shows a zero. Pads
// of a reflection are below size, those of a circle at most size.
template <class Index>
CK_ANYWHERE Index pixel_shown(PaddingMode mode, Index at, Index size) {
  if (at >= 0 && at < size) return at;
  if (mode == PaddingMode::kReflect) return at < 0 ? -at : 2 * (size - 1) - at;
  if (mode == PaddingMode::kReplicate) return at < 0 ? 0 : size - 1;
  if (mode == PaddingMode::kCircular) return at < 0 ? at + size : at - size;
  return -1;
}

// Positions begin .. end - 1 of an axis.
template <class Index>
struct PositionRun {
  Index begin, end;
};

// The positions that show `pixel`, below the image (part 0), in it (1) and above it (2).
template <class Index>
CK_ANYWHERE PositionRun<Index> positions_showing(PaddingMode mode, Index pixel, Index size,
                                                 Index pad_low, Index pad_high, int part) {
  if (part == 1) return {pixel, pixel + 1};
  const bool low = part == 0;
  if (mode == PaddingMode::kReplicate) {
    if (low) return {-pad_low, pixel == 0 ? 0 : -pad_low};
    return {size, pixel == size - 1 ? size + pad_high : size};
  }
  const bool reflected = mode == PaddingMode::kReflect;
  const Index at = low ? (reflected ? -pixel : pixel - size)
                       : (reflected ? 2 * (size - 1) - pixel : pixel + size);
  const bool outside = low ? at < 0 && at >= -pad_low : at >= size && at < size + pad_high;
  return {at, mode != PaddingMode::kZeros && outside ? at + 1 : at};
}

static inline Reason needs_zeros_around(PaddingMode mode) {
  constexpr const char* kWords[] = {"zeros", "reflect", "replicate", "circular"};
  if (mode == PaddingMode::kZeros) return accepted();
  return refused("padding_mode is '%s', needs 'zeros'", kWords[int(mode)]);
}

}  // namespace ck
