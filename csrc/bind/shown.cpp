#include "bind/shown.h"

namespace ck {
namespace {

namespace py = pybind11;

constexpr Py_ssize_t kLongest = 80;  // characters
constexpr Py_ssize_t kRead = 1000;   // of the repr, before runs of blanks become one

// A repr may raise, or need more digits than Python prints; Ctrl-C during it counts.
py::str repr_of(const py::handle& value) {
  PyObject* text = PyObject_Repr(value.ptr());
  if (text != nullptr) return py::reinterpret_steal<py::str>(text);
  if (!PyErr_ExceptionMatches(PyExc_Exception)) throw py::error_already_set();
  PyErr_Clear();
  return py::str(std::string("<") + Py_TYPE(value.ptr())->tp_name + " that cannot be printed>");
}

py::str cut(const py::str& text, Py_ssize_t length) {
  PyObject* part = PyUnicode_Substring(text.ptr(), 0, length);
  if (part == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(part);
}

}  // namespace

std::string shown(const py::handle& value) {
  const py::str whole = repr_of(value);
  const bool is_long = PyUnicode_GetLength(whole.ptr()) > kRead;
  py::str line = py::str(" ").attr("join")(cut(whole, kRead).attr("split")());
  if (is_long || PyUnicode_GetLength(line.ptr()) > kLongest) {
    line = py::str(cut(line, kLongest - 3).attr("__add__")("..."));
  }
  // Half a surrogate pair has no UTF-8.
  return std::string(py::bytes(line.attr("encode")("utf-8", "backslashreplace")));
}

}  // namespace ck
