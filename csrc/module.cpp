// The extension module: lists the ops, one line each.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bind/call.h"
#include "bind/plan.h"
#include "bind/recall.h"
#include "bind/shown.h"
#include "core/parallel.h"
#include "peaks/peaks.h"
#include "simt/control.h"

#if defined(CK_WITH_CUDA)
#include "gpu/runtime.h"
#endif

namespace ck {

Op describe_adaptive_pool2d();
Op describe_batch_norm();
Op describe_bias_grad();
Op describe_conv2d();
Op describe_conv_transpose2d();
Op describe_copy();
Op describe_cross_entropy();
Op describe_gram();
Op describe_im2col();
Op describe_linear();
Op describe_lrn();
Op describe_pool2d();

namespace {

const std::vector<Op>& ops() {
  static const std::vector<Op> all = {
      describe_conv2d(),     describe_pool2d(),        describe_adaptive_pool2d(),
      describe_gram(),       describe_im2col(),        describe_linear(),
      describe_batch_norm(), describe_bias_grad(),     describe_conv_transpose2d(),
      describe_lrn(),        describe_cross_entropy(), describe_copy(),
  };
  return all;
}

const OpFunction& find_function(const std::string& name) {
  for (const Op& op : ops()) {
    for (const OpFunction& function : op.functions) {
      if (function.name == name) return function;
    }
  }
  throw_value_error("there is no function '%s'", name.c_str());
}

py::list list_algorithms(const std::string& op_name) {
  py::list rows;
  for (const Op& op : ops()) {
    if (op.name != op_name) continue;
    for (const AlgorithmInfo& info : op.algorithms) {
      py::list directions;
      const char* names[] = {"fprop", "dgrad", "wgrad"};
      for (int d = 0; d < 3; ++d) {
        if (info.directions >> d & 1u) directions.append(names[d]);
      }
      py::dict row;
      row["name"] = info.name;
      row["backend"] = backend_name(info.backend);
      row["directions"] = py::tuple(directions);
      row["bound"] = info.bound;
      row["strict"] = info.strict;
      rows.append(row);
    }
  }
  return rows;
}

// Whether the kernels that run are those built to be checked (csrc/simt/CMakeLists.txt).
bool simt_checks() {
#if !defined(CK_SIMT_CHECK)
  return false;
#elif defined(__x86_64__)
  return active_isa() != Isa::kBaseline;
#else
  return true;
#endif
}

py::dict build_info() {
  py::dict info;
  info["isa"] = isa_name(active_isa());
  py::list available;
  for (int i = 0; i < kIsaCount; ++i) {
    if (processor_has(Isa(i))) available.append(isa_name(Isa(i)));
  }
  info["isas"] = available;
  info["compiler"] = CK_COMPILER;
  info["simt_checks"] = simt_checks();
  info["cuda_architectures"] = CK_CUDA_ARCHITECTURES;
  return info;
}

py::list cuda_devices() {
  py::list devices;
#if defined(CK_WITH_CUDA)
  for (const std::string& name : cuda::device_names()) devices.append(name);
#endif
  return devices;
}

// (flops per second, bytes per second). Only these backends have a roofline: simt is no machine.
py::tuple measure_peaks(const std::string& backend, const std::string& dtype, int threads) {
  if (dtype != "float32" && dtype != "float64")
    throw_value_error("measure_peaks: dtype is '%s', must be float32 or float64", dtype.c_str());
  if (threads < 1) throw_value_error("measure_peaks: threads is %d, must be at least 1", threads);
  const DType type = dtype == "float64" ? DType::kFloat64 : DType::kFloat32;
  Peaks peaks{};
  try {
    const WithoutPython released;
    if (backend == "cpu") {
      peaks = measure_cpu_peaks(type, threads);
#if defined(CK_WITH_CUDA)
    } else if (backend == "cuda") {
      peaks = cuda::measure_peaks(type);
#endif
    } else {
      throw_value_error("measure_peaks: backend '%s' has no peaks to measure in this build",
                        backend.c_str());
    }
  } catch (const Interrupted&) {
    throw py::error_already_set();
  }
  return py::make_tuple(peaks.flops_per_s, peaks.bytes_per_s);
}

void set_simt_order(const std::string& order, uint64_t seed, bool late_copies) {
  const char* names[] = {"forward", "reversed", "shuffled"};
  for (int i = 0; i < 3; ++i) {
    if (order == names[i]) return simt::set_options({simt::Order(i), seed, late_copies});
  }
  throw_value_error("simt order is '%s', must be forward, reversed or shuffled", order.c_str());
}

void translate(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const ValueError& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
  } catch (const TypeError& error) {
    PyErr_SetString(PyExc_TypeError, error.what());
  } catch (const MemoryError& error) {
    PyErr_SetString(PyExc_MemoryError, error.what());
  }
}

}  // namespace

}  // namespace ck

