// THE table of linear's algorithms, and what `auto` tries first.
#include "core/error.h"
#include "ops/linear/linear.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(LinearKernel, linear_gemm)
CK_DECLARE_CPU_KERNEL(LinearKernel, linear_stream)
CK_DECLARE_CPU_KERNEL(LinearKernel, linear_strict)
CK_DECLARE_GPU_KERNEL(LinearKernel, linear_gemm)
CK_DECLARE_GPU_KERNEL(LinearKernel, linear_strict)

namespace {

constexpr int64_t kFewRows = 3;  // timed on one AVX-512 core (Zen 5)

const LinearRow kRows[] = {
    {"gemm", Backend::kCpu, kAllDirections, 8.0, CK_CPU_KERNEL(linear_gemm)},
    {"stream", Backend::kCpu, kFpropDgrad, 8.0, CK_CPU_KERNEL(linear_stream)},
    {"strict", Backend::kCpu, kAllDirections, 8.0, CK_CPU_KERNEL(linear_strict), true},
    CK_GPU_ROWS("gemm", kAllDirections, 8.0, linear_gemm),
    CK_GPU_ROWS("strict", kAllDirections, 8.0, linear_strict, true),
};

}  // namespace

std::span<const LinearRow> linear_algorithms() { return kRows; }

Preference preferred_linear(const LinearProblem& problem, Direction direction, Backend backend) {
  const bool streams = backend == Backend::kCpu && direction != Direction::kWgrad;
  if (!streams || problem.n > kFewRows) return {};
  return {"stream",
          format_text("%lld row%s; up to %lld stream is faster, as it never packs w",
                      (long long)problem.n, problem.n == 1 ? "" : "s", (long long)kFewRows)};
}

}  // namespace ck
