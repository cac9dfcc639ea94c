// What the check build knows of memory: for each word, who wrote it last and who has read it since.
//
// A word is four bytes. One that is touched in part has a record for each of its bytes from then
// on, as neighbours may belong to different threads. Both tables are reserved for a whole array at
// once and cost what is touched.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ck::simt {

struct Access {
  enum Flags : uint8_t { kAtomic = 1, kSplit = 2, kInFlight = 4 };

  uint32_t block = 0;  // number of the block since the process started; 0: no access
  uint32_t clock = 0;  // of the thread (clocks.h)
  int32_t site = 0;    // place in the code, relative to that of the runtime
  uint16_t thread = 0;
  uint8_t flags = 0;
};

// Of the reads since the write two are kept, of different warps or blocks if there are such: then
// any writer meets one that is not its own.
struct Record {
  Access write, reads[2];
};

class Shadow {
 public:
  Shadow() = default;
  Shadow(const void* memory, size_t bytes);  // NoMemory
  Shadow(Shadow&& other) noexcept;
  Shadow& operator=(Shadow&& other) noexcept;
  ~Shadow();
  bool holds_memory() const { return words_ != nullptr; }

  // Calls visit(record) for each record of the range, until one returns false.
  template <class Visit>
  bool visit(uintptr_t address, size_t bytes, Visit visit) {
    for (const uintptr_t end = address + bytes; address < end;) {
      const uintptr_t word = address / 4, word_end = (word + 1) * 4;
      const uintptr_t stop = end < word_end ? end : word_end;
      Record& whole = words_[word - first_word_];
      Record* parts = bytes_ + (address - first_word_ * 4);
      if ((whole.write.flags & Access::kSplit) == 0) {
        if (stop - address == 4) {
          if (!visit(whole)) return false;
          address = stop;
          continue;
        }
        split(word - first_word_);
      }
      for (; address < stop; ++address) {
        if (!visit(*parts++)) return false;
      }
    }
    return true;
  }

 private:
  void split(size_t word);

  Record* words_ = nullptr;
  Record* bytes_ = nullptr;
  size_t words_reserved_ = 0;
  uintptr_t first_word_ = 0;
};

}  // namespace ck::simt
