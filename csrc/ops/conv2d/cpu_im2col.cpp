// conv2d.{fprop,dgrad,wgrad}.im2col on the CPU: the classic. The column matrix is written to the
// workspace, R * S times the size of the input, and the rest is plain matrix products
// (cpu_matrix.h) and, for dgrad, col2im. Takes every problem, and alone those with other padding
// than zeros: the matrix is written through the map of its indices. implicit_gemm does the same
// sums without the matrix and is faster; this one shows what it saves.
//
//   NCHW   cols (C/g*R*S x P*Q), rows (c, r, s), for each image and group
//   NHWC   cols (P*Q x R*S*C/g), columns (r, s, c)
// Images are taken in chunks whose columns fit kColumnBytes, at least one image. col2im is a
// gather: each pixel of the input adds the taps that read it, in the order of w, so no two threads
// write one place.
#include <cstdint>

#include "cpu/epilogue.h"
#include "cpu/gather.h"
#include "cpu/tasks.h"
#include "ops/conv2d/cpu_matrix.h"
#include "ops/conv2d/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

constexpr int64_t kColumnBytes = 32 << 20;

template <class T>
struct Im2col {
  const Conv2dProblem& problem;
  int64_t images;  // per chunk
  MatrixPlan<T> products;
  Axis h, w;
  int64_t pixels, depth, channels;  // of an output image; of a group
  T* cols;

  Im2col(const Conv2dProblem& p, Direction direction, int threads, Arena& arena)
      : problem(p), images(images_at_once(p)), products(p, direction, images, threads, arena) {
    h = in_weight_order(
        forward_axis(p.h, p.r, p.p, p.stride_h, p.pad_top, p.dilation_h, p.flip_kernel));
    w = in_weight_order(
        forward_axis(p.w, p.s, p.q, p.stride_w, p.pad_left, p.dilation_w, p.flip_kernel));
    pixels = p.p * p.q;
    channels = p.c_per_group;
    depth = channels * p.r * p.s;
    cols = arena.take<T>(images * image_elems(p));
  }

  static int64_t image_elems(const Conv2dProblem& p) { return p.c * p.r * p.s * p.p * p.q; }
  static int64_t images_at_once(const Conv2dProblem& p) {
    const int64_t fitting = kColumnBytes / int64_t(sizeof(T)) / max_of(1, image_elems(p));
    return min_of(p.n, max_of(1, fitting));
  }

  bool nchw() const { return problem.layout == Layout::kNCHW; }
  template <class U>
  ImageMatrix<U> columns(U* at) const {
    const int64_t group = depth * pixels;
    if (nchw()) return {at, problem.groups * group, group, pixels};
    // Groups side by side in a row, so that all images of a chunk are one matrix.
    return {at, problem.groups * group, depth, problem.groups * depth};
  }
  ImageMatrix<const T> gradient(const T* at, int64_t image) const {
    const ImageMatrix<T> m = result(nullptr, 0);
    return {at + image * m.image_stride, m.image_stride, m.group_stride, m.stride};
  }
  ImageMatrix<T> result(T* at, int64_t image) const {
    const int64_t stride = problem.k * pixels, filters = problem.k_per_group;
    T* first = at == nullptr ? nullptr : at + image * stride;
    if (nchw()) return {first, stride, filters * pixels, pixels};
    return {first, stride, filters, problem.k};
  }

  void run(Direction direction, const Conv2dArrays& arrays) const {
    const T* x = static_cast<const T*>(arrays.x);
    const T* weights = static_cast<const T*>(arrays.w);
    const T* grad_y = static_cast<const T*>(arrays.y);
    T* out = static_cast<T*>(arrays.out);
    const Epilogue<T> epilogue = epilogue_of<T>(problem, arrays);
    if (direction == Direction::kWgrad && problem.n == 0) zero_run(out, problem.k * depth);
    for (int64_t first = 0; first < problem.n; first += images) {
      const int64_t count = min_of(images, problem.n - first);
      const int64_t x_elems = problem.c * problem.h * problem.w;
      if (direction == Direction::kDgrad) {
        products.backward(count, weights, gradient(grad_y, first), columns(cols));
        from_columns(count, out + first * x_elems);
        continue;
      }
      to_columns(count, x + first * x_elems);
      const auto matrix = columns(static_cast<const T*>(cols));
      if (direction == Direction::kFprop) {
        products.forward(count, weights, matrix, result(out, first),
                         epilogue_at(epilogue, 0, first * problem.k * pixels));
      } else {
        const int64_t pieces_before = first / images * pieces_of(images * pixels);
        products.add_weight_gradient(count, pieces_before, gradient(grad_y, first), matrix, out);
      }
    }
  }

