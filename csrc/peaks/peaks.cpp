#include "peaks/peaks.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "core/isa.h"
#include "core/parallel.h"

namespace ck {

#define CK_DECLARE_PEAKS(isa)            \
  namespace isa {                        \
  extern const PeakKernels peak_kernels; \
  }
CK_FOR_EACH_CPU_ISA(CK_DECLARE_PEAKS)

namespace {

// The kernels take turns, so that a burst of somebody else's work does not fall on one of them
// alone.
constexpr int kPasses = 5;
constexpr double kSecondsPerTurn = 0.02;
constexpr int kLeastRounds = 2;
constexpr int64_t kSteps = 50'000;         // of one task: about 0.1 ms
constexpr int64_t kTaskBytes = 256 << 10;  // of one task: small beside the arrays, large beside the
                                           // cost of handing it out
// Of each of the two arrays. The upper end bounds the time for fresh pages: a virtual machine may
// report the last-level cache of a whole server.
constexpr int64_t kLeastBytes = int64_t(64) << 20, kMostBytes = int64_t(128) << 20;
// Short rounds: a busy machine lets some of them pass undisturbed.
constexpr int kTasksPerThread = 8;

const PeakKernels& active_kernels() {
#if defined(__x86_64__)
  const PeakKernels* kernels[] = {&baseline::peak_kernels, &avx2::peak_kernels,
                                  &avx512::peak_kernels};
  return *kernels[int(active_isa())];
#else
  return baseline::peak_kernels;
#endif
}

// Twice the last-level cache where that is known, so that a round finds nothing of the one before.
int64_t array_bytes() {
  const int64_t cache = std::max<int64_t>(sysconf(_SC_LEVEL3_CACHE_SIZE), 0);
  const int64_t wanted = std::clamp(2 * cache, kLeastBytes, kMostBytes);
  return wanted / kTaskBytes * kTaskBytes;
}

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<char, Free>;

Memory allocate(int64_t bytes) {
  Memory memory(static_cast<char*>(std::aligned_alloc(4096, size_t(bytes))));
  if (!memory) throw std::bad_alloc();
  return memory;
}

struct Work {
  const PeakKernels* kernels;
  DType dtype;
  const char* from;
  char* to;
};

// Amounts per second in the fastest round; a round is `tasks` tasks of `amount` each.
double best_rate(int64_t tasks, int threads, double amount, Work* work,
                 void (*task)(void* work, int64_t index)) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  double best = 0;
  for (int round = 0;; ++round) {
    const auto before = Clock::now();
    parallel_for(tasks, threads, task, work);
    const auto after = Clock::now();
    const double seconds = std::chrono::duration<double>(after - before).count();
    best = std::max(best, amount * double(tasks) / seconds);
    if (round >= kLeastRounds && after - start > std::chrono::duration<double>(kSecondsPerTurn))
      return best;
  }
}

}  // namespace

Peaks measure_cpu_peaks(DType dtype, int threads) {
  const int64_t bytes = array_bytes(), tasks = bytes / kTaskBytes;
  const Memory from = allocate(bytes), to = allocate(bytes);
  Work work = {&active_kernels(), dtype, from.get(), to.get()};
  parallel_for(
      tasks, threads,
      [](void* context, int64_t index) {
        Work& w = *static_cast<Work*>(context);
        std::memset(const_cast<char*>(w.from) + index * kTaskBytes, 1, size_t(kTaskBytes));
        std::memset(w.to + index * kTaskBytes, 2, size_t(kTaskBytes));
      },
      &work);
  alignas(kSinkBytes) char sink[kSinkBytes];
  const double operations = double(work.kernels->multiply_add(dtype, kSteps, sink));
  Peaks peaks{};
  for (int pass = 0; pass < kPasses; ++pass) {
    const double flops = best_rate(int64_t(threads) * kTasksPerThread, threads, operations, &work,
                                   [](void* context, int64_t) {
                                     Work& w = *static_cast<Work*>(context);
                                     alignas(kSinkBytes) char own[kSinkBytes];
                                     w.kernels->multiply_add(w.dtype, kSteps, own);
                                   });
    const double read =
        best_rate(tasks, threads, double(kTaskBytes), &work, [](void* context, int64_t index) {
          Work& w = *static_cast<Work*>(context);
          alignas(kSinkBytes) char own[kSinkBytes];
          w.kernels->read(w.from + index * kTaskBytes, kTaskBytes, own);
        });
    const double copy = best_rate(tasks, threads, 2.0 * double(kTaskBytes), &work,
                                  [](void* context, int64_t index) {
                                    Work& w = *static_cast<Work*>(context);
                                    const int64_t at = index * kTaskBytes;
                                    w.kernels->copy(w.from + at, w.to + at, kTaskBytes);
                                  });
    peaks.flops_per_s = std::max(peaks.flops_per_s, flops);
    peaks.bytes_per_s = std::max({peaks.bytes_per_s, read, copy});
  }
  return peaks;
}

}  // namespace ck
