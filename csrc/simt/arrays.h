// Arrays that kernels may reach, for the check build; in other builds nothing.
#pragma once

#include <cstddef>

namespace ck::simt {

// What a launch may do with an array. Nobody has written an output when the call begins; workspace
// is one as well.
enum class Use { kInput, kOutput, kUpdated };

#if defined(CK_SIMT_CHECK)

// While it lives, kernels launched by this host thread may read the array and, but for an input,
// write it. Destroyed in reverse order of construction.
class KernelArray {
 public:
  KernelArray(const char* name, const void* memory, size_t bytes, Use use);
  ~KernelArray();
  KernelArray(const KernelArray&) = delete;
  KernelArray& operator=(const KernelArray&) = delete;
};

#else

class KernelArray {
 public:
  KernelArray(const char*, const void*, size_t, Use) {}
  ~KernelArray() {}  // no unused variable
};

#endif

}  // namespace ck::simt
