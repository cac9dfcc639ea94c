#include "simt/check/checker.h"

#include <link.h>
#include <pthread.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "simt/check/code_place.h"
#include "simt/worker.h"

namespace ck::simt {

namespace {

bool reads(Touch touch) { return touch != Touch::kWrite && touch != Touch::kAtomicWrite; }
bool writes(Touch touch) { return touch != Touch::kRead && touch != Touch::kAtomicRead; }
bool is_atomic(Touch touch) { return touch != Touch::kRead && touch != Touch::kWrite; }

const char* verb(Touch touch) {
  switch (touch) {
    case Touch::kRead:
      return "reads";
    case Touch::kWrite:
      return "writes";
    default:
      return "touches atomically";
  }
}

struct Range {
  uintptr_t begin, end;
};

Range stack_of_this_thread() {
  pthread_attr_t attributes;
  void* low = nullptr;
  size_t bytes = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    pthread_attr_getstack(&attributes, &low, &bytes);
    pthread_attr_destroy(&attributes);
  }
  const uintptr_t begin = reinterpret_cast<uintptr_t>(low);
  return {begin, begin + bytes};
}

struct ModuleSearch {
  uintptr_t inside;
  Range found;
};

// The program or library that this function is part of.
Range module_of_kernels() {
  ModuleSearch search = {reinterpret_cast<uintptr_t>(&module_of_kernels), {0, 0}};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        ModuleSearch& s = *static_cast<ModuleSearch*>(data);
        Range range = {UINTPTR_MAX, 0};
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& header = info->dlpi_phdr[i];
          if (header.p_type != PT_LOAD) continue;
          const uintptr_t begin = info->dlpi_addr + header.p_vaddr;
          range.begin = std::min(range.begin, begin);
          range.end = std::max(range.end, begin + header.p_memsz);
        }
        if (s.inside < range.begin || s.inside >= range.end) return 0;
        s.found = range;
        return 1;
      },
      &search);
  return search.found;
}

}  // namespace

Checker::Checker(const SharedArena& arena) : arena_(arena) {
  const Range stack = stack_of_this_thread(), module = module_of_kernels();
  stack_begin_ = stack.begin, stack_end_ = stack.end;
  program_begin_ = module.begin, program_end_ = module.end;
}

void Checker::add_array(const char* name, const void* memory, size_t bytes, Use use) {
  Shadow shadow = use == Use::kInput ? Shadow() : Shadow(memory, bytes);
  arrays_.push_back({name, reinterpret_cast<uintptr_t>(memory), bytes, use, std::move(shadow)});
}

void Checker::start_launch(const Index3& grid) {
  grid_ = grid;
  first_block_ = next_launch_;
  next_launch_ += grid.x * grid.y * grid.z;
  if (!shared_.holds_memory()) shared_ = Shadow(arena_.dynamic(), SharedArena::kBytes);
}

void Checker::start_block(uint64_t number, int threads) {
  block_ = first_block_ + static_cast<uint32_t>(number);
  clocks_.start_block(threads);
}

bool Checker::access(int thread, const void* memory, size_t bytes, Touch touch, const void* pc) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t arena = reinterpret_cast<uintptr_t>(arena_.dynamic());
  const bool shared = at - arena < SharedArena::kBytes;
  Access mine;
  mine.block = block_;
  mine.clock = clocks_.now(thread);
  mine.site = site_of(pc);
  mine.thread = static_cast<uint16_t>(thread);
  mine.flags = is_atomic(touch) ? Access::kAtomic : 0;
  bool ok = true;
  if (shared) {
    ok = access_shared(at, bytes, touch, mine);
  } else {
    const auto hit = std::find_if(arrays_.rbegin(), arrays_.rend(), [=](const Array& array) {
      return at + bytes > array.begin && at < array.begin + array.bytes;
    });
    if (hit != arrays_.rend()) {
      ok = access_global(*hit, at, bytes, touch, mine);
    } else {
      ok = is_harmless(at, bytes, touch) || fail(Fault::kOutside);
    }
  }
  if (ok) return true;
  mine_ = mine, at_ = at, bytes_ = bytes, touch_ = touch;
  return false;
}

