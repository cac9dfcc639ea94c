#include "core/shape_math.h"

#include <algorithm>

#include "core/error.h"

namespace ck {

std::string to_text(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

std::string to_text(Pair pair) { return to_text(Shape{pair.h, pair.w}); }

std::string to_text(const Padding& padding) {
  switch (padding.mode) {
    case Padding::Mode::kValid:
      return "'valid'";
    case Padding::Mode::kSame:
      return "'same'";
    case Padding::Mode::kFull:
      return "'full'";
    case Padding::Mode::kNumbers:
      break;
  }
  return format_text("(%s, %s)", to_text(Pair{padding.top, padding.bottom}).c_str(),
                     to_text(Pair{padding.left, padding.right}).c_str());
}

int64_t saturating_product(int64_t a, int64_t b) {
  int64_t product;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

void check_rank(const char* op, const char* what, const Shape& shape, size_t rank) {
  if (shape.size() == rank) return;
  throw_value_error("%s: %s is %s, needs %zu dimensions", op, what, to_text(shape).c_str(), rank);
}

void check_shape(const char* op, const char* what, const Shape& shape, const Shape& expected,
                 const char* why) {
  if (shape == expected) return;
  throw_value_error("%s: %s is %s, must be %s (%s)", op, what, to_text(shape).c_str(),
                    to_text(expected).c_str(), why);
}

void check_extent(const char* op, const char* what, const Shape& shape, int64_t itemsize,
                  int64_t first_minimum, int64_t rest_minimum) {
  int64_t bytes = itemsize;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t minimum = i == 0 ? first_minimum : rest_minimum;
    if (shape[i] < minimum) {
      throw_value_error("%s: %s[%zu] is %lld, must be at least %lld (%s=%s)", op, what, i,
                        (long long)shape[i], (long long)minimum, what, to_text(shape).c_str());
    }
    bytes = saturating_product(bytes, std::max<int64_t>(shape[i], 1));
  }
  if (bytes > kMaxBytes) {
    throw_value_error("%s: %s is %s, an array of more than 2**50 bytes", op, what,
                      to_text(shape).c_str());
  }
}

void check_pair(const char* op, const char* name, Pair value, int64_t minimum) {
  for (const int64_t side : {value.h, value.w}) {
    if (side >= minimum && side <= kMaxParameter) continue;
    throw_value_error("%s: %s is %s, must be at least %lld and below 2**31", op, name,
                      to_text(value).c_str(), (long long)minimum);
  }
}

namespace {

struct Side {
  int64_t low, high, output;
};

// 128-bit throughout: dilation * (window - 1) may pass 64 bits before it is refused.
Side slide_side(const char* op, const char* side_name, int64_t image, int64_t window,
                int64_t stride, int64_t dilation, Padding::Mode mode, int64_t low, int64_t high,
                bool ceil_mode) {
  using Wide = __int128;
  const Wide effective = Wide(dilation) * (window - 1) + 1;
  if (effective > kMaxBytes) {
    throw_value_error(
        "%s: the kernel's %s of %lld taps with dilation %lld spans more than 2**50 pixels", op,
        side_name, (long long)window, (long long)dilation);
  }
  if (mode == Padding::Mode::kSame) {
    const Wide output = (Wide(image) + stride - 1) / stride;
    const Wide total = std::max<Wide>((output - 1) * stride + effective - image, 0);
    low = int64_t(total / 2);
    high = int64_t(total) - low;
  } else if (mode == Padding::Mode::kFull) {
    low = high = int64_t(effective - 1);
  } else if (mode == Padding::Mode::kValid) {
    low = high = 0;
  }
  const Wide room = Wide(image) + low + high - effective;
  // In ceil mode a last window may hang over the end, even where it is the only one.
  if (room < 0 && !(ceil_mode && room > -Wide(stride))) {
    throw_value_error(
        "%s: the kernel's %s is %lld with dilation %lld, more than the padded image's %lld (%lld + "
        "%lld + %lld)",
        op, side_name, (long long)int64_t(effective), (long long)dilation,
        (long long)int64_t(Wide(image) + low + high), (long long)low, (long long)image,
        (long long)high);
  }
  const bool exact = room % stride == 0;
  Wide output = room < 0 ? 0 : room / stride + 1;
  if (ceil_mode && !exact) {
    output += 1;
    // It must start inside the image or its left padding, else it would see nothing.
    if ((output - 1) * stride >= Wide(image) + low) output -= 1;
  }
  return {low, high, int64_t(output)};
}

}  // namespace

Geometry slide_window(const char* op, Pair image, Pair window, Pair stride, Pair dilation,
                      const Padding& padding, bool ceil_mode) {
  check_pair(op, "stride", stride, 1);
  check_pair(op, "dilation", dilation, 1);
  if (padding.mode == Padding::Mode::kNumbers) {
    for (const int64_t pad : {padding.top, padding.bottom, padding.left, padding.right}) {
      if (pad >= 0 && pad <= kMaxParameter) continue;
      throw_value_error("%s: padding is %s, must be at least 0 and below 2**31", op,
                        to_text(padding).c_str());
    }
  }
  const Side rows = slide_side(op, "height", image.h, window.h, stride.h, dilation.h, padding.mode,
                               padding.top, padding.bottom, ceil_mode);
  const Side columns = slide_side(op, "width", image.w, window.w, stride.w, dilation.w,
                                  padding.mode, padding.left, padding.right, ceil_mode);
  return {rows.low, rows.high, columns.low, columns.high, rows.output, columns.output};
}

Shape image_shape(Layout layout, int64_t n, int64_t c, int64_t h, int64_t w) {
  return layout == Layout::kNCHW ? Shape{n, c, h, w} : Shape{n, h, w, c};
}

ImageSizes image_sizes(Layout layout, const Shape& shape) {
  if (layout == Layout::kNCHW) return {shape[0], shape[1], shape[2], shape[3]};
  return {shape[0], shape[3], shape[1], shape[2]};
}

}  // namespace ck
