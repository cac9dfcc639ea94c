#include "core/parallel.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "core/error.h"

namespace ck {
namespace {

constexpr int kMaxThreads = 256;
constexpr auto kPollInterval = std::chrono::milliseconds(50);
// A thread that sleeps is woken in 50 us. One that looks for work as long as that loses no more
// than twice what it would have.
constexpr auto kLookOut = std::chrono::microseconds(100);

std::atomic<bool (*)()> interrupt_hook{nullptr};
thread_local bool inside_loop = false;
thread_local bool is_helper = false;  // a thread of the pool: no Python signal reaches it

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns when the number is another, at first without sleeping.
template <class Number>
void wait_for_change(const std::atomic<Number>& number, Number old) {
  const auto end = std::chrono::steady_clock::now() + kLookOut;
  do {
    for (int i = 0; i < 16; ++i, relax()) {
      if (number.load() != old) return;
    }
  } while (std::chrono::steady_clock::now() < end);
  number.wait(old);
}

class Pool {
 public:
  // False where another loop holds the pool: the caller then runs its loop alone.
  bool run(int64_t count, int threads, void (*body)(void*, int64_t), void* context) {
    std::unique_lock lock(busy_, std::try_to_lock);
    if (!lock.owns_lock()) return false;
    start_workers(threads - 1);
    place_helpers();
    count_ = count;
    body_ = body;
    context_ = context;
    next_.store(0, std::memory_order_relaxed);
    error_ = nullptr;
    max_helpers_ = threads - 1;
    gate_.store(0);  // open: from here on helpers may read the fields above
    generation_.fetch_add(1);
    generation_.notify_all();
    work(true);
    close_gate();
    if (error_) std::rethrow_exception(error_);
    return true;
  }

 private:
  struct Helper {
    pthread_t thread;
    cpu_set_t given;       // the cores it was given here, none at first
    bool is_kept = false;  // the user has put it where it is
  };

  // Fewer where the system has no room for more: the loop is then slower, not wrong.
  void start_workers(int wanted) {
    try {
      while (int(helpers_.size()) < wanted) {
        helpers_.reserve(helpers_.size() + 1);
        std::thread thread([this] { worker(); });
        helpers_.push_back({thread.native_handle(), {}});
        thread.detach();
        caller_core_ = -1;
      }
    } catch (const std::system_error&) {
    }
  }

  // Helpers use the caller's cores but the one it is on. A system may wake helpers on the core of
  // the thread that wakes them though others are idle: to a virtual machine a core that sleeps
  // looks taken. They would then get nothing done until it balances its load, milliseconds later.
  void place_helpers() {
    const int core = sched_getcpu();
    cpu_set_t cores;
    if (core < 0 || core >= CPU_SETSIZE || sched_getaffinity(0, sizeof cores, &cores) != 0) return;
    if (core == caller_core_ && CPU_EQUAL(&cores, &caller_cores_)) return;
    caller_core_ = core;
    caller_cores_ = cores;
    cpu_set_t others = cores;
    CPU_CLR(core, &others);
    if (CPU_COUNT(&others) == 0) others = cores;
    for (Helper& helper : helpers_) {
      cpu_set_t now;
      if (pthread_getaffinity_np(helper.thread, sizeof now, &now) != 0) continue;
      // A set that is neither ours nor that of all threads was given to this one by the user.
      const bool is_new = CPU_COUNT(&helper.given) == 0;
      if (!is_new && !CPU_EQUAL(&now, &helper.given)) helper.is_kept = !CPU_EQUAL(&now, &cores);
      if (helper.is_kept) continue;
      helper.given = others;
      if (!CPU_EQUAL(&others, &now)) pthread_setaffinity_np(helper.thread, sizeof others, &others);
    }
  }

  void worker() {
    inside_loop = is_helper = true;
    uint32_t seen = 0;
    for (;;) {
      wait_for_change(generation_, seen);
      seen = generation_.load();
      int helpers = gate_.load();
      while (helpers >= 0 && helpers < max_helpers_.load()) {
        if (!gate_.compare_exchange_weak(helpers, helpers + 1)) continue;
        work(false);
        gate_.fetch_sub(1);
        gate_.notify_all();
        break;
      }
    }
  }

