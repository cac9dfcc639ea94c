// The scheduler of simt: one block at a time, its threads on fibers.
//
// Lazy fibers: a thread starts on the stack of the one that has just returned, and only a thread
// that waits keeps its stack. A kernel without barriers costs two switches a block. While a warp
// has ready lanes they run first, then other warps, then threads not started yet; "first" is the
// smallest index ^ x, with x = 0 forward, all ones reversed, drawn anew for each pick if shuffled.
//
// A block barrier waits for the living threads, as the GPU does since sm_70. Two uses that the GPU
// may let pass are errors here: threads that meet at different lines, and a thread that returns
// between two barriers (one that returns before the first is the usual bounds test).
//
// Kernels and their exceptions stay on their fibers: a fault is noted, the fiber left behind with
// all others of the block, and the launching call throws.
//
// Measured on a shared core of an AMD EPYC (family 26, model 2, 2.6 GHz), other load beside it, in
// a shared object built by g++ 12 -O3 -mavx2 -mfma: a switch of threads at a barrier 25 ns, a
// thread without barriers 7 ns, a block of one thread 65 ns, a 256 x 256 x 256 GEMM (block tile 64
// x 64 x 16, 256 threads) 5.5 ms. The GEMM without FMA instructions 33 ms, under the address and
// undefined-behaviour sanitizers (-O1 -mfma) 88 ms.
#include <algorithm>
#include <memory>
#include <utility>

#include "core/error.h"
#include "core/parallel.h"
#include "simt/worker.h"

