#include "bind/plan.h"

#include <pybind11/stl.h>

#include <cmath>

#include "bind/shown.h"

namespace ck {
namespace {

// The numbers a parameter may hold, as messages say it.
constexpr const char* kSteps = "at least 1 and below 2**31";
constexpr const char* kPads = "at least 0 and below 2**31";
constexpr const char* kSides = "a tuple of integers from 0 to 2**50";

}  // namespace

// One parameter of a call. The Python face passes exact ints, floats, strings and tuples, or what
// is none of these as it came; so nothing here runs code of the caller.
class Parameter {
 public:
  Parameter(const std::string& op, const char* name, py::object value, const char* range)
      : op_(op), name_(name), value_(std::move(value)), range_(range) {}

  const py::object& value() const { return value_; }

  bool read(const py::handle& item, int64_t* number) const {
    if (!PyLong_CheckExact(item.ptr())) return false;
    int overflow = 0;
    *number = PyLong_AsLongLongAndOverflow(item.ptr(), &overflow);
    if (overflow != 0) refuse_value(range_);
    return true;
  }

  bool read(const py::handle& items, size_t count, int64_t* numbers) const {
    if (!PyTuple_CheckExact(items.ptr()) || size_t(PyTuple_GET_SIZE(items.ptr())) != count)
      return false;
    for (size_t i = 0; i < count; ++i) {
      if (!read(PyTuple_GET_ITEM(items.ptr(), Py_ssize_t(i)), &numbers[i])) return false;
    }
    return true;
  }

  // The text where it is a string that has UTF-8.
  std::string word() const {
    if (!PyUnicode_Check(value_.ptr())) return "";
    Py_ssize_t length = 0;
    const char* text = PyUnicode_AsUTF8AndSize(value_.ptr(), &length);
    if (text == nullptr) PyErr_Clear();
    return text == nullptr ? "" : std::string(text, size_t(length));
  }

  [[noreturn]] void refuse_type(const char* rule) const {
    throw_type_error("%s: %s is %s, must be %s", op_.c_str(), name_, shown(value_).c_str(), rule);
  }

  [[noreturn]] void refuse_value(const char* rule) const {
    throw_value_error("%s: %s is %s, must be %s", op_.c_str(), name_, shown(value_).c_str(), rule);
  }

  [[noreturn]] void refuse_word(const char* rule) const {
    if (PyUnicode_Check(value_.ptr())) refuse_value(rule);
    refuse_type(rule);
  }

