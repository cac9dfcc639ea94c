// The shared memory of a block: dynamic part first, then each static array in order of first use.
//
// Red zones of 128 bytes lie between the arrays. Under the address sanitizer they are poisoned;
// otherwise they hold a pattern that is looked at when the block ends. At block start all of it is
// filled with a poison, so that reading what nobody wrote gives NaN instead of a lucky zero.
#pragma once

#include <cstddef>
#include <string>

namespace ck::simt {

class SharedArena {
 public:
  static constexpr size_t kBytes = 512 * 1024;
  struct Array {
    const char* key;
    const char* name;
    size_t begin, bytes, end;  // end: of its red zone
  };

  SharedArena() = default;
  SharedArena(const SharedArena&) = delete;
  SharedArena& operator=(const SharedArena&) = delete;
  ~SharedArena();

  void start_launch(size_t dynamic_bytes);
  void start_block();
  // Null if there is no room left by CUDA's limits, with the reason in *error.
  void* array(const char* key, const char* name, size_t bytes, std::string* error);
  void* dynamic() const { return memory_; }
  // The last array that begins at or before the offset, which may lie in its red zone; null outside
  // the arena.
  const Array* array_before(size_t offset) const;
  // False if a red zone was written to, with the reason in *error.
  bool red_zones_are_clean(std::string* error) const;

 private:
  void add(const char* key, const char* name, size_t bytes);
  void poison(const Array& array);

  unsigned char* memory_ = nullptr;
  Array arrays_[64] = {};
  int count_ = 0;
};

}  // namespace ck::simt
