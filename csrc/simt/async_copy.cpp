// cp.async: copies that a thread starts and waits for later.
#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "simt/worker.h"

namespace ck::simt {

namespace {

void move(void* to, const void* from, int bytes, int valid_bytes) {
  if (valid_bytes > 0) std::memcpy(to, from, size_t(valid_bytes));
  std::memset(static_cast<char*>(to) + valid_bytes, 0, size_t(bytes - valid_bytes));
}

}  // namespace

void Worker::require_shared(const Site& site, const void* address, size_t alignment) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(address);
  const uintptr_t offset = at - reinterpret_cast<uintptr_t>(arena_.dynamic());
  if (offset < SharedArena::kBytes && at % alignment == 0) return;
  note_fault(format_text("%s: the address must be in shared memory and a multiple of %zu",
                         site_text(site).c_str(), alignment));
  leave_block();
}

void Worker::async_copy(const Site& site, void* to, const void* from, int bytes, int valid_bytes,
                        const void* caller) {
  require_shared(site, to, size_t(bytes));
  if (reinterpret_cast<uintptr_t>(from) % unsigned(bytes) != 0) {
    note_fault(
        format_text("%s: the source must be a multiple of %d", site_text(site).c_str(), bytes));
    leave_block();
  }
  if (!checker_.begin_copy(thread_, to, from, size_t(bytes), size_t(valid_bytes), caller))
    leave_block();
  if (copies_.empty()) copies_.resize(size_t(threads_));
  Copies& mine = copies_[size_t(thread_)];
  mine.unfinished.push_back({to, from, bytes, valid_bytes, mine.groups});
  if (!late_copies_) move(to, from, bytes, valid_bytes);
}

void Worker::async_commit() {
  if (copies_.empty()) copies_.resize(size_t(threads_));
  ++copies_[size_t(thread_)].groups;
}

void Worker::async_wait(int pending) {
  if (copies_.empty()) return;
  Copies& mine = copies_[size_t(thread_)];
  std::vector<Copy>& copies = mine.unfinished;
  const auto end = std::find_if(copies.begin(), copies.end(), [&](const Copy& copy) {
    return copy.group >= mine.groups - pending;
  });
  for (auto copy = copies.begin(); copy != end; ++copy) {
    if (late_copies_) move(copy->to, copy->from, copy->bytes, copy->valid_bytes);
    checker_.end_copy(thread_, copy->to, size_t(copy->bytes));
  }
  copies.erase(copies.begin(), end);
}

void async_copy(const Site& site, void* to, const void* from, int bytes, int valid_bytes) {
  worker->async_copy(site, to, from, bytes, valid_bytes, __builtin_return_address(0));
}
void async_commit() { worker->async_commit(); }
void async_wait(int pending) { worker->async_wait(pending); }
void require_shared(const Site& site, const void* address, size_t alignment) {
  worker->require_shared(site, address, alignment);
}

}  // namespace ck::simt
