#include "simt/check/clocks.h"

#include <algorithm>
#include <cstring>

namespace ck::simt {

Clocks::Clocks() : tables_(std::make_unique<Tables>()) {}

void Clocks::start_block(int threads) {
  threads_ = threads;
  warps_ = (threads + 31) / 32;
  const size_t bytes = static_cast<size_t>(warps_) * 32 * sizeof(uint32_t);
  std::fill_n(tables_->now, warps_ * 32, 1u);
  for (int w = 0; w < warps_; ++w) std::memset(tables_->known[w], 0, bytes);
  std::memset(tables_->lane_known, 0, bytes * 32);
}

// A thread that has returned counts as passed.
void Clocks::pass_block_barrier() {
  for (int w = 0; w < warps_; ++w) std::copy_n(tables_->now, threads_, tables_->known[w]);
  for (int t = 0; t < threads_; ++t) ++tables_->now[t];
}

void Clocks::pass_named_barrier(const uint32_t* lanes_of_warp) {
  uint32_t joined[kThreads] = {};
  for (int w = 0; w < warps_; ++w) {
    if (lanes_of_warp[w] == 0) continue;
    for (int t = 0; t < threads_; ++t) joined[t] = std::max(joined[t], tables_->known[w][t]);
    for (int lane = 0; lane < 32; ++lane) {
      if (lanes_of_warp[w] >> lane & 1) joined[w * 32 + lane] = tables_->now[w * 32 + lane]++;
    }
  }
  for (int w = 0; w < warps_; ++w) {
    if (lanes_of_warp[w] != 0) std::copy_n(joined, threads_, tables_->known[w]);
  }
}

void Clocks::pass_syncwarp(int warp, uint32_t lanes) {
  uint32_t joined[32] = {};
  for (int lane = 0; lane < 32; ++lane) {
    if ((lanes >> lane & 1) == 0) continue;
    const uint32_t* known = tables_->lane_known[warp * 32 + lane];
    for (int i = 0; i < 32; ++i) joined[i] = std::max(joined[i], known[i]);
  }
  for (int lane = 0; lane < 32; ++lane) {
    if (lanes >> lane & 1) joined[lane] = tables_->now[warp * 32 + lane]++;
  }
  for (int lane = 0; lane < 32; ++lane) {
    if (lanes >> lane & 1) std::copy_n(joined, 32, tables_->lane_known[warp * 32 + lane]);
  }
}

}  // namespace ck::simt
