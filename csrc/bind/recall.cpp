#include "bind/recall.h"

#include <pybind11/numpy.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <unordered_map>

#include "bind/call.h"

namespace ck {
namespace {

using py::detail::npy_api;
using py::detail::PyArray_Proxy;

constexpr size_t kMostCalls = 4096;
constexpr int kMaxArrays = 8, kDeepest = 2;  // ((top, bottom), (left, right))
enum Argument { kFunction, kArrays, kParameters, kAlgo, kMaxWorkspace, kPrecision, kLast, kCount };

struct KnownOutput {
  Shape shape;
  int64_t bytes;
  py::dtype dtype;
};

struct KnownCall {
  py::object plan;  // keeps alive
  const Plan* native;
  std::vector<KnownOutput> outputs;
};

// Never destroyed: Python objects must not outlive the interpreter's end.
struct Memory {
  std::mutex mutex;
  std::unordered_map<std::string, std::shared_ptr<const KnownCall>> calls;
};
Memory& memory() {
  static Memory* const all = new Memory;
  return *all;
}

bool is_plain(const PyArray_Proxy* array, int flags) {
  constexpr int kFirstUserType = 256;
  const auto* descr = py::detail::array_descriptor_proxy(reinterpret_cast<PyObject*>(array->descr));
  return (array->flags & flags) == flags && descr->byteorder != '>' && descr->byteorder != '<' &&
         descr->type_num < kFirstUserType;
}

// The array's fields, null where it is of another class, strided, unaligned, or of a type that
// NumPy does not know or that is stored in the other byte order.
const PyArray_Proxy* plain_array(PyObject* object, int more_flags = 0) {
  if (Py_TYPE(object) != npy_api::get().PyArray_Type_) return nullptr;
  const PyArray_Proxy* array = py::detail::array_proxy(object);
  const int flags = npy_api::NPY_ARRAY_C_CONTIGUOUS_ | npy_api::NPY_ARRAY_ALIGNED_ | more_flags;
  return is_plain(array, flags) ? array : nullptr;
}

int type_of(const PyArray_Proxy* array) {
  return py::detail::array_descriptor_proxy(reinterpret_cast<PyObject*>(array->descr))->type_num;
}

// What a call is known by: every value with its type and length before it, so that no two calls
// read alike.
class Key {
 public:
  explicit Key(std::string& text) : text_(text) { text_.clear(); }

  bool add_call(PyObject* const* arguments) {
    if (!PyDict_CheckExact(arguments[kArrays]) || !PyDict_CheckExact(arguments[kParameters]))
      return false;
    for (const Argument plain : {kFunction, kAlgo, kMaxWorkspace, kPrecision}) {
      if (!add_value(arguments[plain], 0)) return false;
    }
    PyObject *name, *value;
    for (Py_ssize_t at = 0; PyDict_Next(arguments[kArrays], &at, &name, &value);) {
      if (!add_array(value)) return false;
    }
    for (Py_ssize_t at = 0; PyDict_Next(arguments[kParameters], &at, &name, &value);) {
      if (!add_value(value, kDeepest)) return false;
    }
    return true;
  }

 private:
  void add(char kind, const void* bytes, size_t count) {
    text_.push_back(kind);
    text_.append(static_cast<const char*>(bytes), count);
  }

  bool add_array(PyObject* object) {
    if (object == Py_None) return add('n', nullptr, 0), true;
    const PyArray_Proxy* array = plain_array(object);
    if (array == nullptr) return false;
    const int64_t head[2] = {type_of(array), array->nd};
    add('a', head, sizeof head);
    for (int i = 0; i < array->nd; ++i) {
      const int64_t side = array->dimensions[i];
      add('d', &side, sizeof side);
    }
    return true;
  }

  bool add_value(PyObject* value, int depth) {
    if (value == Py_None) return add('n', nullptr, 0), true;
    if (PyBool_Check(value)) return add(value == Py_True ? 'T' : 'F', nullptr, 0), true;
    if (PyLong_CheckExact(value)) {
      int overflow = 0;
      const int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
      return add('i', &number, sizeof number), overflow == 0;
    }
    if (PyFloat_CheckExact(value)) {
      const double number = PyFloat_AS_DOUBLE(value);
      return add('f', &number, sizeof number), true;
    }
    if (PyUnicode_CheckExact(value)) {
      Py_ssize_t length = 0;
      const char* const text = PyUnicode_AsUTF8AndSize(value, &length);
      if (text == nullptr) return PyErr_Clear(), false;
      add('s', &length, sizeof length);
      text_.append(text, size_t(length));
      return true;
    }
    if (!PyTuple_CheckExact(value) || depth == 0) return false;
    const Py_ssize_t count = PyTuple_GET_SIZE(value);
    add('t', &count, sizeof count);
    for (Py_ssize_t i = 0; i < count; ++i) {
      if (!add_value(PyTuple_GET_ITEM(value, i), depth - 1)) return false;
    }
    return true;
  }

