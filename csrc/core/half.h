// float16 (IEEE 754 binary16) and bfloat16 by their bits, for every processor: to float32, which
// holds each of them, and back with ties to even. NaNs keep their sign and what fits of their
// payload and become quiet, as x86's F16C has it, so that a copy built with it gives the same bits.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace ck {

struct Float16 {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

CK_ANYWHERE uint32_t bits_of(float x) { return __builtin_bit_cast(uint32_t, x); }
CK_ANYWHERE float float_of(uint32_t bits) { return __builtin_bit_cast(float, bits); }

CK_ANYWHERE float widen(BFloat16 x) {
  const uint32_t bits = uint32_t(x.bits) << 16;
  return float_of((bits & 0x7fffffffu) > 0x7f800000u ? bits | 0x400000u : bits);
}

CK_ANYWHERE BFloat16 narrow(float x, BFloat16*) {
  const uint32_t bits = bits_of(x);
  const uint32_t rounded = bits + 0x7fffu + (bits >> 16 & 1u);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return {uint16_t((nan ? bits | 0x400000u : rounded) >> 16)};
}

// The exponent is rebiased by an addition; a subnormal's value comes out of a subtraction that is
// exact.
CK_ANYWHERE float widen(Float16 x) {
  constexpr uint32_t kBias = 112u << 23, kSmallest = 113u << 23;
  const uint32_t magnitude = uint32_t(x.bits & 0x7fffu) << 13;
  const uint32_t sign = uint32_t(x.bits & 0x8000u) << 16;
  const bool special = magnitude >= 0x0f800000u, nan = magnitude > 0x0f800000u;
  const uint32_t normal = magnitude + kBias + (special ? kBias : 0u);
  const uint32_t small = bits_of(float_of(magnitude + kSmallest) - float_of(kSmallest));
  const uint32_t result = magnitude < 0x00800000u ? small : normal;
  return float_of(result | sign | (nan ? 0x400000u : 0u));
}

// Below 2^-14 the last bit of a float16 is 2^-24, that of a float32 near one half: adding one half
// rounds there.
CK_ANYWHERE Float16 narrow(float x, Float16*) {
  const uint32_t bits = bits_of(x), sign = bits & 0x80000000u, magnitude = bits ^ sign;
  const uint32_t nan = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  const uint32_t small = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u;
  const uint32_t normal = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  const uint32_t result = magnitude > 0x7f800000u    ? nan
                          : magnitude >= 0x47800000u ? 0x7c00u
                          : magnitude < 0x38800000u  ? small
                                                     : normal;
  return {uint16_t(result | sign >> 16)};
}

}  // namespace ck