 private:
  void to_columns(int64_t count, const T* x) const {
    if (nchw()) {
      run_tasks(count * problem.c, products.threads, [&](int64_t plane, int64_t) {
        const T* from = x + plane * problem.h * problem.w;
        T* to = cols + plane * problem.r * problem.s * pixels;
        for (int64_t th = 0; th < h.taps; ++th) {
          for (int64_t tw = 0; tw < w.taps; ++tw, to += pixels) write_row(from, th, tw, to);
        }
      });
    } else {
      run_tasks(count * problem.p, products.threads, [&](int64_t row, int64_t) {
        const T* from = x + row / problem.p * problem.h * problem.w * problem.c;
        T* to = cols + row * problem.q * problem.groups * depth;
        for (int64_t j = 0; j < problem.q; ++j) {
          for (int64_t g = 0; g < problem.groups; ++g, to += depth) {
            write_pixel(from + g * channels, row % problem.p, j, to);
          }
        }
      });
    }
  }

  // One row of the NCHW matrix: a channel under a tap.
  void write_row(const T* channel, int64_t th, int64_t tw, T* to) const {
    const int64_t left = w.offset + tw * w.offset_step;
    // Output columns [begin, end) read inside the image.
    const int64_t begin = min_of(w.count, left < 0 ? ceil_div(-left, w.stride) : 0);
    const int64_t inside = left < w.source ? (w.source - 1 - left) / w.stride + 1 : 0;
    const int64_t end = max_of(begin, min_of(w.count, inside));
    for (int64_t i = 0; i < h.count; ++i, to += w.count) {
      const int64_t row = shown(h, i, th);
      if (row < 0) {
        zero_run(to, w.count);
        continue;
      }
      const T* from = channel + row * w.source;
      write_border(from, tw, 0, begin, to);
      if (begin < end) copy_every(from + left + begin * w.stride, w.stride, end - begin, to + begin);
      write_border(from, tw, end, w.count, to);
    }
  }

  // Output columns that read outside the image.
  void write_border(const T* row, int64_t tw, int64_t begin, int64_t end, T* to) const {
    if (problem.padding_mode == PaddingMode::kZeros) {
      zero_run(to + begin, end - begin);
    } else {
      for (int64_t i = begin; i < end; ++i) to[i] = row[shown(w, i, tw)];
    }
  }

  // The source that output index i shows tap t, or -1 for a zero.
  int64_t shown(const Axis& axis, int64_t i, int64_t t) const {
    const int64_t at = i * axis.stride + axis.offset + t * axis.offset_step;
    return pixel_shown(problem.padding_mode, at, axis.source);
  }

  // One row of the NHWC matrix: a pixel's window.
  void write_pixel(const T* image, int64_t i, int64_t j, T* to) const {
    for (int64_t th = 0; th < h.taps; ++th) {
      const int64_t row = shown(h, i, th);
      for (int64_t tw = 0; tw < w.taps; ++tw, to += channels) {
        const int64_t col = shown(w, j, tw);
        if (row < 0 || col < 0) {
          zero_run(to, channels);
        } else {
          copy_run(image + (row * w.source + col) * problem.c, channels, to);
        }
      }
    }
  }