 private:
  const std::string& op_;
  const char* name_;
  py::object value_;
  const char* range_;
};

int Plan::threads(int available) const {
  int threads = available;
  while (max_workspace && threads > 1 && workspace_bytes(threads) > *max_workspace) --threads;
  return threads;
}

Request::Request(std::string op, Backend backend, std::string algo, py::dict arrays,
                 py::dict parameters, std::optional<int64_t> max_workspace,
                 const std::string& precision)
    : op_(std::move(op)),
      backend_(backend),
      algo_(std::move(algo)),
      arrays_(std::move(arrays)),
      parameters_(std::move(parameters)),
      max_workspace_(max_workspace) {
  if (precision == "strict") {
    precision_ = Precision::kStrict;
  } else if (precision != "high") {
    throw_value_error("%s: precision is %s, must be 'high' or 'strict'", op_.c_str(),
                      shown(py::str(precision)).c_str());
  }
}

Parameter Request::parameter(const char* name, const char* range) const {
  return {op_, name, parameters_[name], range};
}

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

int64_t Request::itemsize(const char* array) const {
  const std::string name = dtype_of(array);
  if (const int64_t size = itemsize_of(name)) return size;
  throw_type_error(
      "%s: %s.dtype is %.80s, must be bool, an integer, float or complex of at most 64 "
      "bits a number, or bfloat16",
      op(), array, name.c_str());
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

std::vector<std::string> Request::input_names() const {
  std::vector<std::string> names;
  for (const NamedArray& array : arrays()) names.push_back(array.name);
  return names;
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
  const Parameter given = parameter(name, kSides);
  if (!PyTuple_CheckExact(given.value().ptr())) given.refuse_type("a tuple of integers");
  Shape shape(py::len(given.value()));
  if (!given.read(given.value(), shape.size(), shape.data()))
    given.refuse_type("a tuple of integers");
  return shape;
}

Pair Request::pair(const char* name) const {
  const Parameter given = parameter(name, kSteps);
  int64_t both[2];
  if (given.read(given.value(), &both[0])) return {both[0], both[0]};
  if (given.read(given.value(), 2, both)) return {both[0], both[1]};
  given.refuse_type("an int or a pair of ints");
}

Pair Request::pair_or(const char* name, Pair fallback) const {
  return parameters_[name].is_none() ? fallback : pair(name);
}

Pair Request::pair_keeping(const char* name, Pair sides) const {
  const Parameter given = parameter(name, kSteps);
  int64_t both[2] = {sides.h, sides.w};
  if (given.read(given.value(), &both[0])) return {both[0], both[0]};
  const bool is_pair = PyTuple_CheckExact(given.value().ptr()) && py::len(given.value()) == 2;
  for (int i = 0; is_pair && i < 2; ++i) {
    const py::handle item = PyTuple_GET_ITEM(given.value().ptr(), i);
    if (item.is_none() || given.read(item, &both[i])) continue;
    given.refuse_type("an int or a pair of ints and None");
  }
  if (is_pair) return {both[0], both[1]};
  given.refuse_type("an int or a pair of ints and None");
}

Padding Request::padding(const char* name, bool words_allowed) const {
  const char* rule =
      words_allowed ? "an int, a pair, ((top, bottom), (left, right)), 'valid', 'same' or 'full'"
                    : "an int, a pair or ((top, bottom), (left, right))";
  const Parameter given = parameter(name, kPads);
  Padding padding;
  int64_t sides[2];
  if (given.read(given.value(), &sides[0])) {
    padding.top = padding.bottom = padding.left = padding.right = sides[0];
    return padding;
  }
  if (given.read(given.value(), 2, sides)) {
    padding.top = padding.bottom = sides[0];
    padding.left = padding.right = sides[1];
    return padding;
  }
  if (PyTuple_CheckExact(given.value().ptr()) && py::len(given.value()) == 2) {
    const auto rows_columns = py::reinterpret_borrow<py::tuple>(given.value());
    int64_t rows[2], columns[2];
    if (given.read(rows_columns[0], 2, rows) && given.read(rows_columns[1], 2, columns)) {
      padding.top = rows[0], padding.bottom = rows[1];
      padding.left = columns[0], padding.right = columns[1];
      return padding;
    }
  }
  if (!words_allowed) given.refuse_type(rule);
  const std::string word = given.word();
  if (word == "valid") {
    padding.mode = Padding::Mode::kValid;
  } else if (word == "same") {
    padding.mode = Padding::Mode::kSame;
  } else if (word == "full") {
    padding.mode = Padding::Mode::kFull;
  } else {
    given.refuse_word(rule);
  }
  return padding;
}

PaddingMode Request::padding_mode() const {
  const Parameter given = parameter("padding_mode");
  const std::string word = given.word();
  if (word == "zeros") return PaddingMode::kZeros;
  if (word == "reflect") return PaddingMode::kReflect;
  if (word == "replicate") return PaddingMode::kReplicate;
  if (word == "circular") return PaddingMode::kCircular;
  given.refuse_word("'zeros', 'reflect', 'replicate' or 'circular'");
}

Layout Request::layout() const {
  const Parameter given = parameter("layout");
  const std::string word = given.word();
  if (word == "NCHW") return Layout::kNCHW;
  if (word == "NHWC") return Layout::kNHWC;
  given.refuse_word("'NCHW' or 'NHWC'");
}

Activation Request::activation() const {
  const Parameter given = parameter("activation");
  if (given.value().is_none()) return Activation::kNone;
  const std::string word = given.word();
  if (word == "relu") return Activation::kRelu;
  if (word == "tanh") return Activation::kTanh;
  if (word == "sigmoid") return Activation::kSigmoid;
  given.refuse_word("None, 'relu', 'tanh' or 'sigmoid'");
}

int64_t Request::integer(const char* name, const char* range) const {
  const Parameter given = parameter(name, range);
  int64_t number;
  if (given.read(given.value(), &number)) return number;
  given.refuse_type("an int");
}

double Request::number(const char* name) const {
  const Parameter given = parameter(name);
  PyObject* const value = given.value().ptr();
  const bool is_int = PyLong_CheckExact(value);
  if (!is_int && !PyFloat_CheckExact(value)) given.refuse_type("a number");
  const double number = is_int ? PyLong_AsDouble(value) : PyFloat_AS_DOUBLE(value);
  if (PyErr_Occurred()) PyErr_Clear(), given.refuse_value("finite");  // an int beyond any float
  if (!std::isfinite(number)) given.refuse_value("finite");
  return number;
}

bool Request::flag(const char* name) const {
  const Parameter given = parameter(name);
  if (PyBool_Check(given.value().ptr())) return given.value().ptr() == Py_True;
  given.refuse_type("True or False");
}

int Request::word(const char* name, std::initializer_list<const char*> known) const {
  const Parameter given = parameter(name);
  const std::string word = given.word();
  std::string rule = "one of ";
  int place = 0;
  for (const char* one : known) {
    if (word == one) return place;
    rule += (place++ == 0 ? "'" : ", '") + std::string(one) + "'";
  }
  given.refuse_word(rule.c_str());
}

int64_t itemsize_of(const std::string& dtype) {
  static constexpr struct {
    const char* name;
    int64_t bytes;
  } kTypes[] = {{"float32", 4}, {"float64", 8},   {"float16", 2},    {"bfloat16", 2},
                {"int64", 8},   {"int32", 4},     {"int16", 2},      {"int8", 1},
                {"uint64", 8},  {"uint32", 4},    {"uint16", 2},     {"uint8", 1},
                {"bool", 1},    {"complex64", 8}, {"complex128", 16}};
  for (const auto& type : kTypes) {
    if (dtype == type.name) return type.bytes;
  }
  return 0;
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

std::string not_strict(const Request& request, bool is_strict) {
  if (request.precision() == Precision::kHigh || is_strict) return "";
  return "its sums have an order of their own, precision is 'strict'";
}

std::string over_limit(const Request& request, int64_t workspace_bytes) {
  const int64_t limit = *request.max_workspace();
  if (workspace_bytes <= limit) return "";
  return format_text("its workspace is %lld bytes%s, max_workspace is %lld",
                     (long long)workspace_bytes,
                     request.backend() == Backend::kCpu ? " on one thread" : "", (long long)limit);
}

std::string why_in_order(const Request& request, const std::vector<Candidate>& candidates,
                         const std::string& taken, const Preference& preference) {
  if (request.precision() == Precision::kStrict)
    return "its sums are made in the order that precision 'strict' states";
  const char* backend = backend_name(request.backend());
  if (candidates.size() == 1) return format_text("the only algorithm of backend '%s'", backend);
  std::string why;
  if (preference.algorithm != nullptr) {
    for (const Candidate& candidate : candidates) {
      if (candidate.name == preference.algorithm)
        why = candidate.name + " would come first (" + preference.reason + "), but " +
              candidate.refusal + "; ";
    }
  }
  const bool is_first = candidates.front().name == taken;
  return why + (is_first ? "the first in the table's order"
                         : "the first in the table's order that can run it");
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
    throw_value_error("%s: algo is %s, which backend '%s' does not have; it has auto, %s",
                      request.op(), shown(py::str(request.algo())).c_str(), backend, all.c_str());
  }
  throw_value_error("%s: algo='%s' cannot run this problem: %s. These can: %s", request.op(),
                    request.algo().c_str(), asked->refusal.c_str(),
                    able.empty() ? "none" : able.c_str());
}

}  // namespace ck
