#include "bind/call.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>

#include "core/parallel.h"
#include "simt/arrays.h"

#if defined(CK_WITH_CUDA)
#include "gpu/runtime.h"
#endif

namespace ck {
namespace {

// Borrowed memory of one argument, given back when the call ends.
class Argument {
 public:
  Argument() = default;
  Argument(const Argument&) = delete;
  Argument& operator=(const Argument&) = delete;
  ~Argument() {
    if (held_) PyBuffer_Release(&buffer_);
  }

  void* open(const Plan& plan, const py::handle& object, int64_t bytes, bool writable) {
    if (object.is_none()) return nullptr;
    if (PyLong_Check(object.ptr())) return reinterpret_cast<void*>(object.cast<uintptr_t>());
    if (PyObject_GetBuffer(object.ptr(), &buffer_, writable ? PyBUF_WRITABLE : PyBUF_SIMPLE) != 0) {
      throw py::error_already_set();
    }
    held_ = true;
    if (buffer_.len != bytes) {
      throw_value_error("%s: a buffer has %lld bytes, the plan was made for %lld", plan.op.c_str(),
                        (long long)buffer_.len, (long long)bytes);
    }
    return buffer_.buf;
  }

 private:
  Py_buffer buffer_;
  bool held_ = false;
};

// Scratch memory of the calling thread. Kept between calls while small, as fresh pages cost more
// than bandwidth.
class HostWorkspace {
 public:
  ~HostWorkspace() { std::free(memory_); }
  void* ensure(int64_t bytes) {
    if (bytes <= capacity_) return memory_;
    release();
    const size_t rounded = (size_t(bytes) + kAlignment - 1) / kAlignment * kAlignment;
    memory_ = std::aligned_alloc(kAlignment, rounded);
    if (memory_ == nullptr) throw NoMemory("the workspace", bytes);
    capacity_ = int64_t(rounded);
    return memory_;
  }
  void trim() {
    if (capacity_ > kKeptBytes) release();
  }

 private:
  void release() {
    std::free(memory_);
    memory_ = nullptr;
    capacity_ = 0;
  }
  static constexpr size_t kAlignment = 64;
  static constexpr int64_t kKeptBytes = int64_t(64) << 20;
  void* memory_ = nullptr;
  int64_t capacity_ = 0;
};

constexpr int kMaxArrays = 8;

bool is_shutting_down() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

bool user_interrupted() {
  if (is_shutting_down()) return false;  // nobody may ask for the interpreter now
  const py::gil_scoped_acquire gil;
  return PyErr_CheckSignals() != 0;  // leaves the exception set for the thread that throws
}

int64_t bytes_of(const OutputSpec& spec) {
  int64_t bytes = itemsize_of(spec.dtype);
  for (const int64_t side : spec.shape) bytes *= side;
  return bytes;
}

// Tells simt's check build what the kernels of a call may touch. An output that is an input as well
// is updated in place.
class KernelArrays {
 public:
  KernelArrays(const Plan& plan, std::span<void* const> inputs, std::span<void* const> outputs,
               const Execution& execution) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      const ByteRange range = plan.strided_input.value_or(ByteRange{0, plan.input_bytes[i]});
      if (inputs[i] != nullptr)
        add(plan.input_names[i], static_cast<char*>(inputs[i]) + range.begin,
            range.end - range.begin, simt::Use::kInput);
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i] == nullptr) continue;
      const bool updated = std::find(inputs.begin(), inputs.end(), outputs[i]) != inputs.end();
      add("output " + std::to_string(i), outputs[i], bytes_of(plan.outputs[i]),
          updated ? simt::Use::kUpdated : simt::Use::kOutput);
    }
    add("workspace", execution.workspace, execution.workspace_bytes, simt::Use::kOutput);
  }

 private:
  void add(const std::string& name, const void* memory, int64_t bytes, simt::Use use) {
    if (bytes > 0) arrays_[count_++].emplace(name.c_str(), memory, size_t(bytes), use);
  }

  std::optional<simt::KernelArray> arrays_[2 * kMaxArrays + 1];
  int count_ = 0;
};

void run_on_host(const Plan& plan, std::span<void* const> inputs, std::span<void* const> outputs) {
  thread_local HostWorkspace workspace;
  const int threads = plan.threads(num_threads());
  const int64_t bytes = plan.workspace_bytes(threads);
  Execution execution{workspace.ensure(bytes), bytes, nullptr, threads};
  std::optional<KernelArrays> arrays;
  if (plan.backend == Backend::kSimt) arrays.emplace(plan, inputs, outputs, execution);
  plan.run(inputs, outputs, execution);
  workspace.trim();
}

void run_on_device(const Plan& plan, std::span<void* const> inputs, std::span<void* const> outputs,
                   uintptr_t stream, int device) {
#if defined(CK_WITH_CUDA)
  const cuda::DeviceGuard guard(device);
  void* handle = reinterpret_cast<void*>(stream);
  const int64_t bytes = plan.workspace_bytes(1);
  const cuda::DeviceWorkspace workspace(bytes, handle);
  plan.run(inputs, outputs, Execution{workspace.get(), bytes, handle, 1});
#else
  (void)inputs, (void)outputs, (void)stream, (void)device;
  throw CudaError(plan.op + ": this build has no CUDA backend");
#endif
}

}  // namespace

WithoutPython::~WithoutPython() {
  while (is_shutting_down()) pause();
  PyEval_RestoreThread(state_);
}

void run_plan(const Plan& plan, const py::tuple& outputs, const py::tuple& inputs, uintptr_t stream,
              int device) {
  if (inputs.size() != plan.input_bytes.size() || inputs.size() > kMaxArrays ||
      outputs.size() != plan.outputs.size()) {
    throw_value_error("%s: %zu inputs and %zu outputs given, the plan takes %zu and %zu",
                      plan.op.c_str(), inputs.size(), outputs.size(), plan.input_bytes.size(),
                      plan.outputs.size());
  }
  Argument held[2 * kMaxArrays];
  void* in[kMaxArrays] = {};
  void* out[kMaxArrays] = {};
  for (size_t i = 0; i < inputs.size(); ++i)
    in[i] = held[i].open(plan, inputs[i], plan.input_bytes[i], false);
  bool empty = true;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const int64_t bytes = bytes_of(plan.outputs[i]);
    if (bytes > 0) empty = false;
    out[i] = held[kMaxArrays + i].open(plan, outputs[i], bytes, true);
  }
  if (empty) return;  // nothing to compute
  run_on_arrays(plan, {out, plan.outputs.size()}, {in, inputs.size()}, stream, device);
}

void run_on_arrays(const Plan& plan, std::span<void* const> outputs, std::span<void* const> inputs,
                   uintptr_t stream, int device) {
  try {
    set_interrupt_hook(user_interrupted);
    const WithoutPython released;
    if (plan.backend == Backend::kCuda) {
      run_on_device(plan, inputs, outputs, stream, device);
    } else {
      run_on_host(plan, inputs, outputs);
    }
  } catch (const Interrupted&) {
    throw py::error_already_set();
  } catch (const NoMemory& error) {
    throw MemoryError(format_text("%s: no memory for %s of algorithm '%s' on %s, %lld bytes",
                                  plan.op.c_str(), error.purpose, plan.algorithm.c_str(),
                                  backend_name(plan.backend), (long long)error.bytes));
  } catch (const std::bad_alloc&) {
    throw MemoryError(format_text("%s: no memory left while algorithm '%s' ran on %s",
                                  plan.op.c_str(), plan.algorithm.c_str(),
                                  backend_name(plan.backend)));
  }
}

}  // namespace ck
