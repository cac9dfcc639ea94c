// Stacks and the switch between them. A fiber stays on one host thread.
#pragma once

#include <cstddef>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define CK_SIMT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CK_SIMT_ASAN 1
#endif
#endif
#if defined(CK_SIMT_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace ck::simt {

// Where to continue: a stack pointer, and the bounds of its stack for the address sanitizer.
struct Context {
  void* stack_pointer = nullptr;
  const void* bottom = nullptr;
  size_t size = 0;
  void* fake_stack = nullptr;
};

struct Fiber : Context {
  void* stack_low = nullptr;
  int number = 0;
};

// Saves the registers that a call preserves on the stack of from, and goes on in to. The control
// words of the floating-point units are taken to be the same everywhere.
extern "C" void ck_simt_switch(void** from, void* to) __asm__("ck_simt_switch");

inline void switch_context(Context& from, Context& to, bool from_is_done = false) {
#if defined(CK_SIMT_ASAN)
  __sanitizer_start_switch_fiber(from_is_done ? nullptr : &from.fake_stack, to.bottom, to.size);
#else
  (void)from_is_done;
#endif
  ck_simt_switch(&from.stack_pointer, to.stack_pointer);
#if defined(CK_SIMT_ASAN)
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

// Stacks of 64 KiB with a guard page below each, kept for later blocks and launches.
class FiberPool {
 public:
  FiberPool() = default;
  FiberPool(const FiberPool&) = delete;
  FiberPool& operator=(const FiberPool&) = delete;
  ~FiberPool();

  // A fiber that will call entry(), which must leave by a switch and not return.
  Fiber* take(void (*entry)());
  void give_back(Fiber* fiber) { free_.push_back(fiber); }
  // Also the fibers of an abandoned block.
  void give_back_all() { free_ = all_; }

 private:
  std::vector<Fiber*> all_, free_;
};

}  // namespace ck::simt
