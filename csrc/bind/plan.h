// From a Python call to a plan: reads the call's parameters, walks an op's table, keeps what is
// needed to run again.
#pragma once

#include <pybind11/pybind11.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/algorithm.h"
#include "core/error.h"
#include "core/preference.h"
#include "core/shape_math.h"

namespace ck {

namespace py = pybind11;

struct OutputSpec {
  Shape shape;
  std::string dtype;
  bool per_image = true;  // begins with the images of the batch, where those can be told apart
};

struct ByteRange {
  int64_t begin, end;
};

// A validated problem with its algorithm. Immutable; threads may share it.
struct Plan {
  std::string op, algorithm;
  std::string why;  // this algorithm was taken
  Backend backend;
  double bound;
  std::vector<std::string> input_names;
  std::vector<int64_t> input_bytes;        // -1 where the call passes no array
  std::optional<ByteRange> strided_input;  // what the only input covers, from its pointer
  std::vector<OutputSpec> outputs;
  std::function<int64_t(int threads)> workspace_bytes;
  std::optional<int64_t> max_workspace;
  std::function<void(std::span<void* const> inputs, std::span<void* const> outputs,
                     const Execution&)>
      run;

  // As many of `available` threads as the workspace limit lets run. The algorithm is chosen by
  // what one thread needs, so that results have the same bits for any number of threads.
  int threads(int available) const;
};

struct NamedArray {
  std::string name, dtype;  // dtype is empty where the call passes None
  Shape shape;
};

// A plan's kernel on the first `images` of the arrays it is given.
struct PieceKernel {
  std::function<int64_t(int64_t images, int threads)> workspace_bytes;
  std::function<void(int64_t images, std::span<void* const> inputs, std::span<void* const> outputs,
                     const Execution&)>
      run;
};

// How a batch may be cut: not at all where images depend on one another, else every input but the
// `whole` ones begins with its images.
struct BatchRule {
  bool independent;
  std::vector<std::string> whole = {"w", "bias"};
};

bool is_16_bit(const std::string& dtype);
// Makes the plan widen what `arrays` and its outputs store in 16 bits, piece by piece of the batch.
void store_in_16_bits(Plan& plan, const std::vector<NamedArray>& arrays, int64_t images,
                      const BatchRule& rule, const PieceKernel& kernel);

struct Candidate {
  std::string name;
  std::string refusal;  // empty where the algorithm can run the problem
};

class Parameter;

// What a call said, by parameter name. Getters throw TypeError where the Python type is wrong.
class Request {
 public:
  Request(std::string op, Backend backend, std::string algo, py::dict arrays, py::dict parameters,
          std::optional<int64_t> max_workspace, const std::string& precision = "high");

  const char* op() const { return op_.c_str(); }
  Backend backend() const { return backend_; }
  const std::string& algo() const { return algo_; }
  std::optional<int64_t> max_workspace() const { return max_workspace_; }
  Precision precision() const { return precision_; }

  std::optional<Shape> shape_of(const char* array) const;
  Shape required_shape(const char* array) const;  // TypeError where the array is None
  // The type that kernels compute in: float32 for arrays of float16 and bfloat16.
  DType common_dtype(std::initializer_list<const char*> arrays) const;
  int64_t itemsize(const char* array) const;  // of any type of numbers
  std::string dtype_of(const char* array) const;
  std::string result_dtype() const;                                // that of the first array
  void require_dtype(const char* array, const char* dtype) const;  // of an array that is not None
  std::vector<std::string> input_names() const;
  std::vector<int64_t> input_bytes() const;
  std::vector<NamedArray> arrays() const;  // those that are not None keep their place

  Shape shape(const char* name) const;  // a parameter that is a shape
  Pair pair(const char* name) const;
  Pair pair_or(const char* name, Pair fallback) const;
  Pair pair_keeping(const char* name, Pair sides) const;  // None for a number keeps that side
  Padding padding(const char* name, bool words_allowed) const;
  PaddingMode padding_mode() const;
  Layout layout() const;
  Activation activation() const;
  // A number that passes 64 bits is refused as out of `range`.
  int64_t integer(const char* name, const char* range = "from 1 to 2**50") const;
  double number(const char* name) const;  // finite
  bool flag(const char* name) const;
  // The place of a word among those known.
  int word(const char* name, std::initializer_list<const char*> known) const;

 private:
  Parameter parameter(const char* name, const char* range = "") const;

