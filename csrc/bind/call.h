// Runs a plan on the caller's arrays: pointers, workspace, the GIL, Ctrl-C.
#pragma once

#include <pybind11/pybind11.h>

#include "bind/plan.h"

namespace ck {

// Lets other Python threads run meanwhile. An interpreter before 3.14 that shuts down unwinds the
// stack of a thread that wants it back, through objects that need it; such a thread waits here for
// the end of the process instead, as 3.14 has it.
class WithoutPython {
 public:
  WithoutPython() : state_(PyEval_SaveThread()) {}
  WithoutPython(const WithoutPython&) = delete;
  WithoutPython& operator=(const WithoutPython&) = delete;
  ~WithoutPython();

 private:
  PyThreadState* state_;
};

// inputs and outputs: per array None, an object with a contiguous buffer (host), or an address
// (device).
void run_plan(const Plan& plan, const py::tuple& outputs, const py::tuple& inputs, uintptr_t stream,
              int device);

// The same by addresses, null where there is no array; at least one output is not empty.
void run_on_arrays(const Plan& plan, std::span<void* const> outputs, std::span<void* const> inputs,
                   uintptr_t stream, int device);

}  // namespace ck
