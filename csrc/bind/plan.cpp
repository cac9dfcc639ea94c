#include "bind/plan.h"

#include <pybind11/stl.h>

#include <cmath>

namespace ck {
namespace {

[[noreturn]] void bad_parameter(const std::string& op, const char* name, const py::handle& value,
                                const char* rule) {
  throw_type_error("%s: %s is %s, must be %s", op.c_str(), name,
                   py::repr(value).cast<std::string>().c_str(), rule);
}

// An index in Python's sense, within 64 bits; bool is no number here.
bool read_integer(const py::handle& value, int64_t* result) {
  if (py::isinstance<py::bool_>(value) || !PyIndex_Check(value.ptr())) return false;
  const py::object index = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (!index) {
    PyErr_Clear();  // an array of several numbers, say: the caller names argument and rule
    return false;
  }
  int overflow = 0;
  *result = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow != 0) *result = overflow > 0 ? INT64_MAX : INT64_MIN;
  return true;
}

bool is_number(const py::handle& value) {
  if (PyFloat_Check(value.ptr())) return true;
  if (py::isinstance<py::bool_>(value)) return false;
  if (PyIndex_Check(value.ptr()))
    return !py::hasattr(value, "shape") || py::len(value.attr("shape")) == 0;
  // NumPy's scalars of other widths.
  return py::hasattr(value, "dtype") && py::len(value.attr("shape")) == 0 &&
         value.attr("dtype").attr("kind").cast<std::string>() == "f";
}

bool is_sequence(const py::handle& value) {
  return py::isinstance<py::tuple>(value) || py::isinstance<py::list>(value);
}

bool read_integers(const py::handle& value, size_t count, int64_t* result) {
  if (!is_sequence(value) || py::len(value) != count) return false;
  size_t i = 0;
  for (const py::handle item : py::reinterpret_borrow<py::sequence>(value)) {
    if (!read_integer(item, &result[i++])) return false;
  }
  return true;
}

}  // namespace

Request::Request(std::string op, Backend backend, std::string algo, py::dict arrays,
                 py::dict parameters)
    : op_(std::move(op)),
      backend_(backend),
      algo_(std::move(algo)),
      arrays_(std::move(arrays)),
      parameters_(std::move(parameters)) {}

py::object Request::parameter(const char* name) const { return parameters_[name]; }

std::optional<Shape> Request::shape_of(const char* array) const {
  const py::object entry = arrays_[array];
  if (entry.is_none()) return std::nullopt;
  return entry.cast<py::tuple>()[0].cast<Shape>();
}

Shape Request::required_shape(const char* array) const {
  const auto shape = shape_of(array);
  if (!shape) throw_type_error("%s: %s is None, must be an array", op(), array);
  return *shape;
}

DType Request::common_dtype(std::initializer_list<const char*> arrays) const {
  std::string first, first_name;
  for (const char* array : arrays) {
    const py::object entry = arrays_[array];
    if (entry.is_none()) continue;
    const auto name = entry.cast<py::tuple>()[1].cast<std::string>();
    if (name != "float32" && name != "float64" && !is_16_bit(name)) {
      throw_type_error("%s: %s.dtype is %s, must be float32, float64, float16 or bfloat16", op(),
                       array, name.c_str());
    }
    if (first.empty()) {
      first = name, first_name = array;
    } else if (name != first) {
      throw_type_error("%s: %s.dtype is %s, but %s.dtype is %s; all arrays must have one dtype",
                       op(), array, name.c_str(), first_name.c_str(), first.c_str());
    }
  }
  return first == "float64" ? DType::kFloat64 : DType::kFloat32;
}

std::string Request::dtype_of(const char* array) const {
  return py::object(arrays_[array]).cast<py::tuple>()[1].cast<std::string>();
}

std::string Request::result_dtype() const { return arrays().front().dtype; }

void Request::require_dtype(const char* array, const char* dtype) const {
  const std::string name = dtype_of(array);
  if (name == dtype) return;
  throw_type_error("%s: %s.dtype is %s, must be %s", op(), array, name.c_str(), dtype);
}

std::vector<NamedArray> Request::arrays() const {
  std::vector<NamedArray> arrays;
  for (const auto& [name, entry] : arrays_) {
    arrays.push_back({name.cast<std::string>(), "", {}});
    if (entry.is_none()) continue;
    const auto pair = py::reinterpret_borrow<py::tuple>(entry);
    arrays.back().shape = pair[0].cast<Shape>();
    arrays.back().dtype = pair[1].cast<std::string>();
  }
  return arrays;
}

std::vector<int64_t> Request::input_bytes() const {
  std::vector<int64_t> sizes;
  for (const NamedArray& array : arrays()) {
    int64_t bytes = array.dtype.empty() ? -1 : itemsize_of(array.dtype);
    for (const int64_t side : array.shape) bytes = saturating_product(bytes, side);
    sizes.push_back(bytes);
  }
  return sizes;
}

Shape Request::shape(const char* name) const {
  const py::object value = parameter(name);
  Shape shape;
  if (is_sequence(value)) {
    shape.resize(py::len(value));
    if (read_integers(value, shape.size(), shape.data())) return shape;
  }
  bad_parameter(op_, name, value, "a tuple of integers");
}

Pair Request::pair(const char* name) const {
  const py::object value = parameter(name);
  int64_t both[2];
  if (read_integer(value, &both[0])) return {both[0], both[0]};
  if (read_integers(value, 2, both)) return {both[0], both[1]};
  bad_parameter(op_, name, value, "an int or a pair of ints");
}

Pair Request::pair_or(const char* name, Pair fallback) const {
  return parameter(name).is_none() ? fallback : pair(name);
}

