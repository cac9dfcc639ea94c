// What code compiled with -fsanitize=thread calls, in place of the sanitizer's library.
//
// Calls come from kernels and also from the host code of kernel files; the latter is told apart by
// no block being in progress.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simt/worker.h"

#define CK_TSAN extern "C" __attribute__((visibility("hidden")))
#define CK_CALLER __builtin_return_address(0)

namespace {

inline void touch(const volatile void* memory, size_t bytes, ck::simt::Touch how,
                  const void* caller) {
  ck::simt::Worker* worker = ck::simt::worker;
  if (worker != nullptr) worker->check_access(const_cast<const void*>(memory), bytes, how, caller);
}

}  // namespace

namespace ck::simt {

// A thread's own locals lie on its stack, what the kernel knows as threadIdx in `current`.
void Worker::check_access(const void* memory, size_t bytes, Touch how, const void* caller) {
  if (launch_ == nullptr) return;
  const uintptr_t at = reinterpret_cast<uintptr_t>(memory);
  if (at - reinterpret_cast<uintptr_t>(fiber_->bottom) < fiber_->size) return;
  if (at - reinterpret_cast<uintptr_t>(&current) < sizeof(current)) return;
  if (!checker_.access(thread_, memory, bytes, how, caller)) leave_block();
}

KernelArray::KernelArray(const char* name, const void* memory, size_t bytes, Use use) {
  worker_of_thread().checker().add_array(name, memory, bytes, use);
}
KernelArray::~KernelArray() { worker_of_thread().checker().remove_array(); }

}  // namespace ck::simt

using ck::simt::Touch;

CK_TSAN void __tsan_init() {}
CK_TSAN void __tsan_func_entry(void*) {}
CK_TSAN void __tsan_func_exit() {}
CK_TSAN void __tsan_vptr_update(void** memory, void*) {
  touch(memory, sizeof(void*), Touch::kWrite, CK_CALLER);
}
CK_TSAN void __tsan_vptr_read(void** memory) {
  touch(memory, sizeof(void*), Touch::kRead, CK_CALLER);
}

#define CK_TSAN_PLAIN(bytes)                                                                       \
  CK_TSAN void __tsan_read##bytes(void* p) { touch(p, bytes, Touch::kRead, CK_CALLER); }           \
  CK_TSAN void __tsan_write##bytes(void* p) { touch(p, bytes, Touch::kWrite, CK_CALLER); }         \
  CK_TSAN void __tsan_unaligned_read##bytes(void* p) { touch(p, bytes, Touch::kRead, CK_CALLER); } \
  CK_TSAN void __tsan_unaligned_write##bytes(void* p) { touch(p, bytes, Touch::kWrite, CK_CALLER); }
CK_TSAN_PLAIN(1)
CK_TSAN_PLAIN(2)
CK_TSAN_PLAIN(4)
CK_TSAN_PLAIN(8)
CK_TSAN_PLAIN(16)

CK_TSAN void __tsan_read_range(void* p, size_t bytes) { touch(p, bytes, Touch::kRead, CK_CALLER); }
CK_TSAN void __tsan_write_range(void* p, size_t bytes) {
  touch(p, bytes, Touch::kWrite, CK_CALLER);
}
CK_TSAN void* __tsan_memcpy(void* to, const void* from, size_t bytes) {
  touch(from, bytes, Touch::kRead, CK_CALLER);
  touch(to, bytes, Touch::kWrite, CK_CALLER);
  return std::memcpy(to, from, bytes);
}
CK_TSAN void* __tsan_memmove(void* to, const void* from, size_t bytes) {
  touch(from, bytes, Touch::kRead, CK_CALLER);
  touch(to, bytes, Touch::kWrite, CK_CALLER);
  return std::memmove(to, from, bytes);
}
CK_TSAN void* __tsan_memset(void* to, int value, size_t bytes) {
  touch(to, bytes, Touch::kWrite, CK_CALLER);
  return std::memset(to, value, bytes);
}

#define CK_TSAN_UPDATE(bits, name)                                                \
  CK_TSAN uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t* p, \
                                                      uint##bits##_t v, int) {    \
    touch(p, bits / 8, Touch::kAtomicUpdate, CK_CALLER);                          \
    return __atomic_##name(p, v, __ATOMIC_SEQ_CST);                               \
  }
#define CK_TSAN_COMPARE(bits, strength, weak)                                                     \
  CK_TSAN int __tsan_atomic##bits##_compare_exchange_##strength(                                  \
      volatile uint##bits##_t* p, uint##bits##_t* expected, uint##bits##_t v, int, int) {         \
    touch(p, bits / 8, Touch::kAtomicUpdate, CK_CALLER);                                          \
    return __atomic_compare_exchange_n(p, expected, v, weak, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }
#define CK_TSAN_ATOMIC(bits)                                                                    \
  CK_TSAN uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t* p, int) {    \
    touch(p, bits / 8, Touch::kAtomicRead, CK_CALLER);                                          \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                \
  }                                                                                             \
  CK_TSAN void __tsan_atomic##bits##_store(volatile uint##bits##_t* p, uint##bits##_t v, int) { \
    touch(p, bits / 8, Touch::kAtomicWrite, CK_CALLER);                                         \
    __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                   \
  }                                                                                             \
  CK_TSAN uint##bits##_t __tsan_atomic##bits##_exchange(volatile uint##bits##_t* p,             \
                                                        uint##bits##_t v, int) {                \
    touch(p, bits / 8, Touch::kAtomicUpdate, CK_CALLER);                                        \
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                         \
  }                                                                                             \
  CK_TSAN_UPDATE(bits, fetch_add)                                                               \
  CK_TSAN_UPDATE(bits, fetch_sub)                                                               \
  CK_TSAN_UPDATE(bits, fetch_and)                                                               \
  CK_TSAN_UPDATE(bits, fetch_or)                                                                \
  CK_TSAN_UPDATE(bits, fetch_xor)                                                               \
  CK_TSAN_COMPARE(bits, strong, false)                                                          \
  CK_TSAN_COMPARE(bits, weak, true)
CK_TSAN_ATOMIC(8)
CK_TSAN_ATOMIC(16)
CK_TSAN_ATOMIC(32)
CK_TSAN_ATOMIC(64)

CK_TSAN void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
CK_TSAN void __tsan_atomic_signal_fence(int) {}
