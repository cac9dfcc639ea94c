// What happens before what within a block, for the check build.
//
// A thread's clock counts the barriers that it has passed. Its warp knows, of every thread of the
// block, up to which clock that thread's accesses are over and visible: what block barriers and
// named barriers, which take whole warps, have told. Beyond that a lane knows of the lanes of its
// warp what __syncwarp has told it. Shuffles and votes tell nothing: CUDA promises no order of
// memory for them.
#pragma once

#include <cstdint>
#include <memory>

namespace ck::simt {

class Clocks {
 public:
  Clocks();
  void start_block(int threads);
  void pass_block_barrier();
  void pass_named_barrier(const uint32_t* lanes_of_warp);
  void pass_syncwarp(int warp, uint32_t lanes);

  uint32_t now(int thread) const { return tables_->now[thread]; }
  // Whether what a thread did at its clock `then` happens before what `reader` does now.
  bool ordered(int thread, uint32_t then, int reader) const {
    const int warp = reader / 32;
    return thread == reader || then <= tables_->known[warp][thread] ||
           (thread / 32 == warp && then <= tables_->lane_known[reader][thread % 32]);
  }

 private:
  static constexpr int kThreads = 1024, kWarps = kThreads / 32;
  struct Tables {
    uint32_t now[kThreads];
    uint32_t known[kWarps][kThreads];
    uint32_t lane_known[kThreads][32];
  };

  std::unique_ptr<Tables> tables_;
  int threads_ = 0, warps_ = 0;
};

}  // namespace ck::simt
