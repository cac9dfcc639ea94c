// Sums over each channel of an image batch in the order of precision="strict", terms (n, h, w)
// ascending in both layouts: what is added, for drivers of both sides. V is a number or a vector.
#pragma once

#include "core/strict_sum.h"
#include "core/types.h"

namespace ck {
namespace CK_BUILD {

// x is (n, c, pixels), or (n, pixels, c).
struct ChannelBatch {
  Layout layout;
  int64_t n, c, pixels;

  CK_SHARED_FUNCTION int64_t terms() const { return n * pixels; }
  CK_SHARED_FUNCTION int64_t pixel_stride() const { return layout == Layout::kNCHW ? 1 : c; }
  // Of pixel 0 of channel 0 in an image.
  CK_SHARED_FUNCTION int64_t image_at(int64_t image) const { return image * c * pixels; }
  CK_SHARED_FUNCTION int64_t channel_at(int64_t channel) const {
    return layout == Layout::kNCHW ? channel * pixels : channel;
  }
};

// x.
template <class T>
struct ValueSum {
  static constexpr int kFields = 1, kArrays = 1;
  const T* array[1];
  const T* center;  // of each channel; unused

  template <class V>
  static CK_SHARED_FUNCTION void step(const V* values, V, V* chain) {
    chain[0] = chain[0] + values[0];
  }
};

// d = x - center, and d^2.
template <class T>
struct DeviationSums {
  static constexpr int kFields = 2, kArrays = 1;
  const T* array[1];
  const T* center;

  template <class V>
  static CK_SHARED_FUNCTION void step(const V* values, V center, V* chain) {
    const V d = values[0] - center;
    chain[0] = chain[0] + d;
    chain[1] = fused(d, d, chain[1]);
  }
};

// g, and g * (x - center); the arrays are g and x.
template <class T>
struct GradientSums {
  static constexpr int kFields = 2, kArrays = 2;
  const T* array[2];
  const T* center;

  template <class V>
  static CK_SHARED_FUNCTION void step(const V* values, V center, V* chain) {
    chain[0] = chain[0] + values[0];
    chain[1] = fused(values[0], values[1] - center, chain[1]);
  }
};

}  // namespace CK_BUILD
}  // namespace ck
