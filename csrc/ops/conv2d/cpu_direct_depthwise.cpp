// conv2d.{fprop,dgrad}.direct, NCHW, one input channel per group: each output plane is one source
// plane and one filter, tiles as in cpu_direct_plane.h. No copy of the source, no workspace.
// Needs: 3x3 or 5x5, no dilation, stride 1 or 2. dgrad and wgrad: see fits_planes.
// Order: fprop and dgrad of stride 2 r, s ascending; dgrad of stride 1 descending, as it is a
// convolution with the turned filter.
#include "ops/conv2d/cpu_direct_plane.h"

namespace ck {
namespace CK_ISA {
namespace direct {

bool fits_planes(const Conv2dProblem& p, Direction direction) {
  bool side = p.r == p.s && (p.r == 3 || p.r == 5);
  bool stride = p.stride_h == p.stride_w && (p.stride_h == 1 || p.stride_h == 2);
  if (p.layout != Layout::kNCHW || p.c_per_group != 1 || !side || !stride) return false;
  if (p.dilation_h != 1 || p.dilation_w != 1) return false;
  if (direction == Direction::kFprop) return true;
  if (direction == Direction::kDgrad) {
    return p.k_per_group == 1 && (p.stride_h == 1 || p.pad_top % 2 == p.pad_left % 2);
  }
  return p.r == 3 || kManyRegisters;  // the sums of all taps stay in registers
}

namespace {

constexpr int64_t kStripRows = 14;  // a whole number of tiles for either stride

template <class T>
void finish_rows(const Epilogue<T>& epilogue, int64_t filter, const T* out, T* y, int64_t count) {
  constexpr int64_t W = kLanes<T>;
  for (int64_t j = 0; j < count; j += W) {
    Vec<T> sum = Vec<T>::load_first(y + j, count - j);
    uint32_t lanes = first_lanes(smaller(W, count - j));
    epilogue.apply_along_pixels(sum, filter, y + j - out, lanes).store_first(y + j, count - j);
  }
}

template <class T>
void run_typed(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
               int threads) {
  bool dgrad = direction == Direction::kDgrad, spread = dgrad && p.stride_h == 2;
  bool turned = p.flip_kernel != (dgrad && !spread);
  const T *source = static_cast<const T*>(dgrad ? arrays.y : arrays.x),
          *weights = static_cast<const T*>(arrays.w);
  T* out = static_cast<T*>(arrays.out);
  Epilogue<T> epilogue = {};
  if (!dgrad) epilogue = epilogue_of<T>(p, arrays);
  int64_t out_h = dgrad ? p.h : p.p, out_w = dgrad ? p.w : p.q;
  int64_t src_h = dgrad ? p.p : p.h, src_w = dgrad ? p.q : p.w;
  int64_t pad_top = dgrad && !spread ? p.r - 1 - p.pad_top : p.pad_top;
  int64_t pad_left = dgrad && !spread ? p.s - 1 - p.pad_left : p.pad_left;
  int64_t taps = p.r * p.s, planes = p.n * p.k;
  int64_t strips = clamp(ceil_div(2 * threads, larger(planes, 1)), 1, ceil_div(out_h, kStripRows));
  if (threads <= 1) strips = 1;
  int64_t strip_rows = round_up(ceil_div(out_h, strips), kStripRows);

  run_tasks(planes * strips, threads, [&](int64_t task, int64_t) {
    int64_t plane = task / strips, filter = plane % p.k, image = plane / p.k;
    int64_t begin = task % strips * strip_rows, end = smaller(begin + strip_rows, out_h);
    if (begin >= end) return;
    Vec<T> w[25];
    for (int64_t t = 0; t < taps; ++t) {
      w[t] = Vec<T>::broadcast(weights[filter * taps + (turned ? taps - 1 - t : t)]);
    }
    int64_t channel = dgrad ? filter : filter / p.k_per_group, channels = dgrad ? p.k : p.c;
    Plane<T> from = {source + (image * channels + channel) * src_h * src_w, src_h, src_w};
    T* to = out + plane * out_h * out_w;
    if (spread) {
      auto run = p.pad_top % 2 ? (p.r == 3 ? spread_plane<T, 3, 1> : spread_plane<T, 5, 1>)
                               : (p.r == 3 ? spread_plane<T, 3, 0> : spread_plane<T, 5, 0>);
      run(from, pad_top, pad_left, w, to, begin / 2, (end + 1) / 2, out_h, out_w);
      return;
    }
    auto run = dgrad || p.stride_h == 1
                   ? (p.r == 3 ? filter_plane<T, 3, 1> : filter_plane<T, 5, 1>)
                   : (p.r == 3 ? filter_plane<T, 3, 2> : filter_plane<T, 5, 2>);
    run(from, pad_top, pad_left, w, to, begin, end, out_w);
    if (!epilogue.empty()) {
      finish_rows(epilogue, filter, out, to + begin * out_w, (end - begin) * out_w);
    }
  });
}

template <class T>
void weigh_typed(const Conv2dProblem& p, const T* x, const T* y, const Patch& patch, Vec<T>* sums) {
  auto run = p.stride_h == 1 ? (p.r == 3 ? weigh_plane<T, 3, 1> : weigh_plane<T, 5, 1>)
                             : (p.r == 3 ? weigh_plane<T, 3, 2> : weigh_plane<T, 5, 2>);
  run({x, p.h, p.w}, p.pad_top, p.pad_left, y, p.q, patch, sums);
}

}  // namespace

void run_planes(const Conv2dProblem& p, Direction direction, const Conv2dArrays& arrays,
                const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution.threads);
  } else {
    run_typed<double>(p, direction, arrays, execution.threads);
  }
}

void weigh_rows(const Conv2dProblem& p, const float* x, const float* y, const Patch& patch,
                Vec<float>* sums) {
  weigh_typed(p, x, y, patch, sums);
}

void weigh_rows(const Conv2dProblem& p, const double* x, const double* y, const Patch& patch,
                Vec<double>* sums) {
  weigh_typed(p, x, y, patch, sums);
}

}  // namespace direct
}  // namespace CK_ISA
}  // namespace ck
