// What a kernel compiled for the host asks of the simt runtime: plain data and out-of-line calls.
//
// Kernel files are compiled once per instruction set and must not share inline functions with
// anything (the linker would keep one copy, perhaps the AVX2 one). So this header has no function
// bodies and no std types; the runtime behind it is compiled once, for the baseline.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace ck::simt {

struct Index3 {
  unsigned x, y, z;
};

// What the kernel sees as threadIdx and so on. Set by the runtime on every switch of threads. A
// kernel runs on one host thread from start to end, so the compiler may keep its address.
struct Current {
  Index3 thread_idx, block_idx, block_dim, grid_dim;
};
extern __thread Current current;

struct Launch {
  const char* kernel;
  Index3 grid, block;
  size_t shared_bytes;
  // Runs the current thread, then those that next_thread() announces, until it says false.
  void (*run_threads)(void* call);
  void* call;
};
// Runs a grid to its end. Throws SimtError (simt/control.h) for a bad launch, a deadlock, a
// divergent barrier, a write beyond a shared array.
void run(const Launch& launch);

// The current thread has returned. True: threadIdx is now that of a thread to run on this stack.
bool next_thread();

// Memory of the shared array that key identifies; the same for all threads of a block.
void* shared_array(const char* key, const char* name, size_t bytes);
void* dynamic_shared();

// Line of the source a thread waits in, for reports and for the check that all threads of the
// block reach the same barrier. The return address would not do: compilers clone code.
struct Site {
  const char* what;
  const char* file;
  int line;
};

// __syncthreads. Returns the number of threads that came with a predicate other than zero.
int block_barrier(const Site& site, int predicate);
// bar.sync id, threads.
void named_barrier(const Site& site, int id, int threads);

// One warp-wide operation as seen by one lane. Each lane posts one and sleeps; the last lane named
// in the mask runs complete() for all of them, with posts[lane] set for each lane in the mask.
struct WarpPost {
  Site site;
  uint32_t mask;
  void (*complete)(WarpPost* const* posts, uint32_t mask);
};
void warp_collective(WarpPost* post);

// cp.async: starts a copy of valid_bytes and as many zeros as make it bytes, closes a group of
// copies, waits until at most so many of the thread's groups are not finished.
void async_copy(const Site& site, void* to, const void* from, int bytes, int valid_bytes);
void async_commit();
void async_wait(int pending);
// Ends the launch unless the address lies in shared memory and is aligned so.
void require_shared(const Site& site, const void* address, size_t alignment);

// Ends the launch with a SimtError that names the kernel, block and thread.
[[noreturn]] void trap(const char* text);

// Filler of shared memory at block start and result of a shuffle from a lane that takes no part.
// NaN as float, about 1.9e307 as double, a large number as int.
constexpr uint32_t kPoison = 0x7fbadbad;

}  // namespace ck::simt
