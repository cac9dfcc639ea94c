// CUDA's vector types for host builds: same names, members, sizes and alignments, so that simt
// needs no toolkit. may_alias: kernels read float arrays through float4 pointers, and nvcc allows
// that.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "simt/calls.h"

namespace ck {
namespace CK_GPU {

#define CK_SIMT_VECTOR(base, name, alignment2, alignment4)                                        \
  struct __attribute__((may_alias, aligned(alignment2))) name##2 { base x, y; };                  \
  struct __attribute__((may_alias)) name##3 { base x, y, z; };                                    \
  struct __attribute__((may_alias, aligned(alignment4))) name##4 { base x, y, z, w; };            \
  inline __attribute__((always_inline)) name##2 make_##name##2(base x, base y) { return {x, y}; } \
  inline __attribute__((always_inline)) name##3 make_##name##3(base x, base y, base z) {          \
    return {x, y, z};                                                                             \
  }                                                                                               \
  inline __attribute__((always_inline)) name##4 make_##name##4(base x, base y, base z, base w) {  \
    return {x, y, z, w};                                                                          \
  }
CK_SIMT_VECTOR(float, float, 8, 16)
CK_SIMT_VECTOR(double, double, 16, 16)
CK_SIMT_VECTOR(int, int, 8, 16)
CK_SIMT_VECTOR(unsigned, uint, 8, 16)
CK_SIMT_VECTOR(long long, longlong, 16, 16)
CK_SIMT_VECTOR(unsigned char, uchar, 2, 4)
#undef CK_SIMT_VECTOR

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

}  // namespace CK_GPU
}  // namespace ck