Padding Request::padding(const char* name, bool words_allowed) const {
  const char* rule =
      words_allowed ? "an int, a pair, ((top, bottom), (left, right)), 'valid', 'same' or 'full'"
                    : "an int, a pair or ((top, bottom), (left, right))";
  const py::object value = parameter(name);
  Padding padding;
  int64_t sides[2];
  if (read_integer(value, &sides[0])) {
    padding.top = padding.bottom = padding.left = padding.right = sides[0];
    return padding;
  }
  if (read_integers(value, 2, sides)) {
    padding.top = padding.bottom = sides[0];
    padding.left = padding.right = sides[1];
    return padding;
  }
  if (is_sequence(value) && py::len(value) == 2) {
    const auto rows_columns = py::reinterpret_borrow<py::sequence>(value);
    int64_t rows[2], columns[2];
    if (read_integers(py::object(rows_columns[0]), 2, rows) &&
        read_integers(py::object(rows_columns[1]), 2, columns)) {
      padding.top = rows[0], padding.bottom = rows[1];
      padding.left = columns[0], padding.right = columns[1];
      return padding;
    }
  }
  if (words_allowed && py::isinstance<py::str>(value)) {
    const auto word = value.cast<std::string>();
    padding.mode = word == "valid"  ? Padding::Mode::kValid
                   : word == "same" ? Padding::Mode::kSame
                   : word == "full" ? Padding::Mode::kFull
                                    : Padding::Mode::kNumbers;
    if (padding.mode != Padding::Mode::kNumbers) return padding;
    throw_value_error("%s: %s is '%s', must be %s", op(), name, word.c_str(), rule);
  }
  bad_parameter(op_, name, value, rule);
}

Layout Request::layout() const {
  const py::object value = parameter("layout");
  if (py::isinstance<py::str>(value)) {
    const auto text = value.cast<std::string>();
    if (text == "NCHW") return Layout::kNCHW;
    if (text == "NHWC") return Layout::kNHWC;
    throw_value_error("%s: layout is '%s', must be 'NCHW' or 'NHWC'", op(), text.c_str());
  }
  bad_parameter(op_, "layout", value, "'NCHW' or 'NHWC'");
}

Activation Request::activation() const {
  const py::object value = parameter("activation");
  if (value.is_none()) return Activation::kNone;
  if (py::isinstance<py::str>(value)) {
    const auto text = value.cast<std::string>();
    if (text == "relu") return Activation::kRelu;
    if (text == "tanh") return Activation::kTanh;
    if (text == "sigmoid") return Activation::kSigmoid;
    throw_value_error("%s: activation is '%s', must be None, 'relu', 'tanh' or 'sigmoid'", op(),
                      text.c_str());
  }
  bad_parameter(op_, "activation", value, "None, 'relu', 'tanh' or 'sigmoid'");
}

int64_t Request::integer(const char* name) const {
  const py::object value = parameter(name);
  int64_t number;
  if (read_integer(value, &number)) return number;
  bad_parameter(op_, name, value, "an int");
}

double Request::number(const char* name) const {
  const py::object value = parameter(name);
  if (is_number(value)) {
    const py::object real = py::reinterpret_steal<py::object>(PyNumber_Float(value.ptr()));
    if (real && std::isfinite(real.cast<double>())) return real.cast<double>();
    PyErr_Clear();  // an int beyond any float
    throw_value_error("%s: %s is %s, must be finite", op(), name,
                      py::repr(value).cast<std::string>().c_str());
  }
  bad_parameter(op_, name, value, "a number");
}

bool Request::flag(const char* name) const {
  const py::object value = parameter(name);
  if (py::isinstance<py::bool_>(value)) return value.cast<bool>();
  bad_parameter(op_, name, value, "True or False");
}

int64_t itemsize_of(const std::string& dtype) {
  return is_16_bit(dtype) ? 2 : dtype == "float32" ? 4 : 8;
}

const char* backend_name(Backend backend) {
  return backend == Backend::kCpu ? "cpu" : backend == Backend::kSimt ? "simt" : "cuda";
}

Backend parse_backend(const std::string& name) {
  if (name == "cpu") return Backend::kCpu;
  if (name == "simt") return Backend::kSimt;
  if (name == "cuda") return Backend::kCuda;
  throw_value_error("backend is '%s', must be cpu, simt or cuda", name.c_str());
}

void throw_no_algorithm(const Request& request, const std::vector<Candidate>& candidates) {
  std::string able, all;
  const Candidate* asked = nullptr;
  for (const Candidate& candidate : candidates) {
    if (candidate.name == request.algo()) asked = &candidate;
    all += (all.empty() ? "" : ", ") + candidate.name;
    if (candidate.refusal.empty()) able += (able.empty() ? "" : ", ") + candidate.name;
  }
  const char* backend = backend_name(request.backend());
  if (candidates.empty())
    throw_value_error("%s: this build has no %s backend", request.op(), backend);
  if (request.algo() == "auto") {
    std::string reasons;
    for (const Candidate& candidate : candidates) {
      reasons += (reasons.empty() ? "" : "; ") + candidate.name + ": " + candidate.refusal;
    }
    throw_value_error("%s: no algorithm of backend '%s' can run this problem (%s)", request.op(),
                      backend, reasons.c_str());
  }
  if (asked == nullptr) {
    throw_value_error("%s: algo is '%s', which backend '%s' does not have; it has auto, %s",
                      request.op(), request.algo().c_str(), backend, all.c_str());
  }
  throw_value_error("%s: algo='%s' cannot run this problem: %s. These can: %s", request.op(),
                    request.algo().c_str(), asked->refusal.c_str(),
                    able.empty() ? "none" : able.c_str());
}

}  // namespace ck
