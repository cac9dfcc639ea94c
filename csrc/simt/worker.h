// One block in progress on one host thread: which of its threads run, wait or have returned.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "simt/calls.h"
#include "simt/check/checker.h"
#include "simt/control.h"
#include "simt/fiber.h"
#include "simt/shared_arena.h"

namespace ck::simt {

std::string site_text(const Site& site);

// Checks the shape and notes the kernel in the log (simt/control.h).
void count_launch(const Launch& launch);

constexpr int kWarpLanes = 32;
constexpr int kMaxWarps = 32;
constexpr int kMaxThreads = kWarpLanes * kMaxWarps;
constexpr int kBarriers = 16;  // 0 is __syncthreads

class Worker {
 public:
  void run(const Launch& launch);

  bool next_thread();
  void* shared_array(const char* key, const char* name, size_t bytes);
  void* dynamic_shared() const { return arena_.dynamic(); }
  int block_barrier(const Site& site, int predicate);
  void named_barrier(const Site& site, int id, int threads);
  void warp_collective(WarpPost* post);
  void async_copy(const Site& site, void* to, const void* from, int bytes, int valid_bytes,
                  const void* caller);
  void async_commit();
  void async_wait(int pending);
  void require_shared(const Site& site, const void* address, size_t alignment);
  void note_fault(const std::string& text);
  [[noreturn]] void leave_block();

  Checker& checker() { return checker_; }
  // Defined in check builds alone.
  void check_access(const void* memory, size_t bytes, Touch touch, const void* caller);

 private:
  struct Barrier {
    uint32_t waiting[kMaxWarps];  // lanes of each warp
    int arrived, predicates;
    int first;     // the thread that came first, for its site
    int expected;  // named barriers only
  };

  struct Copy {
    void* to;
    const void* from;
    int bytes, valid_bytes;
    int group;
  };
  struct Copies {  // of one thread
    std::vector<Copy> unfinished;
    int groups = 0;  // closed so far
  };

  static void fiber_main();

  void prepare(const Launch& launch);
  void run_block(const Launch& launch, uint64_t number);
  void clear_block();

  void make_current(int thread);
  bool start_another();
  int pick_ready();
  void suspend();
  void make_ready(int warp, uint32_t lanes);
  void arrive(Barrier& barrier, const Site& site);
  void release(Barrier& barrier);
  void release_block_barrier();

  uint32_t random();
  std::string deadlock_text() const;
  std::string thread_text(int thread) const;

  const Launch* launch_ = nullptr;  // not null while a kernel runs
  Order order_ = Order::kForward;
  uint64_t random_state_ = 0;
  unsigned xor_ = 0;  // thread, warp and lane orders are index ^ xor_

  int threads_ = 0, warps_ = 0, padded_threads_ = 0;
  int thread_ = 0;      // the running one
  int next_start_ = 0;  // position in the order of the first thread not started yet
  int living_ = 0;
  int generation_ = 0;    // block barriers passed so far
  int late_return_ = -1;  // a thread that returned after the first of them
  int last_predicates_ = 0;
  bool entering_block_ = false;
  bool from_first_ = false;  // after a block barrier begin with the first thread again

  uint32_t ready_warps_ = 0;
  uint32_t ready_[kMaxWarps] = {};
  uint32_t alive_[kMaxWarps] = {};
  uint32_t posted_[kMaxWarps] = {};
  WarpPost* posts_[kMaxWarps][kWarpLanes] = {};
  Barrier barriers_[kBarriers] = {};
  bool named_used_ = false;
  std::vector<Copies> copies_;  // by thread; empty until a block copies
  bool late_copies_ = false;

  Index3 coordinates_[kMaxThreads] = {};
  Index3 shape_ = {0, 0, 0};
  Fiber* fiber_of_[kMaxThreads] = {};
  Site sites_[kMaxThreads] = {};
  const WarpPost* waiting_post_[kMaxThreads] = {};

  Context main_;
  Fiber* fiber_ = nullptr;     // the running one
  Context* resume_ = nullptr;  // where a fiber that ends goes
  FiberPool fibers_;
  SharedArena arena_;
  Checker checker_{arena_};
  std::string error_;
  std::exception_ptr exception_;
};

// Of this host thread; the pointer is null until it launches.
Worker& worker_of_thread();
extern __thread Worker* worker;

}  // namespace ck::simt
