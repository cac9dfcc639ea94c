// Shape arithmetic that every op's rules share: output sizes, padding words, overflow. Host only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/types.h"

namespace ck {

using Shape = std::vector<int64_t>;

struct Pair {
  int64_t h, w;
};

// As the user gave it: numbers, or a word that is resolved against a geometry.
struct Padding {
  enum class Mode { kNumbers, kValid, kSame, kFull };
  Mode mode = Mode::kNumbers;
  int64_t top = 0, bottom = 0, left = 0, right = 0;
};

// No array may pass this many bytes: far beyond any memory, and small enough that sums of a few
// products stay in range.
constexpr int64_t kMaxBytes = int64_t(1) << 50;
// Strides, dilations and pads.
constexpr int64_t kMaxParameter = (int64_t(1) << 31) - 1;

std::string to_text(const Shape& shape);           // "(1, 3, 4, 4)"
std::string to_text(Pair pair);                    // "(2, 2)"
std::string to_text(const Padding& padding);       // "((1, 1), (2, 2))" or "'same'"
int64_t saturating_product(int64_t a, int64_t b);  // of non-negative numbers

// `what` names the array in messages ("x.shape", "x_shape").
void check_rank(const char* op, const char* what, const Shape& shape, size_t rank);
// Dimensions >= 0 (>= 1 where `minimum` says so) and at most kMaxBytes in all.
void check_extent(const char* op, const char* what, const Shape& shape, int64_t itemsize,
                  int64_t first_minimum, int64_t rest_minimum);
// `why` follows in brackets what the shape must be.
void check_shape(const char* op, const char* what, const Shape& shape, const Shape& expected,
                 const char* why);
void check_pair(const char* op, const char* name, Pair value, int64_t minimum);

struct Geometry {
  int64_t pad_top, pad_bottom, pad_left, pad_right;
  int64_t p, q;
};
// Resolves padding and computes the output size of sliding an r x s window; throws where nothing
// fits.
Geometry slide_window(const char* op, Pair image, Pair window, Pair stride, Pair dilation,
                      const Padding& padding, bool ceil_mode);

Shape image_shape(Layout layout, int64_t n, int64_t c, int64_t h, int64_t w);
struct ImageSizes {
  int64_t n, c, h, w;
};
ImageSizes image_sizes(Layout layout, const Shape& shape);

}  // namespace ck