  void work(bool is_caller) {
    for (;;) {
      const int64_t index = next_.fetch_add(1, std::memory_order_relaxed);
      if (index >= count_) return;
      try {
        if (is_caller) poll_interrupt();
        body_(context_, index);
      } catch (...) {
        const std::lock_guard lock(error_mutex_);
        if (!error_) error_ = std::current_exception();
        next_.store(count_, std::memory_order_relaxed);
      }
    }
  }

  void close_gate() {
    for (;;) {
      int idle = 0;
      if (gate_.compare_exchange_strong(idle, -1)) return;
      wait_for_change(gate_, idle);
    }
  }

  std::mutex busy_;
  std::vector<Helper> helpers_;
  int caller_core_ = -1;  // for which the helpers were placed, and the cores it might use
  cpu_set_t caller_cores_{};
  std::atomic<uint32_t> generation_{0};
  std::atomic<int> gate_{-1};  // helpers at work, or -1 while closed
  std::atomic<int> max_helpers_{0};
  std::atomic<int64_t> next_{0};
  int64_t count_ = 0;
  void (*body_)(void*, int64_t) = nullptr;
  void* context_ = nullptr;
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

// Never destroyed: its detached threads outlive static destructors. A forked child gets a pool of
// its own, as only the forking thread survives there.
std::atomic<Pool*> pool{nullptr};

Pool& the_pool() {
  Pool* current = pool.load();
  if (current != nullptr) return *current;
  static const int registered = pthread_atfork(nullptr, nullptr, [] {
    pool.store(nullptr);
    inside_loop = false;
  });
  (void)registered;
  Pool* fresh = new Pool;
  if (pool.compare_exchange_strong(current, fresh)) return *fresh;
  delete fresh;
  return *current;
}

int default_threads() {
  const char* text = std::getenv("CONVKIT_NUM_THREADS");
  if (text != nullptr && *text != '\0') {
    int threads = 0;
    const char* end = text + std::strlen(text);
    const auto [stop, error] = std::from_chars(text, end, threads);
    if (error == std::errc() && stop == end && threads >= 1 && threads <= kMaxThreads)
      return threads;
    throw_value_error("CONVKIT_NUM_THREADS is '%.80s', must be a whole number from 1 to %d", text,
                      kMaxThreads);
  }
  cpu_set_t set;
  int cores = int(std::thread::hardware_concurrency());
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
  return std::clamp(cores, 1, kMaxThreads);
}

std::atomic<int>& thread_setting() {
  static std::atomic<int> setting{default_threads()};
  return setting;
}

}  // namespace

int num_threads() { return thread_setting().load(std::memory_order_relaxed); }

void set_num_threads(int threads) { thread_setting().store(std::clamp(threads, 1, kMaxThreads)); }

void set_interrupt_hook(bool (*hook)()) { interrupt_hook.store(hook); }

void poll_interrupt() {
  if (is_helper) return;
  thread_local auto last = std::chrono::steady_clock::now();
  const auto now = std::chrono::steady_clock::now();
  if (now - last < kPollInterval) return;
  last = now;
  const auto hook = interrupt_hook.load();
  if (hook != nullptr && hook()) throw Interrupted{};
}

void parallel_for(int64_t count, int threads, void (*body)(void* context, int64_t index),
                  void* context) {
  if (threads > count) threads = int(count);
  if (threads > 1 && !inside_loop) {
    inside_loop = true;
    struct Reset {
      ~Reset() { inside_loop = false; }
    } reset;
    if (the_pool().run(count, threads < kMaxThreads ? threads : kMaxThreads, body, context)) return;
  }
  const bool nested = inside_loop;
  for (int64_t index = 0; index < count; ++index) {
    if (!nested) poll_interrupt();
    body(context, index);
  }
}

}  // namespace ck