  std::string& text_;
};

std::shared_ptr<const KnownCall> find_call(PyObject* const* arguments) {
  thread_local std::string text;
  if (!Key(text).add_call(arguments)) return nullptr;
  Memory& all = memory();
  const std::lock_guard lock(all.mutex);
  const auto found = all.calls.find(text);
  return found == all.calls.end() ? nullptr : found->second;
}

// The caller's array for the only result, null where it does not fit or overlaps an input.
char* fitting_out(PyObject* object, const KnownOutput& output, void* const* inputs,
                  const Plan& plan) {
  const PyArray_Proxy* array = plain_array(object, npy_api::NPY_ARRAY_WRITEABLE_);
  if (array == nullptr || type_of(array) != output.dtype.num() ||
      !std::equal(output.shape.begin(), output.shape.end(), array->dimensions,
                  array->dimensions + array->nd))
    return nullptr;
  for (size_t i = 0; i < plan.input_bytes.size(); ++i) {
    const char* const input = static_cast<char*>(inputs[i]);
    if (input != nullptr && array->data < input + plan.input_bytes[i] &&
        input < array->data + output.bytes)
      return nullptr;
  }
  return array->data;
}

// None where the dispatcher shall take the call.
py::object run_again(const KnownCall& call, PyObject* arrays, PyObject* out) {
  void *in[kMaxArrays] = {}, *to[kMaxArrays] = {};
  PyObject *name, *value;
  size_t count = 0;
  for (Py_ssize_t at = 0; PyDict_Next(arrays, &at, &name, &value); ++count)
    in[count] = value == Py_None ? nullptr : py::detail::array_proxy(value)->data;
  py::object results[kMaxArrays];
  bool empty = true;
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    const KnownOutput& output = call.outputs[i];
    if (output.bytes > 0) empty = false;
    if (out != Py_None) {
      results[i] = py::reinterpret_borrow<py::object>(out);
      to[i] = fitting_out(out, output, in, *call.native);
      if (to[i] == nullptr) return py::none();
      continue;
    }
    try {
      results[i] = py::array(output.dtype, output.shape);
    } catch (const py::error_already_set&) {  // no memory; its message is the dispatcher's
      return py::none();
    }
    to[i] = py::detail::array_proxy(results[i].ptr())->data;
  }
  if (!empty) run_on_arrays(*call.native, {to, call.outputs.size()}, {in, count}, 0, 0);
  if (call.outputs.size() == 1) return results[0];
  py::tuple all(call.outputs.size());
  for (size_t i = 0; i < call.outputs.size(); ++i) all[i] = results[i];
  return all;
}

// A plain C function: the binding of pybind11 takes longer than a small convolution.
PyObject* recall(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  if (count != kCount) return PyErr_SetString(PyExc_TypeError, "recall takes 7 arguments"), nullptr;
  try {
    const auto call = find_call(arguments);
    PyObject* const out = arguments[kLast];
    if (call == nullptr || (out != Py_None && call->outputs.size() != 1)) Py_RETURN_NONE;
    return run_again(*call, arguments[kArrays], out).release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const ValueError& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
  } catch (const TypeError& error) {
    PyErr_SetString(PyExc_TypeError, error.what());
  } catch (const MemoryError& error) {
    PyErr_SetString(PyExc_MemoryError, error.what());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

void keep(const py::args& given) {
  if (given.size() != kCount) throw_type_error("keep: takes %d arguments", int(kCount));
  PyObject* arguments[kCount];
  for (size_t i = 0; i < kCount; ++i) arguments[i] = PyTuple_GET_ITEM(given.ptr(), Py_ssize_t(i));
  std::string text;
  if (!Key(text).add_call(arguments)) return;
  auto call = std::make_shared<KnownCall>();
  call->plan = py::reinterpret_borrow<py::object>(arguments[kLast]);
  call->native = call->plan.cast<const Plan*>();
  if (call->native->backend != Backend::kCpu || call->native->outputs.size() > kMaxArrays) return;
  for (const OutputSpec& spec : call->native->outputs) {
    int64_t bytes = itemsize_of(spec.dtype);
    for (const int64_t side : spec.shape) bytes *= side;
    call->outputs.push_back({spec.shape, bytes, py::dtype(spec.dtype)});
  }
  Memory& all = memory();
  std::unordered_map<std::string, std::shared_ptr<const KnownCall>> dropped;  // after the lock
  const std::lock_guard lock(all.mutex);
  if (all.calls.size() >= kMostCalls) all.calls.swap(dropped);
  all.calls.insert_or_assign(std::move(text), std::move(call));
}

}  // namespace

void add_recall(py::module_& module) {
  static PyMethodDef method = {"recall",
                               reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(recall)),
                               METH_FASTCALL, "See csrc/bind/recall.h."};
  module.add_object("recall", py::reinterpret_steal<py::object>(PyCFunction_New(&method, nullptr)));
  module.def("keep", &keep);
}

}  // namespace ck
