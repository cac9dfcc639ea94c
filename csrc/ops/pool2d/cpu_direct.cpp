// pool2d.direct, cpu: maximum (with indices) and average, NCHW and NHWC, and their gradients.
// How rows are reduced and gathered is said in cpu_forward.h and cpu_backward.h; here the work is
// cut into units (a plane or a block of channels, a strip of columns, a band of rows), which
// threads take in chunks. A chunk owns its scratch. No result depends on the cut.
#include "core/parallel.h"
#include "ops/pool2d/cpu_backward.h"
#include "ops/pool2d/cpu_forward.h"

namespace ck {
namespace CK_ISA {
namespace {

Reason supports(const Pool2dProblem& p, Direction direction) {
  (void)direction;
  // Places within a window are kept as int32 beside float32, so that lanes pair up.
  const int64_t span = ((p.r - 1) * p.dilation_h + 1) * p.w + (p.s - 1) * p.dilation_w;
  if (p.is_max && p.dtype == DType::kFloat32 && span > INT32_MAX) {
    return refused("a window spans %lld pixels of the image, float32 needs at most %d",
                   static_cast<long long>(span), INT32_MAX);
  }
  return accepted();
}

template <class Task>
void run_chunk(void* context, int64_t chunk) {
  const Task& task = *static_cast<const Task*>(context);
  const int64_t begin = chunk * task.plan.units / task.plan.chunks;
  const int64_t end = (chunk + 1) * task.plan.units / task.plan.chunks;
  typename Task::Worker worker(task.problem, task.plan, task.arrays,
                               task.scratch + chunk * task.scratch_bytes);
  worker.run_units(begin, end);
}

template <class WorkerType, class Plan>
struct Task {
  typedef WorkerType Worker;
  const Pool2dProblem& problem;
  const Plan& plan;
  const Pool2dArrays& arrays;
  char* scratch;
  int64_t scratch_bytes;
};

template <class Worker, class Scratch, class Plan>
void run_chunks(const Pool2dProblem& p, const Plan& plan, const Pool2dArrays& arrays,
                const Execution& execution) {
  Scratch scratch;
  typedef Task<Worker, Plan> WorkerTask;
  WorkerTask task = {p, plan, arrays, static_cast<char*>(execution.workspace),
                     scratch.carve(p, plan, nullptr)};
  parallel_for(plan.chunks, execution.threads, run_chunk<WorkerTask>, &task);
}

template <class T>
void run_typed(const Pool2dProblem& p, Direction direction, const Pool2dArrays& arrays,
               const Execution& execution) {
  if (direction == Direction::kFprop) {
    const ForwardPlan plan = plan_forward<T>(p, execution.threads);
    if (!p.is_max) {
      run_chunks<Forward<T, Pooling::kAverage>, ForwardScratch<T>>(p, plan, arrays, execution);
    } else if (arrays.indices_out != nullptr) {
      run_chunks<Forward<T, Pooling::kMaxIndexed>, ForwardScratch<T>>(p, plan, arrays, execution);
    } else {
      run_chunks<Forward<T, Pooling::kMax>, ForwardScratch<T>>(p, plan, arrays, execution);
    }
  } else {
    const BackwardPlan plan = plan_backward<T>(p, execution.threads);
    if (p.is_max) {
      run_chunks<Backward<T, true>, BackwardScratch<T>>(p, plan, arrays, execution);
    } else {
      run_chunks<Backward<T, false>, BackwardScratch<T>>(p, plan, arrays, execution);
    }
  }
}

template <class T>
int64_t scratch_bytes(const Pool2dProblem& p, Direction direction, int threads) {
  if (direction == Direction::kFprop) {
    const ForwardPlan plan = plan_forward<T>(p, threads);
    ForwardScratch<T> scratch;
    return plan.chunks * scratch.carve(p, plan, nullptr);
  }
  const BackwardPlan plan = plan_backward<T>(p, threads);
  BackwardScratch<T> scratch;
  return plan.chunks * scratch.carve(p, plan, nullptr);
}

int64_t workspace_bytes(const Pool2dProblem& p, Direction direction, int threads) {
  return p.dtype == DType::kFloat32 ? scratch_bytes<float>(p, direction, threads)
                                    : scratch_bytes<double>(p, direction, threads);
}

void run(const Pool2dProblem& p, Direction direction, const Pool2dArrays& arrays,
         const Execution& execution) {
  if (p.dtype == DType::kFloat32) {
    run_typed<float>(p, direction, arrays, execution);
  } else {
    run_typed<double>(p, direction, arrays, execution);
  }
}

}  // namespace

extern const Pool2dKernel pool2d_direct;
const Pool2dKernel pool2d_direct = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
