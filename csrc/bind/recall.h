// Calls seen before, found again without Python's help. A call of dense NumPy arrays is known by
// its function, the arrays' shapes and types, and its parameters as built-in values; whatever else
// a call may be is left to the dispatcher, which knows every kind of array and every rule.
#pragma once

#include <pybind11/pybind11.h>

namespace ck {

// Adds to the module:
//   recall(function, arrays, parameters, algo, max_workspace, precision, out)
//     the result of a call like one that was kept, on the cpu; None where there is none, or where
//     `out` does not fit, about which the dispatcher has more to say.
//   keep(function, arrays, parameters, algo, max_workspace, precision, plan)
//     remembers the plan of a call, if it is one that recall can know.
void add_recall(pybind11::module_& module);

}  // namespace ck
