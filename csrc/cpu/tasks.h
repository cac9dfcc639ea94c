// How a cpu kernel uses threads and memory: an arena over the workspace, and tasks shared out to
// workers that own scratch.
#pragma once

#include <cstdint>

#include "core/parallel.h"
#include "cpu/vec.h"

namespace ck {
namespace CK_ISA {

// Hands out pieces of a workspace, each on a cache line of its own. Over a null base it only
// counts, so that a kernel describes its memory once and both workspace_bytes() and run() follow
// that description.
class Arena {
 public:
  explicit Arena(void* base) : base_(static_cast<char*>(base)), used_(0) {}

  template <class T>
  T* take(int64_t count) {
    char* piece = base_ == nullptr ? nullptr : base_ + used_;
    used_ += (count * int64_t(sizeof(T)) + 63) / 64 * 64;
    return reinterpret_cast<T*>(piece);
  }
  int64_t used_bytes() const { return used_; }

 private:
  char* base_;
  int64_t used_;
};

template <class Body>
struct TaskQueue {
  const Body* body;
  int64_t count;
  int64_t next;

  static void work(void* context, int64_t worker) {
    TaskQueue* queue = static_cast<TaskQueue*>(context);
    try {
      for (;;) {
        const int64_t task = __atomic_fetch_add(&queue->next, 1, __ATOMIC_RELAXED);
        if (task >= queue->count) return;
        poll_interrupt();
        (*queue->body)(task, worker);
      }
    } catch (...) {
      __atomic_store_n(&queue->next, queue->count, __ATOMIC_RELAXED);  // the others stop too
      throw;
    }
  }
};

// Waking a thread costs some ten microseconds: each must have more multiplications than that to do.
constexpr int64_t kMultipliesPerThread = 1 << 20;
static CK_INLINE int useful_threads(int64_t multiplies, int threads) {
  const int64_t useful = multiplies / kMultipliesPerThread;
  return useful < 1 ? 1 : useful < threads ? int(useful) : threads;
}

// Calls body(task, worker) for every task; workers are numbered below `threads`, and no two tasks
// that run at the same time have the same worker. Tasks are taken in order, by whoever is free.
template <class Body>
static void run_tasks(int64_t count, int threads, const Body& body) {
  if (threads <= 1 || count <= 1) {
    for (int64_t task = 0; task < count; ++task) {
      poll_interrupt();
      body(task, int64_t(0));
    }
    return;
  }
  TaskQueue<Body> queue = {&body, count, 0};
  parallel_for(threads < count ? threads : count, threads, TaskQueue<Body>::work, &queue);
}

}  // namespace CK_ISA
}  // namespace ck
