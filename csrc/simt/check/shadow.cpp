#include "simt/check/shadow.h"

#include <sys/mman.h>

#include <utility>

#include "core/error.h"

namespace ck::simt {

namespace {

Record* reserve(size_t records) {
  const size_t bytes = records * sizeof(Record);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw NoMemory("the shadow of an array", int64_t(bytes));
  return static_cast<Record*>(memory);
}

}  // namespace

Shadow::Shadow(const void* memory, size_t bytes) {
  const uintptr_t begin = reinterpret_cast<uintptr_t>(memory);
  first_word_ = begin / 4;
  const size_t words = (begin + bytes + 3) / 4 - first_word_;
  words_ = reserve(words);
  words_reserved_ = words;
  bytes_ = reserve(words * 4);
}

Shadow::Shadow(Shadow&& other) noexcept { *this = std::move(other); }

Shadow& Shadow::operator=(Shadow&& other) noexcept {
  std::swap(words_, other.words_);
  std::swap(bytes_, other.bytes_);
  std::swap(words_reserved_, other.words_reserved_);
  std::swap(first_word_, other.first_word_);
  return *this;
}

Shadow::~Shadow() {
  if (words_ != nullptr) munmap(words_, words_reserved_ * sizeof(Record));
  if (bytes_ != nullptr) munmap(bytes_, words_reserved_ * 4 * sizeof(Record));
}

void Shadow::split(size_t word) {
  for (size_t i = 0; i < 4; ++i) bytes_[word * 4 + i] = words_[word];
  words_[word].write.flags |= Access::kSplit;
}

}  // namespace ck::simt
