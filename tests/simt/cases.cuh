// A program of small kernels, each a case that is right or has one planted bug.
//
// usage: PROGRAM CASE [forward|reversed|shuffled [SEED [late]]], late: when cp.async arrives
// Prints one line: "ok HASH" (the outputs equal the host reference; HASH is of their bits), "wrong
// COUNT of TOTAL", or "error TEXT" where the launch threw. Built by nvcc it runs on the GPU, with
// no order to choose; not run on a GPU so far.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "gpu/device.cuh"
#if !defined(__CUDACC__)
#include "simt/arrays.h"
#include "simt/control.h"
#endif

namespace ck {
namespace CK_GPU {

#if defined(__CUDACC__)
// Memory that host and device see.
template <class T>
struct Managed {
  using value_type = T;
  T* allocate(size_t count) {
    void* memory = nullptr;
    check(cudaMallocManaged(&memory, count * sizeof(T)));
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t) { cudaFree(memory); }
  bool operator==(const Managed&) const { return true; }
  static void check(cudaError_t error) {
    if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
  }
};
template <class T>
using Values = std::vector<T, Managed<T>>;
inline void finish_kernels() { Managed<int>::check(cudaDeviceSynchronize()); }

template <class T>
struct Array {
  Array(const char*, const Values<T>&, bool) {}
};
#else
template <class T>
using Values = std::vector<T>;
inline void finish_kernels() {}

// Tells the check build of an array.
template <class T>
struct Array {
  simt::KernelArray array;
  Array(const char* name, const Values<T>& values, bool is_input)
      : array(name, values.data(), values.size() * sizeof(T),
              is_input ? simt::Use::kInput : simt::Use::kOutput) {}
};
#endif

struct Outcome {
  size_t wrong = 0, total = 0;
  uint64_t hash = 14695981039346656037u;  // FNV-1a
  template <class T>
  void compare(const Values<T>& y, const Values<T>& expected) {
    finish_kernels();
    for (size_t i = 0; i < y.size(); ++i) {
      unsigned char bytes[sizeof(T)];
      std::memcpy(bytes, &y[i], sizeof(T));
      for (unsigned char byte : bytes) hash = (hash ^ byte) * 1099511628211u;
      wrong += std::memcmp(&y[i], &expected[i], sizeof(T)) != 0;
    }
    total += y.size();
  }
};

template <auto kKernel>
Outcome run_ints(unsigned threads, int (*expected)(int), size_t shared_bytes = 0) {
  Values<int> x(threads), y(threads, -1), want(threads);
  for (unsigned i = 0; i < threads; ++i) {
    x[i] = 7 + 3 * static_cast<int>(i);
    want[i] = expected(static_cast<int>(i));
  }
  const Array<int> arrays[] = {{"x", x, true}, {"y", y, false}};
  if constexpr (requires { kKernel(x.data(), y.data()); }) {
    launch<kKernel>("ints", 1, threads, shared_bytes, nullptr, x.data(), y.data());
  } else {
    launch<kKernel>("ints", 1, threads, shared_bytes, nullptr, y.data());
  }
  Outcome outcome;
  outcome.compare(y, want);
  return outcome;
}

struct Case {
  const char* name;
  Outcome (*run)();
};

template <int kCount>
int run_case(const Case (&cases)[kCount], int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
#if !defined(__CUDACC__)
  const std::string order = argc > 2 ? argv[2] : "forward";
  simt::Options options;
  if (order == "reversed") options.order = simt::Order::kReversed;
  if (order == "shuffled") options.order = simt::Order::kShuffled;
  if (argc > 3) options.seed = std::stoull(argv[3]);
  options.late_copies = argc > 4;
  simt::set_options(options);
#endif
  for (const Case& c : cases) {
    if (name != c.name) continue;
    try {
      const Outcome outcome = c.run();
      if (outcome.wrong == 0) {
        std::printf("ok %016llx\n", static_cast<unsigned long long>(outcome.hash));
      } else {
        std::printf("wrong %zu of %zu\n", outcome.wrong, outcome.total);
      }
    } catch (const std::exception& e) {
      std::printf("error %s\n", e.what());
    }
    return 0;
  }
  std::printf("no case '%s'\n", name.c_str());
  return 2;
}

}  // namespace CK_GPU
}  // namespace ck