namespace ck::simt {

__thread Current current;

__thread Worker* worker = nullptr;

// Owns the worker of a host thread; apart from the pointer above, which needs no guard to be read.
Worker& worker_of_thread() {
  thread_local std::unique_ptr<Worker> owner;
  if (!owner) {
    owner = std::make_unique<Worker>();
    worker = owner.get();
  }
  return *owner;
}

namespace {

// The set bit b of mask with the smallest b ^ order.
int first_bit(uint32_t mask, unsigned order) {
  if (order & 16) mask = mask << 16 | mask >> 16;
  if (order & 8) mask = (mask & 0x00ff00ff) << 8 | (mask >> 8 & 0x00ff00ff);
  if (order & 4) mask = (mask & 0x0f0f0f0f) << 4 | (mask >> 4 & 0x0f0f0f0f);
  if (order & 2) mask = (mask & 0x33333333) << 2 | (mask >> 2 & 0x33333333);
  if (order & 1) mask = (mask & 0x55555555) << 1 | (mask >> 1 & 0x55555555);
  return __builtin_ctz(mask) ^ static_cast<int>(order & 31);
}

uint64_t power_of_two_from(uint64_t n) {
  uint64_t power = 1;
  while (power < n) power *= 2;
  return power;
}

uint64_t mix(uint64_t v) {  // the finaliser of splitmix64
  v += 0x9e3779b97f4a7c15u;
  v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
  v = (v ^ v >> 27) * 0x94d049bb133111ebu;
  return v ^ v >> 31;
}

}  // namespace

uint32_t Worker::random() {
  random_state_ = random_state_ * 6364136223846793005u + 1442695040888963407u;
  return static_cast<uint32_t>(random_state_ >> 33);
}

void Worker::prepare(const Launch& launch) {
  const Index3 block = launch.block;
  if (block.x != shape_.x || block.y != shape_.y || block.z != shape_.z) {
    shape_ = block;
    threads_ = static_cast<int>(block.x * block.y * block.z);
    warps_ = (threads_ + kWarpLanes - 1) / kWarpLanes;
    padded_threads_ = static_cast<int>(power_of_two_from(static_cast<uint64_t>(threads_)));
    int i = 0;
    for (unsigned z = 0; z < block.z; ++z) {
      for (unsigned y = 0; y < block.y; ++y) {
        for (unsigned x = 0; x < block.x; ++x) coordinates_[i++] = {x, y, z};
      }
    }
  }
  current.grid_dim = launch.grid;
  current.block_dim = launch.block;
  arena_.start_launch(launch.shared_bytes);
  checker_.start_launch(launch.grid);
}

void Worker::run(const Launch& launch) {
  if (launch_ != nullptr) {
    note_fault(std::string(launch.kernel) + ": a kernel launched a kernel");
    leave_block();
  }
  const Options options = get_options();
  order_ = options.order;
  late_copies_ = options.late_copies;
  prepare(launch);
  const Index3 grid = launch.grid;
  const uint64_t blocks = static_cast<uint64_t>(grid.x) * grid.y * grid.z;
  const uint64_t padded = power_of_two_from(blocks);
  uint64_t block_xor = 0;
  if (order_ == Order::kReversed) block_xor = padded - 1;
  if (order_ == Order::kShuffled) block_xor = mix(options.seed) & (padded - 1);
  for (uint64_t i = 0; i < padded; ++i) {
    const uint64_t block = i ^ block_xor;
    if (block >= blocks) continue;
    poll_interrupt();
    if (order_ == Order::kShuffled) random_state_ = mix(options.seed ^ mix(block));
    current.block_idx = {static_cast<unsigned>(block % grid.x),
                         static_cast<unsigned>(block / grid.x % grid.y),
                         static_cast<unsigned>(block / grid.x / grid.y)};
    run_block(launch, block);
  }
}

void Worker::clear_block() {
  ready_warps_ = 0;
  for (int w = 0; w < warps_; ++w) ready_[w] = posted_[w] = 0;
  barriers_[0] = {};
  if (named_used_) std::fill(barriers_ + 1, barriers_ + kBarriers, Barrier{});
  named_used_ = false;
}

void Worker::run_block(const Launch& launch, uint64_t number) {
  xor_ = 0;
  if (order_ == Order::kReversed) xor_ = kMaxThreads - 1;
  if (order_ == Order::kShuffled) xor_ = random();
  for (int w = 0; w < warps_; ++w) alive_[w] = 0xffffffffu;
  if (threads_ % kWarpLanes != 0) alive_[warps_ - 1] = (1u << threads_ % kWarpLanes) - 1;
  living_ = threads_;
  next_start_ = generation_ = 0;
  late_return_ = -1;
  from_first_ = false;
  copies_.clear();
  arena_.start_block();
  checker_.start_block(number, threads_);

  launch_ = &launch;
  fiber_ = fibers_.take(fiber_main);
  start_another();
  entering_block_ = true;
  switch_context(main_, *fiber_);

  launch_ = nullptr;
  if (error_.empty()) error_ = checker_.take_fault();
  if (error_.empty() && !exception_ && arena_.red_zones_are_clean(&error_)) return;
  clear_block();
  fibers_.give_back_all();
  const std::exception_ptr exception = std::exchange(exception_, nullptr);
  if (exception) std::rethrow_exception(exception);
  const Index3& block = current.block_idx;
  throw SimtError(format_text("%s: block (%u, %u, %u): %s", launch.kernel, block.x, block.y,
                              block.z, std::exchange(error_, {}).c_str()));
}

// Runs on a fresh stack. Nothing that does not return may be called before the sanitizer knows of
// the switch, and the function itself must not be marked so.
void Worker::fiber_main() {
#if defined(CK_SIMT_ASAN)
  const void* bottom = nullptr;
  size_t size = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
  if (std::exchange(worker->entering_block_, false)) {
    worker->main_.bottom = bottom;
    worker->main_.size = size;
  }
#endif
  Worker& w = *worker;
  try {
    w.launch_->run_threads(w.launch_->call);
  } catch (...) {
    w.exception_ = std::current_exception();
    w.resume_ = &w.main_;
  }
  Fiber* self = w.fiber_;
  w.fibers_.give_back(self);
  if (w.resume_ != &w.main_) w.fiber_ = static_cast<Fiber*>(w.resume_);
  switch_context(*self, *w.resume_, true);
}

void Worker::make_current(int thread) {
  thread_ = thread;
  current.thread_idx = coordinates_[thread];
}

bool Worker::start_another() {
  while (next_start_ < padded_threads_) {
    const int thread = next_start_++ ^ static_cast<int>(xor_ & (padded_threads_ - 1u));
    if (thread < threads_) {
      make_current(thread);
      return true;
    }
  }
  return false;
}

int Worker::pick_ready() {
  if (ready_warps_ == 0) return -1;
  unsigned lane_order = xor_, warp_order = xor_ / kWarpLanes;
  int warp = thread_ / kWarpLanes;
  bool stay = !from_first_ && (ready_warps_ >> warp & 1) != 0;
  if (order_ == Order::kShuffled) {
    const uint32_t bits = random();
    lane_order = bits;
    warp_order = bits >> 5;
    stay = stay && (bits >> 10 & 3) != 0;
  }
  from_first_ = false;
  if (!stay) warp = first_bit(ready_warps_, warp_order);
  const int lane = first_bit(ready_[warp], lane_order);
  ready_[warp] &= ~(1u << lane);
  if (ready_[warp] == 0) ready_warps_ &= ~(1u << warp);
  return warp * kWarpLanes + lane;
}

// The current thread has returned.
bool Worker::next_thread() {
  alive_[thread_ / kWarpLanes] &= ~(1u << thread_ % kWarpLanes);
  --living_;
  if (generation_ > 0) late_return_ = thread_;
  if (barriers_[0].arrived > 0 && barriers_[0].arrived == living_) release_block_barrier();
  const int ready = pick_ready();
  if (ready >= 0) {
    make_current(ready);
    resume_ = fiber_of_[ready];
    return false;
  }
  if (start_another()) return true;
  if (living_ > 0) {
    error_ = deadlock_text();
    leave_block();
  }
  resume_ = &main_;
  return false;
}

// The current thread waits; returns when it is its turn again.
void Worker::suspend() {
  const int self = thread_;
  Fiber* self_fiber = fiber_;
  const int ready = pick_ready();
  if (ready == self) return;
  fiber_of_[self] = self_fiber;
  if (ready >= 0) {
    make_current(ready);
    fiber_ = fiber_of_[ready];
  } else if (start_another()) {
    fiber_ = fibers_.take(fiber_main);
  } else {
    error_ = deadlock_text();
    leave_block();
  }
  switch_context(*self_fiber, *fiber_);
}

void Worker::note_fault(const std::string& text) {
  error_ = "thread " + thread_text(thread_) + ": " + text;
}

// Leaves all fibers of the block for good, once error_ says why; run_block throws it. Nothing on
// these stacks is destroyed any more, so callers hold no string.
void Worker::leave_block() {
  for (;;) switch_context(*fiber_, main_);
}

void* Worker::shared_array(const char* key, const char* name, size_t bytes) {
  void* memory = arena_.array(key, name, bytes, &error_);
  if (memory == nullptr) leave_block();
  return memory;
}

void run(const Launch& launch) {
  count_launch(launch);
  worker_of_thread().run(launch);
}
bool next_thread() { return worker->next_thread(); }
void* shared_array(const char* key, const char* name, size_t bytes) {
  return worker->shared_array(key, name, bytes);
}
void* dynamic_shared() { return worker->dynamic_shared(); }
int block_barrier(const Site& site, int predicate) {
  return worker->block_barrier(site, predicate);
}
void named_barrier(const Site& site, int id, int threads) {
  worker->named_barrier(site, id, threads);
}
void warp_collective(WarpPost* post) { worker->warp_collective(post); }
void trap(const char* text) {
  worker->note_fault(text);
  worker->leave_block();
}

}  // namespace ck::simt
