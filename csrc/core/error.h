// Errors that cross into Python. ValueError and TypeError name the argument, its value and the
// rule; `Reason` is how a kernel declines a problem without throwing.
#pragma once

#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>

namespace ck {

struct ValueError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct TypeError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct CudaError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct MemoryError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// Thrown where an allocation fails: the caller knows op and algorithm, and makes a MemoryError.
struct NoMemory : std::bad_alloc {
  NoMemory(const char* what_for, int64_t size) : purpose(what_for), bytes(size) {}
  const char* purpose;  // "the workspace"
  int64_t bytes;
};

// printf-style, so that per-instruction-set files need no std::string.
[[noreturn]] void throw_value_error(const char* format, ...) __attribute__((format(printf, 1, 2)));
[[noreturn]] void throw_type_error(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string format_text(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace ck