  // Calls body(i, t) for the output indices i that read `pixel` under tap t, in the image and, where
  // padding shows it, around it.
  template <class Body>
  void for_each_reader(const Axis& axis, int64_t pixel, int64_t pad_low, int64_t pad_high,
                       const Body& body) const {
    const PaddingMode mode = problem.padding_mode;
    const bool zeros = mode == PaddingMode::kZeros;
    for (int part = zeros ? 1 : 0; part < (zeros ? 2 : 3); ++part) {
      const auto run = positions_showing(mode, pixel, axis.source, pad_low, pad_high, part);
      if (run.begin == run.end) continue;
      for (int64_t t = 0; t < axis.taps; ++t) {
        const int64_t start = axis.offset + t * axis.offset_step;
        if (run.end <= start) continue;
        const int64_t first = ceil_div(max_of(run.begin - start, int64_t(0)), axis.stride);
        const int64_t end = min_of(axis.count, (run.end - 1 - start) / axis.stride + 1);
        for (int64_t i = first; i < end; ++i) body(i, t);
      }
    }
  }
  template <class Body>
  void for_each_row(int64_t y, const Body& body) const {
    for_each_reader(h, y, problem.pad_top, problem.pad_bottom, body);
  }
  template <class Body>
  void for_each_column(int64_t x, const Body& body) const {
    for_each_reader(w, x, problem.pad_left, problem.pad_right, body);
  }

  void from_columns(int64_t count, T* grad_x) const {
    if (nchw()) {
      run_tasks(count * problem.c, products.threads, [&](int64_t plane, int64_t) {
        const T* from = cols + plane * problem.r * problem.s * pixels;
        T* to = grad_x + plane * problem.h * problem.w;
        for (int64_t y = 0; y < problem.h; ++y) {
          for (int64_t x = 0; x < problem.w; ++x) *to++ = gather_pixel(from, y, x);
        }
      });
    } else {
      run_tasks(count * problem.h, products.threads, [&](int64_t row, int64_t) {
        const T* from = cols + row / problem.h * pixels * problem.groups * depth;
        T* to = grad_x + row * problem.w * problem.c;
        for (int64_t x = 0; x < problem.w; ++x) {
          for (int64_t g = 0; g < problem.groups; ++g, to += channels) {
            gather_channels(from + g * depth, row % problem.h, x, to);
          }
        }
      });
    }
  }

  T gather_pixel(const T* from, int64_t y, int64_t x) const {
    LongSum<T> sum;
    for_each_row(y, [&](int64_t i, int64_t th) {
      for_each_column(x, [&](int64_t j, int64_t tw) {
        sum.add(from[(th * w.taps + tw) * pixels + i * w.count + j]);
      });
    });
    return sum.total();
  }

  void gather_channels(const T* from, int64_t y, int64_t x, T* to) const {
    for (int64_t c = 0; c < channels; c += kLanes<T>) {
      const uint32_t lanes = first_lanes(min_of(kLanes<T>, channels - c));
      LongSum<Vec<T>> sum;
      for_each_row(y, [&](int64_t i, int64_t th) {
        for_each_column(x, [&](int64_t j, int64_t tw) {
          const T* tap =
              from + (i * w.count + j) * problem.groups * depth + (th * w.taps + tw) * channels + c;
          sum.add(Vec<T>::load_masked(tap, lanes));
        });
      });
      sum.total().store_masked(to + c, lanes);
    }
  }
};

Reason supports(const Conv2dProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const Conv2dProblem& problem, Direction direction, int threads) {
  Arena arena(nullptr);
  if (problem.dtype == DType::kFloat32) {
    Im2col<float>(problem, direction, threads, arena);
  } else {
    Im2col<double>(problem, direction, threads, arena);
  }
  return arena.used_bytes();
}

void run(const Conv2dProblem& problem, Direction direction, const Conv2dArrays& arrays,
         const Execution& execution) {
  Arena arena(execution.workspace);
  if (problem.dtype == DType::kFloat32) {
    Im2col<float>(problem, direction, execution.threads, arena).run(direction, arrays);
  } else {
    Im2col<double>(problem, direction, execution.threads, arena).run(direction, arrays);
  }
}

}  // namespace

extern const Conv2dKernel conv2d_im2col;
const Conv2dKernel conv2d_im2col = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
