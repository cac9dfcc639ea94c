// Barriers, warp collectives and the report of a deadlock.
#include <cstdio>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "core/error.h"
#include "simt/worker.h"

namespace ck::simt {

std::string site_text(const Site& site) {
  const char* slash = std::strrchr(site.file, '/');
  return format_text("%s at %s:%d", site.what, slash != nullptr ? slash + 1 : site.file, site.line);
}

namespace {

// Nearly always one and the same literal.
bool same_text(const char* a, const char* b) { return a == b || std::strcmp(a, b) == 0; }

bool same_site(const Site& a, const Site& b) {
  return a.line == b.line && same_text(a.what, b.what) && same_text(a.file, b.file);
}

// "0-15, 32"
std::string ranges(const std::vector<int>& numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t end = i;
    while (end + 1 < numbers.size() && numbers[end + 1] == numbers[end] + 1) ++end;
    if (!text.empty()) text += ", ";
    text += std::to_string(numbers[i]);
    if (end > i) text.append("-").append(std::to_string(numbers[end]));
    i = end + 1;
  }
  return text;
}

std::vector<int> bits_of(uint32_t mask) {
  std::vector<int> bits;
  for (int i = 0; i < kWarpLanes; ++i) {
    if (mask >> i & 1) bits.push_back(i);
  }
  return bits;
}

}  // namespace

void Worker::make_ready(int warp, uint32_t lanes) {
  if (lanes == 0) return;
  ready_[warp] |= lanes;
  ready_warps_ |= 1u << warp;
}

void Worker::arrive(Barrier& barrier, const Site& site) {
  sites_[thread_] = site;
  waiting_post_[thread_] = nullptr;
  if (barrier.arrived == 0) barrier.first = thread_;
  barrier.waiting[thread_ / kWarpLanes] |= 1u << thread_ % kWarpLanes;
  ++barrier.arrived;
}

void Worker::release(Barrier& barrier) {
  for (int w = 0; w < warps_; ++w) make_ready(w, std::exchange(barrier.waiting[w], 0u));
  barrier.arrived = 0;
}

int Worker::block_barrier(const Site& site, int predicate) {
  Barrier& barrier = barriers_[0];
  if (barrier.arrived > 0 && !same_site(site, sites_[barrier.first])) {
    note_fault("divergent barrier: this thread is in " + site_text(site) + ", thread " +
               thread_text(barrier.first) + " waits in " + site_text(sites_[barrier.first]));
    leave_block();
  }
  arrive(barrier, site);
  barrier.predicates += predicate != 0;
  if (barrier.arrived == living_) release_block_barrier();
  suspend();
  // No thread gets past the next barrier before all have read this.
  return last_predicates_;
}

void Worker::release_block_barrier() {
  Barrier& barrier = barriers_[0];
  if (late_return_ >= 0) {
    error_ = "divergent barrier: thread " + thread_text(late_return_) + " returned between two, " +
             std::to_string(barrier.arrived) + " threads wait in " +
             site_text(sites_[barrier.first]);
    leave_block();
  }
  last_predicates_ = std::exchange(barrier.predicates, 0);
  ++generation_;
  checker_.pass_block_barrier();
  from_first_ = true;
  release(barrier);
}

void Worker::named_barrier(const Site& site, int id, int threads) {
  if (id < 1 || id >= kBarriers) {
    note_fault(format_text("barrier %d: ids are 1 to 15", id));
    leave_block();
  }
  if (threads < kWarpLanes || threads % kWarpLanes != 0 || threads > warps_ * kWarpLanes) {
    note_fault(
        format_text("barrier %d for %d threads: must be whole warps of the block", id, threads));
    leave_block();
  }
  named_used_ = true;
  Barrier& barrier = barriers_[id];
  if (barrier.arrived > 0 && barrier.expected != threads) {
    note_fault(format_text("barrier %d for %d threads in %s, but thread %d waits for %d", id,
                           threads, site_text(site).c_str(), barrier.first, barrier.expected));
    leave_block();
  }
  barrier.expected = threads;
  arrive(barrier, site);
  if (barrier.arrived == threads) {
    checker_.pass_named_barrier(barrier.waiting);
    release(barrier);
  }
  suspend();
}

void Worker::warp_collective(WarpPost* post) {
  const int warp = thread_ / kWarpLanes, lane = thread_ % kWarpLanes;
  const uint32_t mask = post->mask;
  if ((mask >> lane & 1) == 0) {
    note_fault(format_text("%s: mask 0x%08x lacks the lane itself, %d",
                           site_text(post->site).c_str(), mask, lane));
    leave_block();
  }
  sites_[thread_] = post->site;
  waiting_post_[thread_] = post;
  posts_[warp][lane] = post;
  posted_[warp] |= 1u << lane;
  if ((posted_[warp] & mask) == mask) {
    for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
      const WarpPost& other = *posts_[warp][__builtin_ctz(rest)];
      if (other.mask != mask || other.complete != post->complete ||
          !same_text(other.site.what, post->site.what)) {
        note_fault(format_text("%s with mask 0x%08x meets lane %d in %s with mask 0x%08x",
                               site_text(post->site).c_str(), mask, __builtin_ctz(rest),
                               site_text(other.site).c_str(), other.mask));
        leave_block();
      }
    }
    if (post->complete != nullptr) {
      post->complete(posts_[warp], mask);
    } else {
      checker_.pass_syncwarp(warp, mask);
    }
    posted_[warp] &= ~mask;
    make_ready(warp, mask);
  }
  suspend();
}

std::string Worker::thread_text(int thread) const {
  const Index3& c = coordinates_[thread];
  if (shape_.y == 1 && shape_.z == 1) return std::to_string(thread);
  return format_text("%d = (%u, %u, %u)", thread, c.x, c.y, c.z);
}

// Who waits where: one clause per place.
std::string Worker::deadlock_text() const {
  std::map<std::string, std::vector<int>> places;
  for (int t = 0; t < threads_; ++t) {
    const int warp = t / kWarpLanes;
    if ((alive_[warp] >> t % kWarpLanes & 1) == 0) continue;
    std::string text = site_text(sites_[t]);
    if (const WarpPost* post = waiting_post_[t]) {
      const uint32_t missing = post->mask & ~posted_[warp];
      text += format_text(", warp %d, mask 0x%08x", warp, post->mask);
      if (missing != 0) text += ", lanes missing: " + ranges(bits_of(missing));
      const uint32_t gone = missing & ~alive_[warp];
      if (gone != 0) text += " (returned or not in the block: " + ranges(bits_of(gone)) + ")";
    }
    places[text].push_back(t);
  }
  std::string text = format_text("deadlock, %d of %d threads wait for ever", living_, threads_);
  for (const auto& [where, waiting] : places) {
    text += "; " + std::to_string(waiting.size()) + " in " + where + ": threads " + ranges(waiting);
  }
  return text;
}

}  // namespace ck::simt
