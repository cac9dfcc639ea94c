// Barriers and warp collectives for host builds, all made of two runtime calls: a block barrier
// and "the last lane works for all" (simt/calls.h). The default arguments record the caller's line.
#pragma once

#include "simt/intrinsics.h"

namespace ck {
namespace CK_GPU {

// Reaches into other threads' stacks, so it is no part of the kernel for the check build.
#define CK_SIMT_RUNTIME __attribute__((no_sanitize_thread))
#define CK_SIMT_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

CK_SIMT_INLINE void __syncthreads(CK_SIMT_HERE) {
  simt::block_barrier({"__syncthreads", file, line}, 0);
}
CK_SIMT_INLINE int __syncthreads_count(int predicate, CK_SIMT_HERE) {
  return simt::block_barrier({"__syncthreads_count", file, line}, predicate);
}
CK_SIMT_INLINE int __syncthreads_or(int predicate, CK_SIMT_HERE) {
  return simt::block_barrier({"__syncthreads_or", file, line}, predicate) != 0;
}
CK_SIMT_INLINE int __syncthreads_and(int predicate, CK_SIMT_HERE) {
  return simt::block_barrier({"__syncthreads_and", file, line}, !predicate) == 0;
}
CK_SIMT_INLINE void named_barrier_sync(int id, int threads, CK_SIMT_HERE) {
  simt::named_barrier({"named_barrier_sync", file, line}, id, threads);
}

CK_SIMT_INLINE void __syncwarp(unsigned mask = 0xffffffffu, CK_SIMT_HERE) {
  simt::WarpPost post = {{"__syncwarp", file, line}, mask, nullptr};
  simt::warp_collective(&post);
}

struct ShufflePost : simt::WarpPost {
  uint64_t value, result;
  int source;  // lane this one reads from
};
CK_SIMT_RUNTIME inline void complete_shuffle(simt::WarpPost* const* posts, uint32_t mask) {
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    ShufflePost& reader = *static_cast<ShufflePost*>(posts[__builtin_ctz(rest)]);
    reader.result = mask >> reader.source & 1
                        ? static_cast<ShufflePost*>(posts[reader.source])->value
                        : static_cast<uint64_t>(simt::kPoison) << 32 | simt::kPoison;
  }
}
CK_SIMT_INLINE int lane_of_thread() {
  const simt::Current& c = simt::current;
  return (c.thread_idx.x + c.block_dim.x * (c.thread_idx.y + c.block_dim.y * c.thread_idx.z)) % 32;
}
template <class T>
CK_SIMT_INLINE T shuffle(const char* what, unsigned mask, T value, int source, const char* file,
                         int line) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  ShufflePost post;
  post.site = {what, file, line};
  post.mask = mask;
  post.complete = complete_shuffle;
  post.value = 0;
  post.source = source;
  __builtin_memcpy(&post.value, &value, sizeof(T));
  simt::warp_collective(&post);
  __builtin_memcpy(&value, &post.result, sizeof(T));
  return value;
}
// A lane whose source lies outside its segment of width lanes keeps its own value.
template <class T>
CK_SIMT_INLINE T __shfl_sync(unsigned mask, T value, int source, int width = 32, CK_SIMT_HERE) {
  const int lane = lane_of_thread();
  return shuffle("__shfl_sync", mask, value, (lane & -width) | (source & (width - 1)), file, line);
}
template <class T>
CK_SIMT_INLINE T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                                CK_SIMT_HERE) {
  const int lane = lane_of_thread(), source = lane - static_cast<int>(delta);
  return shuffle("__shfl_up_sync", mask, value, source < (lane & -width) ? lane : source, file,
                 line);
}
template <class T>
CK_SIMT_INLINE T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                                  CK_SIMT_HERE) {
  const int lane = lane_of_thread(), source = lane + static_cast<int>(delta);
  return shuffle("__shfl_down_sync", mask, value, source > (lane | (width - 1)) ? lane : source,
                 file, line);
}
template <class T>
CK_SIMT_INLINE T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32,
                                 CK_SIMT_HERE) {
  const int lane = lane_of_thread(), source = lane ^ lane_mask;
  return shuffle("__shfl_xor_sync", mask, value, source > (lane | (width - 1)) ? lane : source,
                 file, line);
}

struct VotePost : simt::WarpPost {
  uint64_t value;
  uint32_t result;
};
// Lanes of the mask whose value equals that of the lane itself; a vote is a match with 1.
CK_SIMT_RUNTIME inline void complete_vote(simt::WarpPost* const* posts, uint32_t mask) {
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    VotePost& asker = *static_cast<VotePost*>(posts[__builtin_ctz(rest)]);
    asker.result = 0;
    for (uint32_t others = mask; others != 0; others &= others - 1) {
      const int lane = __builtin_ctz(others);
      if (static_cast<VotePost*>(posts[lane])->value == asker.value) asker.result |= 1u << lane;
    }
  }
}
CK_SIMT_INLINE unsigned same_lanes(const char* what, unsigned mask, uint64_t value,
                                   const char* file, int line) {
  VotePost post;
  post.site = {what, file, line};
  post.mask = mask;
  post.complete = complete_vote;
  post.value = value;
  simt::warp_collective(&post);
  return post.result;
}
CK_SIMT_INLINE unsigned ballot(const char* what, unsigned mask, int predicate, const char* file,
                               int line) {
  const unsigned same = same_lanes(what, mask, predicate != 0, file, line);
  return predicate ? same : mask & ~same;
}
CK_SIMT_INLINE unsigned __ballot_sync(unsigned mask, int predicate, CK_SIMT_HERE) {
  return ballot("__ballot_sync", mask, predicate, file, line);
}
CK_SIMT_INLINE int __any_sync(unsigned mask, int predicate, CK_SIMT_HERE) {
  return ballot("__any_sync", mask, predicate, file, line) != 0;
}
CK_SIMT_INLINE int __all_sync(unsigned mask, int predicate, CK_SIMT_HERE) {
  return ballot("__all_sync", mask, predicate, file, line) == mask;
}
template <class T>
CK_SIMT_INLINE unsigned __match_any_sync(unsigned mask, T value, CK_SIMT_HERE) {
  uint64_t bits = 0;
  __builtin_memcpy(&bits, &value, sizeof(T));
  return same_lanes("__match_any_sync", mask, bits, file, line);
}

}  // namespace CK_GPU
}  // namespace ck
