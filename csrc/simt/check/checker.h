// The check build (CONVKIT_CHECK): every load and store of a kernel, judged.
//
// Kernel files are compiled with the instrumentation of the thread sanitizer and linked without its
// library: the functions it calls are ours (entry_points.cpp), and they know of blocks, barriers
// and shared memory. Five faults end a launch:
// - two threads touch the same bytes, one of them writes, and nothing orders them (clocks.h).
//   Blocks are never ordered within a launch. Two atomics do not conflict; they order nothing
//   either, so a block that waits for another one's flag is not understood.
// - reading what was never written: shared memory in this block, outputs and workspace in this
// call.
// - touching what a cp.async is still to write.
// - an access outside the arrays of the launch (arrays.h), or beyond a shared array.
// - writing to an input.
// Not seen: memory touched by library calls (memcpy of run-time size), an index that leaves one
// array and hits another one's inside, or one part of the workspace and hits another part.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "simt/arrays.h"
#include "simt/calls.h"

namespace ck::simt {

enum class Touch { kRead, kWrite, kAtomicRead, kAtomicWrite, kAtomicUpdate };

}  // namespace ck::simt

#if defined(CK_SIMT_CHECK)

#include "simt/check/clocks.h"
#include "simt/check/shadow.h"
#include "simt/shared_arena.h"

namespace ck::simt {

class Checker {
 public:
  explicit Checker(const SharedArena& arena);

  void add_array(const char* name, const void* memory, size_t bytes, Use use);
  void remove_array() { arrays_.pop_back(); }

  void start_launch(const Index3& grid);
  void start_block(uint64_t number, int threads);
  void pass_block_barrier() { clocks_.pass_block_barrier(); }
  void pass_named_barrier(const uint32_t* lanes) { clocks_.pass_named_barrier(lanes); }
  void pass_syncwarp(int warp, uint32_t lanes) { clocks_.pass_syncwarp(warp, lanes); }

  // False for a fault, which take_fault() then tells.
  bool access(int thread, const void* memory, size_t bytes, Touch touch, const void* pc);
  std::string take_fault();

  // A cp.async reads its source and writes its destination when it begins. Until the thread has
  // waited for it nobody may touch the destination, and it is as written when that wait ends.
  bool begin_copy(int thread, void* to, const void* from, size_t bytes, size_t valid_bytes,
                  const void* pc);
  void end_copy(int thread, void* to, size_t bytes);

 private:
  struct Array {
    std::string name;
    uintptr_t begin;
    size_t bytes;
    Use use;
    Shadow shadow;
  };
  enum class Fault { kNone, kRace, kInFlight, kUninitialised, kOutside, kInput };

  bool judge(Record& record, const Access& mine, Touch touch, bool shared, bool initialised);
  bool alive(const Access& earlier, bool shared) const;
  bool before(const Access& earlier, const Access& mine) const;
  bool concurrent(const Access& earlier, const Access& mine, bool shared) const;
  void note_read(Record& record, const Access& mine, bool shared) const;
  bool access_shared(uintptr_t at, size_t bytes, Touch touch, const Access& mine);
  bool access_global(Array& array, uintptr_t at, size_t bytes, Touch touch, const Access& mine);
  bool fail(Fault fault) {
    fault_ = fault;
    return false;
  }
  bool is_harmless(uintptr_t at, size_t bytes, Touch touch) const;
  std::string where() const;
  std::string place_outside() const;
  std::string other_thread() const;

  const SharedArena& arena_;
  Clocks clocks_;
  Shadow shared_;
  std::vector<Array> arrays_;  // a later one hides what it overlaps
  Index3 grid_ = {1, 1, 1};
  uint32_t first_block_ = 1, block_ = 0, next_launch_ = 1;
  uintptr_t stack_begin_ = 0, stack_end_ = 0;      // of the launching thread: kernel arguments
  uintptr_t program_begin_ = 0, program_end_ = 0;  // constants

  // The access at fault.
  Fault fault_ = Fault::kNone;
  Access mine_, other_;
  bool other_wrote_ = false;
  uintptr_t at_ = 0;
  size_t bytes_ = 0;
  Touch touch_ = Touch::kRead;
};

}  // namespace ck::simt

#else

namespace ck::simt {

class SharedArena;

class Checker {
 public:
  explicit Checker(const SharedArena&) {}
  void start_launch(const Index3&) {}
  void start_block(uint64_t, int) {}
  void pass_block_barrier() {}
  void pass_named_barrier(const uint32_t*) {}
  void pass_syncwarp(int, uint32_t) {}
  bool begin_copy(int, void*, const void*, size_t, size_t, const void*) { return true; }
  void end_copy(int, void*, size_t) {}
  std::string take_fault() { return {}; }
};

}  // namespace ck::simt

#endif
