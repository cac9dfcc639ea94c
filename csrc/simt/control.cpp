// Options and the log of kernels. Atomics and no lock, so that a child forked at any moment can
// launch as well.
#include "simt/control.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string_view>

#include "core/error.h"
#include "gpu/launch_error.h"
#include "simt/worker.h"

namespace ck::simt {

namespace {

std::atomic<int> order{static_cast<int>(Order::kForward)};
std::atomic<uint64_t> seed{0};
std::atomic<bool> late_copies{false};
std::atomic<uint64_t> launches{0};

// Open addressing; names stay for ever.
constexpr size_t kNames = 4096;
std::atomic<const char*> names[kNames];

void note_name(const char* name) {
  const size_t hash = std::hash<std::string_view>{}(name);
  const char* copy = nullptr;
  for (size_t i = 0; i < kNames; ++i) {
    std::atomic<const char*>& slot = names[(hash + i) % kNames];
    const char* seen = slot.load(std::memory_order_acquire);
    if (seen == nullptr) {
      if (copy == nullptr) copy = strdup(name);
      if (copy == nullptr) throw NoMemory("the name of a kernel", int64_t(std::strlen(name)) + 1);
      if (slot.compare_exchange_strong(seen, copy, std::memory_order_acq_rel)) return;
    }
    if (std::strcmp(seen, name) == 0) {
      free(const_cast<char*>(copy));
      return;
    }
  }
  throw SimtError("more than 4096 different kernel names");
}

}  // namespace

void set_options(const Options& options) {
  order.store(static_cast<int>(options.order), std::memory_order_relaxed);
  seed.store(options.seed, std::memory_order_relaxed);
  late_copies.store(options.late_copies, std::memory_order_relaxed);
}

Options get_options() {
  return {static_cast<Order>(order.load(std::memory_order_relaxed)),
          seed.load(std::memory_order_relaxed), late_copies.load(std::memory_order_relaxed)};
}

uint64_t launch_count() { return launches.load(std::memory_order_relaxed); }

std::set<std::string> executed_kernels() {
  std::set<std::string> set;
  for (const std::atomic<const char*>& slot : names) {
    if (const char* name = slot.load(std::memory_order_acquire)) set.insert(name);
  }
  return set;
}

void count_launch(const Launch& launch) {
  const Index3 &g = launch.grid, &b = launch.block;
  const gpu::LaunchShape shape = {
      launch.kernel, {g.x, g.y, g.z}, {b.x, b.y, b.z}, launch.shared_bytes};
  char text[128];
  if (!gpu::within_limits(shape, text, sizeof(text))) {
    throw SimtError(std::string(launch.kernel) + ": " + text);
  }
  note_name(launch.kernel);
  launches.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace ck::simt
