// convert.elementwise, cpu: 16-bit floats to float32 and back, in tasks that keep within the second
// cache. float16 goes by F16C or AVX-512 where there is one; the rest is whole-number arithmetic
// that the compiler turns into vectors.
#include "core/half.h"
#include "cpu/tasks.h"
#include "ops/convert/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

constexpr int64_t kTaskItems = 1 << 16;

template <class Half>
void widen_items(const Half* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = widen(from[i]);
}

template <class Half>
void narrow_items(const float* from, Half* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = narrow(from[i], to);
}

// The forms with a mask of all lanes: GCC 12 warns of what the plain ones leave undefined.
#if defined(__F16C__)
void widen_items(const Float16* from, float* to, int64_t count) {
  int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= count; i += 16) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    _mm512_storeu_ps(to + i, _mm512_maskz_cvtph_ps(__mmask16(-1), bits));
  }
#endif
  for (; i + 8 <= count; i += 8) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(bits));
  }
  for (; i < count; ++i) to[i] = widen(from[i]);
}

void narrow_items(const float* from, Float16* to, int64_t count) {
  int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= count; i += 16) {
    const __m256i bits =
        _mm512_maskz_cvtps_ph(__mmask16(-1), _mm512_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), bits);
  }
#endif
  for (; i + 8 <= count; i += 8) {
    const __m128i bits = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), bits);
  }
  for (; i < count; ++i) to[i] = narrow(from[i], to);
}
#endif

template <class Half>
void run_typed(const ConvertProblem& p, Direction direction, const ConvertArrays& arrays,
               int threads) {
  const bool widens = direction == Direction::kFprop;
  run_tasks((p.count + kTaskItems - 1) / kTaskItems, threads, [&](int64_t task, int64_t) {
    const int64_t first = task * kTaskItems;
    const int64_t count = p.count - first < kTaskItems ? p.count - first : kTaskItems;
    if (widens) {
      widen_items(static_cast<const Half*>(arrays.in) + first,
                  static_cast<float*>(arrays.out) + first, count);
    } else {
      narrow_items(static_cast<const float*>(arrays.in) + first,
                   static_cast<Half*>(arrays.out) + first, count);
    }
  });
}

Reason supports(const ConvertProblem&, Direction) { return accepted(); }

int64_t workspace_bytes(const ConvertProblem&, Direction, int) { return 0; }

void run(const ConvertProblem& p, Direction direction, const ConvertArrays& arrays,
         const Execution& execution) {
  if (p.storage == Storage::kFloat16) {
    run_typed<Float16>(p, direction, arrays, execution.threads);
  } else {
    run_typed<BFloat16>(p, direction, arrays, execution.threads);
  }
}

}  // namespace

extern const ConvertKernel convert_elementwise;
const ConvertKernel convert_elementwise = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
