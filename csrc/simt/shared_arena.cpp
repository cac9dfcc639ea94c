#include "simt/shared_arena.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>

#include "core/error.h"
#include "simt/calls.h"
#include "simt/fiber.h"

namespace ck::simt {

namespace {

constexpr size_t kMaxSharedBytes = 227 * 1024;
constexpr size_t kMaxStaticBytes = 48 * 1024;  // ptxas refuses more
constexpr size_t kRedZoneBytes = 128;
constexpr size_t kAlignment = 128;
constexpr uint32_t kRedZoneWord = 0x5afe5afe;
constexpr const char* kDynamicName = "(dynamic)";

// By bytes, as neither end need be a multiple of four.
void fill(unsigned char* memory, size_t begin, size_t end, uint32_t word) {
  unsigned char bytes[4];
  std::memcpy(bytes, &word, 4);
  while (begin < end && begin % 4 != 0) {
    memory[begin] = bytes[begin % 4];
    ++begin;
  }
  for (; begin + 4 <= end; begin += 4) std::memcpy(memory + begin, &word, 4);
  for (; begin < end; ++begin) memory[begin] = bytes[begin % 4];
}

#if !defined(CK_SIMT_ASAN)
bool holds(const unsigned char* memory, size_t begin, size_t end, uint32_t word) {
  unsigned char bytes[4];
  std::memcpy(bytes, &word, 4);
  for (; begin < end; ++begin) {
    if (memory[begin] != bytes[begin % 4]) return false;
  }
  return true;
}
#endif

}  // namespace

SharedArena::~SharedArena() {
  if (memory_ == nullptr) return;
#if defined(CK_SIMT_ASAN)
  ASAN_UNPOISON_MEMORY_REGION(memory_, kBytes);
#endif
  munmap(memory_, kBytes);
}

void SharedArena::start_launch(size_t dynamic_bytes) {
  if (memory_ == nullptr) {
    void* memory =
        mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw NoMemory("the shared memory of a block", int64_t(kBytes));
    memory_ = static_cast<unsigned char*>(memory);
  }
#if defined(CK_SIMT_ASAN)
  ASAN_UNPOISON_MEMORY_REGION(memory_, kBytes);
#endif
  count_ = 0;
  add(nullptr, kDynamicName, dynamic_bytes);
}

void SharedArena::start_block() {
  for (int i = 0; i < count_; ++i) poison(arrays_[i]);
}

void* SharedArena::array(const char* key, const char* name, size_t bytes, std::string* error) {
  size_t static_bytes = bytes;
  for (int i = 1; i < count_; ++i) {
    if (arrays_[i].key == key) return memory_ + arrays_[i].begin;
    static_bytes += arrays_[i].bytes;
  }
  if (static_bytes > kMaxStaticBytes) {
    *error = "static shared memory up to array '" + std::string(name) + "' is " +
             std::to_string(static_bytes) + " bytes, must be at most " +
             std::to_string(kMaxStaticBytes);
    return nullptr;
  }
  if (static_bytes + arrays_[0].bytes > kMaxSharedBytes) {
    *error = "static and dynamic shared memory together are " +
             std::to_string(static_bytes + arrays_[0].bytes) + " bytes, must be at most " +
             std::to_string(kMaxSharedBytes);
    return nullptr;
  }
  if (count_ == static_cast<int>(sizeof(arrays_) / sizeof(arrays_[0]))) {
    *error = "more than 63 shared arrays in one kernel";
    return nullptr;
  }
  add(key, name, bytes);
  return memory_ + arrays_[count_ - 1].begin;
}

void SharedArena::add(const char* key, const char* name, size_t bytes) {
  const size_t begin = count_ == 0 ? 0 : arrays_[count_ - 1].end;
  const size_t end = (begin + bytes + kRedZoneBytes + kAlignment - 1) / kAlignment * kAlignment;
  arrays_[count_] = {key, name, begin, bytes, end};
  fill(memory_, begin + bytes, end, kRedZoneWord);
  poison(arrays_[count_]);
#if defined(CK_SIMT_ASAN)
  ASAN_POISON_MEMORY_REGION(memory_ + begin + bytes, end - begin - bytes);
#endif
  ++count_;
}

void SharedArena::poison(const Array& array) {
  fill(memory_, array.begin, array.begin + array.bytes, kPoison);
}

const SharedArena::Array* SharedArena::array_before(size_t offset) const {
  if (offset >= kBytes) return nullptr;
  const Array* found = arrays_;
  while (found + 1 < arrays_ + count_ && found[1].begin <= offset) ++found;
  return found;
}

bool SharedArena::red_zones_are_clean(std::string* error) const {
#if defined(CK_SIMT_ASAN)
  (void)error;  // the sanitizer has seen each access
#else
  for (int i = 0; i < count_; ++i) {
    const Array& array = arrays_[i];
    if (!holds(memory_, array.begin + array.bytes, array.end, kRedZoneWord)) {
      *error = "a thread wrote beyond shared array '" + std::string(array.name) + "' of " +
               std::to_string(array.bytes) + " bytes";
      return false;
    }
  }
#endif
  return true;
}

}  // namespace ck::simt