bool Checker::begin_copy(int thread, void* to, const void* from, size_t bytes, size_t valid_bytes,
                         const void* pc) {
  if (valid_bytes > 0 && !access(thread, from, valid_bytes, Touch::kRead, pc)) return false;
  if (!access(thread, to, bytes, Touch::kWrite, pc)) return false;
  return shared_.visit(reinterpret_cast<uintptr_t>(to), bytes, [](Record& record) {
    record.write.flags |= Access::kInFlight;
    return true;
  });
}

void Checker::end_copy(int thread, void* to, size_t bytes) {
  shared_.visit(reinterpret_cast<uintptr_t>(to), bytes, [&](Record& record) {
    record.write.flags &= static_cast<uint8_t>(~Access::kInFlight);
    record.write.clock = clocks_.now(thread);
    return true;
  });
}

// Arguments of the kernel lie on the stack of the thread that launched it.
bool Checker::is_harmless(uintptr_t at, size_t bytes, Touch touch) const {
  if (at >= stack_begin_ && at + bytes <= stack_end_) return true;
  return !writes(touch) && at >= program_begin_ && at + bytes <= program_end_;
}

bool Checker::access_shared(uintptr_t at, size_t bytes, Touch touch, const Access& mine) {
  const size_t offset = at - reinterpret_cast<uintptr_t>(arena_.dynamic());
  const SharedArena::Array* array = arena_.array_before(offset);
  if (array == nullptr || offset + bytes > array->begin + array->bytes)
    return fail(Fault::kOutside);
  return shared_.visit(at, bytes, [&](Record& record) {
    return judge(record, mine, touch, true, record.write.block == block_);
  });
}

bool Checker::access_global(Array& array, uintptr_t at, size_t bytes, Touch touch,
                            const Access& mine) {
  if (at < array.begin || at + bytes > array.begin + array.bytes) return fail(Fault::kOutside);
  if (writes(touch) && array.use == Use::kInput) return fail(Fault::kInput);
  if (array.use == Use::kInput) return true;  // nobody can write it
  const bool written = array.use == Use::kUpdated;
  return array.shadow.visit(at, bytes, [&](Record& record) {
    return judge(record, mine, touch, false, written || record.write.block != 0);
  });
}

// Whether an access can still conflict: those of other launches and, in shared memory, of other
// blocks can't.
bool Checker::alive(const Access& earlier, bool shared) const {
  if (shared || earlier.block == 0) return earlier.block == block_;
  return earlier.block - first_block_ < next_launch_ - first_block_;
}

bool Checker::before(const Access& earlier, const Access& mine) const {
  return earlier.block == mine.block && clocks_.ordered(earlier.thread, earlier.clock, mine.thread);
}

bool Checker::concurrent(const Access& earlier, const Access& mine, bool shared) const {
  if ((earlier.flags & mine.flags & Access::kAtomic) != 0) return false;
  return alive(earlier, shared) && !before(earlier, mine);
}

bool Checker::judge(Record& record, const Access& mine, Touch touch, bool shared,
                    bool initialised) {
  if ((record.write.flags & Access::kInFlight) != 0 && alive(record.write, shared)) {
    other_ = record.write, other_wrote_ = true;
    return fail(Fault::kInFlight);
  }
  if (concurrent(record.write, mine, shared)) {
    other_ = record.write, other_wrote_ = true;
    return fail(Fault::kRace);
  }
  for (const Access& read : record.reads) {
    if (!writes(touch) && (read.flags & Access::kAtomic) == 0) continue;
    if (concurrent(read, mine, shared)) {
      other_ = read, other_wrote_ = false;
      return fail(Fault::kRace);
    }
  }
  if (reads(touch) && !initialised) return fail(Fault::kUninitialised);
  if (touch == Touch::kWrite) record.reads[0].block = record.reads[1].block = 0;
  if (writes(touch)) record.write = mine;
  // Atomics count as reads as well, so that several of them are remembered.
  if (touch != Touch::kWrite) note_read(record, mine, shared);
  return true;
}

