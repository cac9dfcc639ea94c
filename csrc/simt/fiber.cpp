// The switch takes 15 instructions and no system call, where ucontext takes two of those; a hand-
// written one is also free of glibc's pointer mangling, which costs setjmp 140 ns.
#include "simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <memory>

#include "core/error.h"

// ck_simt_start is where a fresh fiber begins: entry is in a register that the switch restored, and
// the unwinder is told that there is no caller.
#if defined(__x86_64__)
__asm__(R"(
.text
.p2align 4
.globl ck_simt_switch
ck_simt_switch:
  .cfi_startproc
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmpq *%rcx
  .cfi_endproc
.p2align 4
.globl ck_simt_start
ck_simt_start:
  .cfi_startproc
  .cfi_undefined %rip
  xorl %ebp, %ebp
  callq *%r12
  ud2
  .cfi_endproc
)");
namespace {
constexpr int kSavedWords = 7;  // r15 r14 r13 r12 rbx rbp, return address
constexpr int kEntryWord = 3;
constexpr int kReturnWord = 6;
}  // namespace
#elif defined(__aarch64__)
__asm__(R"(
.text
.p2align 4
.globl ck_simt_switch
ck_simt_switch:
  .cfi_startproc
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
  .cfi_endproc
.p2align 4
.globl ck_simt_start
ck_simt_start:
  .cfi_startproc
  .cfi_undefined x30
  mov x29, xzr
  blr x19
  brk #0
  .cfi_endproc
)");
namespace {
constexpr int kSavedWords = 20;
constexpr int kEntryWord = 0;    // x19
constexpr int kReturnWord = 11;  // x30
}  // namespace
#else
#error "simt has a fiber switch for x86-64 and aarch64 only"
#endif

extern "C" void ck_simt_start() __asm__("ck_simt_start");

namespace ck::simt {

namespace {

constexpr size_t kMaxFibers = 1024;
constexpr size_t kStackBytes = 64 * 1024;
// Tops at equal offsets would share one set of the first-level cache: shift them.
constexpr size_t kColours = 64;
constexpr size_t kColourBytes = 192;

size_t page_bytes() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

Fiber* make_fiber(int number) {
  const size_t guard = page_bytes();
  void* low = mmap(nullptr, guard + kStackBytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (low == MAP_FAILED) throw NoMemory("the stack of a GPU thread", int64_t(guard + kStackBytes));
  if (mprotect(low, guard, PROT_NONE) != 0) {
    munmap(low, guard + kStackBytes);
    throw NoMemory("the stack of a GPU thread", int64_t(guard + kStackBytes));
  }
  Fiber* fiber = new Fiber;
  fiber->stack_low = low;
  fiber->number = number;
  fiber->bottom = static_cast<char*>(low) + guard;
  fiber->size = kStackBytes;
  return fiber;
}

}  // namespace

FiberPool::~FiberPool() {
  for (Fiber* fiber : all_) {
    munmap(fiber->stack_low, page_bytes() + kStackBytes);
    delete fiber;
  }
}

Fiber* FiberPool::take(void (*entry)()) {
  if (free_.empty()) {
    // Room for the largest block at once, so that giving back never allocates.
    all_.reserve(kMaxFibers);
    free_.reserve(kMaxFibers);
    all_.push_back(make_fiber(static_cast<int>(all_.size())));
    free_.push_back(all_.back());
  }
  Fiber* fiber = free_.back();
  free_.pop_back();
#if defined(CK_SIMT_ASAN)
  // The last user may have left its frames poisoned, as it was abandoned or jumped away.
  ASAN_UNPOISON_MEMORY_REGION(fiber->bottom, fiber->size);
  fiber->fake_stack = nullptr;
#endif
  const size_t colour = static_cast<size_t>(fiber->number) % kColours * kColourBytes;
  char* top = static_cast<char*>(const_cast<void*>(fiber->bottom)) + kStackBytes - colour;
  uintptr_t* saved = reinterpret_cast<uintptr_t*>(top) - kSavedWords;
  for (int i = 0; i < kSavedWords; ++i) saved[i] = 0;
  saved[kEntryWord] = reinterpret_cast<uintptr_t>(entry);
  saved[kReturnWord] = reinterpret_cast<uintptr_t>(&ck_simt_start);
  fiber->stack_pointer = saved;
  return fiber;
}

}  // namespace ck::simt