PYBIND11_MODULE(_native, m, pybind11::mod_gil_not_used()) {
  using namespace ck;
  // What is wrong in the environment fails the import, not a later call.
  active_isa();
  num_threads();
  py::register_exception<CudaError>(m, "CudaError", PyExc_RuntimeError);
  py::register_exception<simt::SimtError>(m, "SimtError", PyExc_RuntimeError);
  py::register_exception_translator(translate);

  py::class_<Plan>(m, "Plan")
      .def_readonly("op", &Plan::op)
      .def_readonly("algorithm", &Plan::algorithm)
      .def_readonly("why", &Plan::why)
      .def_property_readonly("backend", [](const Plan& plan) { return backend_name(plan.backend); })
      .def_readonly("bound", &Plan::bound)
      .def_property_readonly(
          "outputs",
          [](const Plan& plan) {
            py::list outputs;
            for (const OutputSpec& spec : plan.outputs) {
              outputs.append(py::make_tuple(py::tuple(py::cast(spec.shape)), spec.dtype));
            }
            return py::tuple(outputs);
          })
      .def("threads", [](const Plan& plan) { return plan.threads(num_threads()); })
      .def("workspace_bytes",
           [](const Plan& plan) { return plan.workspace_bytes(plan.threads(num_threads())); })
      .def("run", &run_plan, py::arg("outputs"), py::arg("inputs"), py::arg("stream") = 0,
           py::arg("device") = 0);

  add_recall(m);
  m.def(
      "plan",
      [](const std::string& function, const std::string& backend, const std::string& algo,
         const py::dict& arrays, const py::dict& parameters, std::optional<int64_t> max_workspace,
         const std::string& precision) {
        return find_function(function).plan(Request(function, parse_backend(backend), algo, arrays,
                                                    parameters, max_workspace, precision));
      },
      py::arg("function"), py::arg("backend"), py::arg("algo"), py::arg("arrays"),
      py::arg("parameters"), py::arg("max_workspace") = py::none(), py::arg("precision") = "high");
  m.def(
      "candidates",
      [](const std::string& function, const std::string& backend, const py::dict& arrays,
         const py::dict& parameters, std::optional<int64_t> max_workspace,
         const std::string& precision) {
        py::list result;
        const Request request(function, parse_backend(backend), "auto", arrays, parameters,
                              max_workspace, precision);
        for (const Candidate& candidate : find_function(function).candidates(request)) {
          result.append(py::make_tuple(candidate.name, candidate.refusal));
        }
        return result;
      },
      py::arg("function"), py::arg("backend"), py::arg("arrays"), py::arg("parameters"),
      py::arg("max_workspace") = py::none(), py::arg("precision") = "high");
  m.def("algorithms", &list_algorithms, py::arg("op"));
  m.def("ops", [] {
    py::list names;
    for (const Op& op : ops()) names.append(op.name);
    return names;
  });
  m.def("measure_peaks", &measure_peaks, py::arg("backend"), py::arg("dtype"), py::arg("threads"));
  m.def("shown", &shown, py::arg("value"));
  m.def("num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("threads"));
  m.def("simt_set_order", &set_simt_order, py::arg("order"), py::arg("seed") = 0,
        py::arg("late_copies") = false);
  m.def("simt_executed_kernels", &simt::executed_kernels);
  m.def("build_info", &build_info);
  m.def("cuda_devices", &cuda_devices);
#if defined(CK_WITH_CUDA)
  m.attr("with_cuda") = true;
#else
  m.attr("with_cuda") = false;
#endif
}