  std::string op_;
  Backend backend_;
  std::string algo_;
  py::dict arrays_;  // name -> None or (shape, dtype name), in the order of Plan::run's inputs
  py::dict parameters_;
  std::optional<int64_t> max_workspace_;
  Precision precision_ = Precision::kHigh;
};

int64_t itemsize_of(const std::string& dtype);  // 0 of what is no type of numbers
const char* backend_name(Backend backend);
Backend parse_backend(const std::string& name);
[[noreturn]] void throw_no_algorithm(const Request& request,
                                     const std::vector<Candidate>& candidates);

// Why the request's precision forbids an algorithm of another order of sums, or "".
std::string not_strict(const Request& request, bool is_strict);
// Why the request's limit forbids an algorithm of this workspace, or "".
std::string over_limit(const Request& request, int64_t workspace_bytes);
// Why a table's order gave `taken`, for the algorithms of one backend.
std::string why_in_order(const Request& request, const std::vector<Candidate>& candidates,
                         const std::string& taken, const Preference& preference);

// What runs on a result once the kernel has made it; nothing where `run` is empty. It gets the
// kernel's workspace.
template <class Problem>
struct Finish {
  std::function<int64_t(const Problem&)> workspace_bytes;
  std::function<void(const Problem&, std::span<void* const> inputs, std::span<void* const> outputs,
                     const Execution&)>
      run;
};

// What a call asks for: a direction of a problem, and the arrays that come out.
template <class Problem>
struct Task {
  Problem problem;
  Direction direction;
  std::vector<OutputSpec> outputs;
  BatchRule batch = {direction != Direction::kWgrad};
  Finish<Problem> finish = {};
  bool moves_items = false;  // of any type, as they are: those of 16 bits are not widened
};

template <class Row>
struct Selection {
  const Row& row;
  std::string why;
};

// `fill` sets the arrays' pointers from the call's, in the order of the request's arrays and the
// plan's outputs.
template <class Problem, class Arrays, class Fill>
Plan make_plan(const Request& request, const Selection<AlgorithmRow<Problem, Arrays>>& selection,
               const Task<Problem>& task, Fill fill) {
  const AlgorithmRow<Problem, Arrays>& row = selection.row;
  const Kernel<Problem, Arrays>* kernel = &row.active();
  const Problem problem = task.problem;
  const Direction direction = task.direction;
  Plan plan;
  plan.op = request.op();
  plan.algorithm = row.name;
  plan.why = selection.why;
  plan.backend = row.backend;
  plan.bound = row.bound;
  plan.input_names = request.input_names();
  plan.input_bytes = request.input_bytes();
  plan.outputs = task.outputs;
  plan.max_workspace = request.max_workspace();
  const Finish<Problem> finish = task.finish;
  const auto workspace_of = [=](const Problem& p, int threads) {
    const int64_t bytes = kernel->workspace_bytes(p, direction, threads);
    return finish.run ? std::max(bytes, finish.workspace_bytes(p)) : bytes;
  };
  const auto run_on = [=](const Problem& p, std::span<void* const> inputs,
                          std::span<void* const> results, const Execution& execution) {
    Arrays arrays{};
    fill(arrays, inputs, results);
    kernel->run(p, direction, arrays, execution);
    if (finish.run) finish.run(p, inputs, results, execution);
  };
  plan.workspace_bytes = [=](int threads) { return workspace_of(problem, threads); };
  plan.run = [=](std::span<void* const> inputs, std::span<void* const> results,
                 const Execution& execution) { run_on(problem, inputs, results, execution); };
  if constexpr (requires { problem.n; }) {
    if (is_16_bit(request.result_dtype()) && !task.moves_items) {
      const auto of_images = [=](int64_t images) {
        Problem piece = problem;
        piece.n = images;
        return piece;
      };
      store_in_16_bits(
          plan, request.arrays(), problem.n, task.batch,
          {[=](int64_t images, int threads) { return workspace_of(of_images(images), threads); },
           [=](int64_t images, std::span<void* const> inputs, std::span<void* const> results,
               const Execution& execution) {
             run_on(of_images(images), inputs, results, execution);
           }});
    }
  }
  return plan;
}

template <class Problem, class Arrays>
std::vector<Candidate> list_candidates(std::span<const AlgorithmRow<Problem, Arrays>> rows,
                                       const Task<Problem>& task, const Request& request) {
  std::vector<Candidate> candidates;
  for (const auto& row : rows) {
    if (row.backend != request.backend()) continue;
    if (!row.runs(task.direction)) {
      candidates.push_back({row.name, "it has no kernel for this direction"});
      continue;
    }
    const Reason reason = row.active().supports(task.problem, task.direction);
    std::string refusal = reason.refused ? reason.text : "";
    if (!reason.refused) refusal = not_strict(request, row.strict);
    if (refusal.empty() && request.max_workspace()) {
      const Plan plan = make_plan(request, Selection<AlgorithmRow<Problem, Arrays>>{row, ""}, task,
                                  [](Arrays&, auto, auto) {});
      refusal = over_limit(request, plan.workspace_bytes(1));
    }
    candidates.push_back({row.name, refusal});
  }
  return candidates;
}

// Picks the row: the one asked for, else the preferred one, else the first that accepts.
template <class Row, class Problem>
Selection<Row> select_row(std::span<const Row> rows, const Task<Problem>& task,
                          const Request& request, const Preference& preference = {}) {
  const auto candidates = list_candidates(rows, task, request);
  const auto find = [&](const std::string& name) -> const Row* {
    size_t i = 0;
    for (const Row& row : rows) {
      if (row.backend != request.backend()) continue;
      if (candidates[i].name == name && candidates[i].refusal.empty()) return &row;
      ++i;
    }
    return nullptr;
  };
  if (request.algo() != "auto") {
    if (const Row* row = find(request.algo())) return {*row, "algo names it"};
    throw_no_algorithm(request, candidates);
  }
  if (preference.algorithm != nullptr) {
    if (const Row* row = find(preference.algorithm)) return {*row, preference.reason};
  }
  for (const Candidate& candidate : candidates) {
    if (const Row* row = find(candidate.name))
      return {*row, why_in_order(request, candidates, candidate.name, preference)};
  }
  throw_no_algorithm(request, candidates);
}

// An op announces itself to the module: its public functions, how each makes a plan, and its table.
struct OpFunction {
  std::string name;  // public Python name
  std::function<Plan(const Request&)> plan;
  std::function<std::vector<Candidate>(const Request&)> candidates;
};
struct AlgorithmInfo {
  std::string name;
  Backend backend;
  unsigned directions;
  double bound;
  bool strict;
};
struct Op {
  std::string name;
  std::vector<OpFunction> functions;
  std::vector<AlgorithmInfo> algorithms;
};

template <class Row>
std::vector<AlgorithmInfo> describe(std::span<const Row> rows) {
  std::vector<AlgorithmInfo> infos;
  for (const Row& row : rows)
    infos.push_back({row.name, row.backend, row.directions, row.bound, row.strict});
  return infos;
}

}  // namespace ck