void Checker::note_read(Record& record, const Access& mine, bool shared) const {
  for (Access& read : record.reads) {
    if (read.block == mine.block && read.thread == mine.thread) {
      read = mine;
      return;
    }
  }
  for (Access& read : record.reads) {
    if (!alive(read, shared) || before(read, mine)) {
      read = mine;
      return;
    }
  }
  const auto apart = [](const Access& a, const Access& b) {
    return a.block != b.block || a.thread / kWarpLanes != b.thread / kWarpLanes;
  };
  if (!apart(record.reads[0], record.reads[1]) && apart(record.reads[0], mine))
    record.reads[1] = mine;
}

std::string Checker::where() const {
  if (const SharedArena::Array* array =
          arena_.array_before(at_ - reinterpret_cast<uintptr_t>(arena_.dynamic()))) {
    const size_t offset = at_ - reinterpret_cast<uintptr_t>(arena_.dynamic()) - array->begin;
    return format_text("shared array '%s', byte %zu of %zu", array->name, offset, array->bytes);
  }
  for (auto array = arrays_.rbegin(); array != arrays_.rend(); ++array) {
    if (at_ - array->begin < array->bytes) {
      return format_text("array '%s', byte %zu of %zu", array->name.c_str(), at_ - array->begin,
                         array->bytes);
    }
  }
  return format_text("address 0x%llx", (unsigned long long)at_);
}

// Names the array that the address is nearest to.
std::string Checker::place_outside() const {
  const uintptr_t arena = reinterpret_cast<uintptr_t>(arena_.dynamic());
  if (at_ - arena < SharedArena::kBytes) {
    const SharedArena::Array* array = arena_.array_before(at_ - arena);
    return format_text("byte %zu of shared array '%s', which has %zu", at_ - arena - array->begin,
                       array->name, array->bytes);
  }
  const Array* nearest = nullptr;
  uintptr_t least = UINTPTR_MAX;
  for (const Array& array : arrays_) {
    const uintptr_t end = array.begin + array.bytes;
    const uintptr_t away = at_ < array.begin ? array.begin - at_ : at_ - std::min(at_, end);
    if (away < least) nearest = &array, least = away;
  }
  if (nearest == nullptr) return where() + ", and the launch has no array";
  const long long offset = static_cast<long long>(at_ - nearest->begin);
  return format_text("outside of all arrays: byte %lld of '%s', which has %zu", offset,
                     nearest->name.c_str(), nearest->bytes);
}

std::string Checker::other_thread() const {
  std::string text = "thread " + std::to_string(other_.thread);
  if (other_.block == mine_.block) return text;
  const uint64_t number = other_.block - first_block_;
  return text + format_text(" of block (%llu, %llu, %llu)", (unsigned long long)(number % grid_.x),
                            (unsigned long long)(number / grid_.x % grid_.y),
                            (unsigned long long)(number / grid_.x / grid_.y));
}

std::string Checker::take_fault() {
  const Fault fault = fault_;
  if (fault == Fault::kNone) return {};
  fault_ = Fault::kNone;
  const std::string what = format_text("thread %d %s %zu bytes at %s: ", int(mine_.thread),
                                       verb(touch_), bytes_, text_of_site(mine_.site).c_str());
  switch (fault) {
    case Fault::kRace:
      return what + "race on " + where() + ", which " + other_thread() +
             (other_wrote_ ? " wrote at " : " read at ") + text_of_site(other_.site) +
             (other_.block == mine_.block ? " with no barrier between"
                                          : "; blocks of a launch are not ordered");
    case Fault::kInFlight:
      return what + where() + ", for which " + other_thread() +
             " has not awaited its copy, begun at " + text_of_site(other_.site);
    case Fault::kUninitialised:
      return what + where() + " was never written";
    case Fault::kInput:
      return what + where() + " is an input";
    default:
      return what + place_outside();
  }
}

}  // namespace ck::simt
