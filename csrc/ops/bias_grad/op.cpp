// The host side of bias_grad: rules, table, binding.
#include "bind/plan.h"
#include "ops/bias_grad/problem.h"

namespace ck {

CK_DECLARE_CPU_KERNEL(BiasGradKernel, bias_grad_block_sums)
CK_DECLARE_CPU_KERNEL(BiasGradKernel, bias_grad_strict)
CK_DECLARE_GPU_KERNEL(BiasGradKernel, bias_grad_block_sums)
CK_DECLARE_GPU_KERNEL(BiasGradKernel, bias_grad_strict)

namespace {

using Row = AlgorithmRow<BiasGradProblem, BiasGradArrays>;

constexpr unsigned kWgradOnly = 1u << int(Direction::kWgrad);

const Row kRows[] = {
    {"block_sums", Backend::kCpu, kWgradOnly, 8.0, CK_CPU_KERNEL(bias_grad_block_sums)},
    {"strict", Backend::kCpu, kWgradOnly, 8.0, CK_CPU_KERNEL(bias_grad_strict), true},
    CK_GPU_ROWS("block_sums", kWgradOnly, 8.0, bias_grad_block_sums),
    CK_GPU_ROWS("strict", kWgradOnly, 8.0, bias_grad_strict, true),
};

Task<BiasGradProblem> read_task(const Request& call) {
  const DType dtype = call.common_dtype({"grad_y"});
  const Shape shape = call.required_shape("grad_y");
  check_rank(call.op(), "grad_y.shape", shape, 4);
  check_extent(call.op(), "grad_y.shape", shape, size_of(dtype), 0, 1);
  const ImageSizes sizes = image_sizes(call.layout(), shape);
  return {{dtype, call.layout(), sizes.n, sizes.c, sizes.h * sizes.w},
          Direction::kWgrad,
          {{{sizes.c}, call.result_dtype()}}};
}

}  // namespace

Op describe_bias_grad() {
  return {"bias_grad",
          {{"conv2d_bias_grad",
            [](const Request& call) {
              const auto task = read_task(call);
              const auto chosen = select_row(std::span<const Row>(kRows), task, call);
              return make_plan(call, chosen, task, [](BiasGradArrays& arrays, auto in, auto out) {
                arrays = {in[0], out[0]};
              });
            },
            [](const Request& call) {
              return list_candidates(std::span<const Row>(kRows), read_task(call), call);
            }}},
          describe(std::span<const Row>(kRows))};
}

}  // namespace ck
