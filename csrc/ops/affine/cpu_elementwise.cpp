// affine.elementwise, cpu: one pass over memory. NCHW goes plane by plane with the channel's
// numbers in registers. NHWC goes along memory: the numbers stand in tables of one row, which holds
// as many pixels as make whole vectors (C = 24 on 16 lanes: 2 pixels, 3 vectors), or one pixel
// where that would be long. strict rounds a multiply-add once on every instruction set and takes
// the activations of core/functions.h; else it is the same.
#include "cpu/epilogue.h"
#include "cpu/gemm.h"
#include "cpu/strict.h"
#include "cpu/tasks.h"
#include "ops/affine/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

constexpr int64_t kTaskElems = 1 << 14, kLongRow = 1 << 10;
constexpr int64_t kThreadElems = 1 << 15;  // fewer do not pay for waking a thread

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

// What the compiler is told of a call: whether it is strict, whether there is a residual, and the
// activation as far as it is one vector instruction.
template <bool kStrict_, bool kResidual_, Activation kActivation_>
struct Form {
  static constexpr bool kStrict = kStrict_;
  static constexpr bool kResidual = kResidual_;
  static constexpr Activation kActivation = kActivation_;  // kTanh stands for itself and kSigmoid
};

template <class Form, class T>
static CK_INLINE Vec<T> add_product(Vec<T> a, Vec<T> b, Vec<T> c) {
  if constexpr (Form::kStrict) return fused(a, b, c);
  return multiply_add(a, b, c);
}

template <class Form, class T>
static CK_INLINE Vec<T> map(Vec<T> x, const T* residual, uint32_t lanes, const Numbers<T>& numbers,
                            Activation activation) {
  Vec<T> y =
      add_product<Form>(x - numbers.center - numbers.center_rest, numbers.scale, numbers.shift);
  if constexpr (Form::kResidual) {
    const Vec<T> more =
        lanes == kAllLanes<T> ? Vec<T>::load(residual) : Vec<T>::load_masked(residual, lanes);
    y = add_product<Form>(more, numbers.residual_scale, y);
  }
  if (Form::kActivation != Activation::kTanh) activation = Form::kActivation;
  if constexpr (Form::kStrict) return stated_activate(y, activation);
  return activate(y, activation);
}

// `count` elements; numbers_at(i) are those of a vector that begins at element i. Pointers and
// numbers are the loop's own, as its stores might else change them for all the compiler knows.
template <class Form, class T, class NumbersAt>
static CK_INLINE void map_run(const T* x, const T* residual, T* out, int64_t count,
                              Activation activation, const NumbersAt& numbers_at) {
  constexpr int64_t kStep = kLanes<T>;
  int64_t i = 0;
#pragma GCC unroll 4
  for (; i + kStep <= count; i += kStep) {
    map<Form, T>(Vec<T>::load(x + i), residual + i, kAllLanes<T>, numbers_at(i), activation)
        .store(out + i);
  }
  if (i == count) return;
  const uint32_t lanes = first_lanes(count - i);
  map<Form, T>(Vec<T>::load_masked(x + i, lanes), residual + i, lanes, numbers_at(i), activation)
      .store_masked(out + i, lanes);
}

// Elements [at, at + count) lie in planes, each of one channel.
template <class Form, class T>
void map_planes(const AffineProblem& p, const Operands<T>& o, int64_t at, int64_t count) {
  int64_t plane = at / p.pixels, pixel = at % p.pixels;
  for (; count > 0; ++plane, pixel = 0) {
    const int64_t here = min_of(count, p.pixels - pixel), channel = plane % p.c;
    const Numbers<T> numbers = {
        Vec<T>::broadcast(o.number(0, channel)), Vec<T>::broadcast(o.number(1, channel)),
        Vec<T>::broadcast(o.number(2, channel)), Vec<T>::broadcast(o.number(3, channel)),
        Vec<T>::broadcast(o.number(4, channel))};
    map_run<Form>(o.x + at, o.residual + (Form::kResidual ? at : 0), o.out + at, here, o.activation,
                  [numbers](int64_t) { return numbers; });
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

// Elements [at, at + count) begin at the begin of a row; the last row may be cut.
template <class Form, class T>
void map_rows(const Operands<T>& o, const T* table, int64_t row, int64_t at, int64_t count) {
  const int64_t stride = round_up(row, kLanes<T>);
  for (; count > 0; count -= row, at += row) {
    map_run<Form>(o.x + at, o.residual + (Form::kResidual ? at : 0), o.out + at, min_of(count, row),
                  o.activation, [table, stride](int64_t i) {
                    return Numbers<T>{Vec<T>::load(table + i), Vec<T>::load(table + stride + i),
                                      Vec<T>::load(table + 2 * stride + i),
                                      Vec<T>::load(table + 3 * stride + i),
                                      Vec<T>::load(table + 4 * stride + i)};
                  });
  }
}

bool is_planar(const AffineProblem& p) { return p.layout == Layout::kNCHW && p.pixels > 1; }

template <class Form, class T>
void run_form(const AffineProblem& p, const Operands<T>& o, const Execution& execution) {
  const int64_t elems = p.n * p.c * p.pixels;
  const int threads = elems < 2 * kThreadElems ? 1 : execution.threads;
  if (is_planar(p)) {
    run_tasks(ceil_div(elems, kTaskElems), threads, [&](int64_t task, int64_t) {
      const int64_t at = task * kTaskElems;
      map_planes<Form>(p, o, at, min_of(kTaskElems, elems - at));
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
    const int64_t at = task * piece;
    map_rows<Form>(o, table, row, at, min_of(piece, elems - at));
  });
}

template <bool kStrict, bool kResidual, class T>
void run_residual(const AffineProblem& p, const Operands<T>& o, const Execution& execution) {
  if (p.activation == Activation::kNone) {
    run_form<Form<kStrict, kResidual, Activation::kNone>>(p, o, execution);
  } else if (p.activation == Activation::kRelu) {
    run_form<Form<kStrict, kResidual, Activation::kRelu>>(p, o, execution);
  } else {
    run_form<Form<kStrict, kResidual, Activation::kTanh>>(p, o, execution);
  }
}

template <bool kStrict, class T>
void run_typed(const AffineProblem& p, const AffineArrays& arrays, const Execution& execution) {
  const Operands<T> o(p, arrays);
  if (o.residual != nullptr) {
    run_residual<kStrict, true>(p, o, execution);
  } else {
    run_residual<kStrict, false>(p, o, execution);
  }
}

Reason supports(const AffineProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const AffineProblem& p, Direction, int) {
  if (is_planar(p)) return 0;
  return p.dtype == DType::kFloat32
             ? kNumbers * round_up(row_of<float>(p), kLanes<float>) * int64_t(sizeof(float))
             : kNumbers * round_up(row_of<double>(p), kLanes<double>) * int64_t(sizeof(double));
}

template <bool kStrict>
void run(const AffineProblem& p, Direction, const AffineArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<kStrict, float>(p, arrays, execution);
  } else {
    run_typed<kStrict, double>(p, arrays, execution);
  }
}

}  // namespace

extern const AffineKernel affine_elementwise;
const AffineKernel affine_elementwise = {supports, workspace_bytes, run<false>};

extern const AffineKernel affine_strict;
const AffineKernel affine_strict = {supports, workspace_bytes, run<true>};

}  // namespace CK_ISA
}  // namespace ck
