// affine.elementwise, cpu: one pass over memory. NCHW goes plane by plane with the channel's
// numbers in registers. NHWC goes along memory: the numbers stand in tables of one row, which holds
// as many pixels as make whole vectors (C = 24 on 16 lanes: 2 pixels, 3 vectors), or one pixel
// where that would be long.
#include "cpu/epilogue.h"
#include "cpu/gemm.h"
#include "cpu/tasks.h"
#include "ops/affine/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

constexpr int64_t kTaskElems = 1 << 15, kLongRow = 1 << 10;
constexpr int64_t kThreadElems = 1 << 16;  // fewer do not pay for waking a thread

template <class T>
struct Numbers {
  Vec<T> center, center_rest, scale, shift, residual_scale;
};

// The neutral numbers: x - 0, x * 1 and x + -0 are x to the bit.
constexpr int kNumbers = 5;
template <class T>
static CK_INLINE T neutral(int i) {
  return i < 2 ? T(0) : i == 3 ? T(-0.0) : T(1);
}

template <class T>
struct Operands {
  const T *x, *residual;
  const T* of_channel[kNumbers];  // null where absent
  T* out;
  Activation activation;

  explicit Operands(const AffineProblem& p, const AffineArrays& arrays)
      : x(static_cast<const T*>(arrays.x)),
        residual(static_cast<const T*>(arrays.residual)),
        of_channel{static_cast<const T*>(arrays.center), static_cast<const T*>(arrays.center_rest),
                   static_cast<const T*>(arrays.scale), static_cast<const T*>(arrays.shift),
                   static_cast<const T*>(arrays.residual_scale)},
        out(static_cast<T*>(arrays.out)),
        activation(p.activation) {}

  T number(int i, int64_t channel) const {
    return of_channel[i] == nullptr ? neutral<T>(i) : of_channel[i][channel];
  }
};

template <class T, bool kResidual>
static CK_INLINE Vec<T> map(Vec<T> x, Vec<T> residual, const Numbers<T>& numbers,
                            Activation activation) {
  Vec<T> y = multiply_add(x - numbers.center - numbers.center_rest, numbers.scale, numbers.shift);
  if constexpr (kResidual) y = multiply_add(residual, numbers.residual_scale, y);
  return activate(y, activation);
}

template <class T, bool kResidual>
void map_plane(const Operands<T>& o, const Numbers<T>& numbers, int64_t at, int64_t count) {
  constexpr int64_t kStep = kLanes<T>;
  int64_t i = at;
  const int64_t end = at + count;
  for (; i + kStep <= end; i += kStep) {
    const Vec<T> residual = kResidual ? Vec<T>::load(o.residual + i) : Vec<T>::zero();
    map<T, kResidual>(Vec<T>::load(o.x + i), residual, numbers, o.activation).store(o.out + i);
  }
  if (i == end) return;
  const uint32_t lanes = first_lanes(end - i);
  const Vec<T> residual = kResidual ? Vec<T>::load_masked(o.residual + i, lanes) : Vec<T>::zero();
  map<T, kResidual>(Vec<T>::load_masked(o.x + i, lanes), residual, numbers, o.activation)
      .store_masked(o.out + i, lanes);
}

// Elements [at, at + count) lie in planes, each of one channel.
template <class T>
void map_planes(const AffineProblem& p, const Operands<T>& o, int64_t at, int64_t count) {
  int64_t plane = at / p.pixels, pixel = at % p.pixels;
  for (; count > 0; ++plane, pixel = 0) {
    const int64_t here = min_of(count, p.pixels - pixel), channel = plane % p.c;
    Numbers<T> numbers;
    numbers.center = Vec<T>::broadcast(o.number(0, channel));
    numbers.center_rest = Vec<T>::broadcast(o.number(1, channel));
    numbers.scale = Vec<T>::broadcast(o.number(2, channel));
    numbers.shift = Vec<T>::broadcast(o.number(3, channel));
    numbers.residual_scale = Vec<T>::broadcast(o.number(4, channel));
    if (o.residual != nullptr) {
      map_plane<T, true>(o, numbers, at, here);
    } else {
      map_plane<T, false>(o, numbers, at, here);
    }
    at += here;
    count -= here;
  }
}

template <class T>
int64_t row_of(const AffineProblem& p) {
  int64_t row = p.c;
  while (row % kLanes<T> != 0 && row < kLongRow) row += p.c;
  return row % kLanes<T> == 0 ? row : p.c;
}

template <class T>
static CK_INLINE Numbers<T> numbers_at(const T* table, int64_t stride, int64_t i) {
  return {Vec<T>::load(table + i), Vec<T>::load(table + stride + i),
          Vec<T>::load(table + 2 * stride + i), Vec<T>::load(table + 3 * stride + i),
          Vec<T>::load(table + 4 * stride + i)};
}

// Elements [at, at + count) begin at the begin of a row; the last row may be cut.
template <class T, bool kResidual>
void map_rows(const Operands<T>& o, const T* table, int64_t row, int64_t at, int64_t count) {
  constexpr int64_t kStep = kLanes<T>;
  const int64_t stride = round_up(row, kStep);
  for (; count > 0; count -= row, at += row) {
    const int64_t here = min_of(count, row);
    int64_t i = 0;
    for (; i + kStep <= here; i += kStep) {
      const Vec<T> residual = kResidual ? Vec<T>::load(o.residual + at + i) : Vec<T>::zero();
      map<T, kResidual>(Vec<T>::load(o.x + at + i), residual, numbers_at(table, stride, i),
                        o.activation)
          .store(o.out + at + i);
    }
    if (i == here) continue;
    const uint32_t lanes = first_lanes(here - i);
    const Vec<T> residual =
        kResidual ? Vec<T>::load_masked(o.residual + at + i, lanes) : Vec<T>::zero();
    map<T, kResidual>(Vec<T>::load_masked(o.x + at + i, lanes), residual,
                      numbers_at(table, stride, i), o.activation)
        .store_masked(o.out + at + i, lanes);
  }
}

bool is_planar(const AffineProblem& p) { return p.layout == Layout::kNCHW && p.pixels > 1; }

template <class T>
void run_typed(const AffineProblem& p, const AffineArrays& arrays, const Execution& execution) {
  const Operands<T> o(p, arrays);
  const int64_t elems = p.n * p.c * p.pixels;
  const int threads = elems < 2 * kThreadElems ? 1 : execution.threads;
  if (is_planar(p)) {
    run_tasks(ceil_div(elems, kTaskElems), threads, [&](int64_t task, int64_t) {
      const int64_t at = task * kTaskElems;
      map_planes(p, o, at, min_of(kTaskElems, elems - at));
    });
    return;
  }
  const int64_t row = row_of<T>(p), stride = round_up(row, kLanes<T>);
  T* const table = static_cast<T*>(execution.workspace);
  for (int i = 0; i < kNumbers; ++i) {
    for (int64_t j = 0, channel = 0; j < stride; ++j) {
      table[i * stride + j] = j < row ? o.number(i, channel) : T(0);
      if (++channel == p.c) channel = 0;
    }
  }
  const int64_t piece = ceil_div(kTaskElems, row) * row;
  run_tasks(ceil_div(elems, piece), threads, [&](int64_t task, int64_t) {
    const int64_t at = task * piece, count = min_of(piece, elems - at);
    if (o.residual != nullptr) {
      map_rows<T, true>(o, table, row, at, count);
    } else {
      map_rows<T, false>(o, table, row, at, count);
    }
  });
}

Reason supports(const AffineProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const AffineProblem& p, Direction, int) {
  if (is_planar(p)) return 0;
  return p.dtype == DType::kFloat32
             ? kNumbers * round_up(row_of<float>(p), kLanes<float>) * int64_t(sizeof(float))
             : kNumbers * round_up(row_of<double>(p), kLanes<double>) * int64_t(sizeof(double));
}

void run(const AffineProblem& p, Direction, const AffineArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, arrays, execution);
  } else {
    run_typed<double>(p, arrays, execution);
  }
}

}  // namespace

extern const AffineKernel affine_elementwise;
const AffineKernel affine_elementwise = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
