#include "core/isa.h"

#include <cstdlib>
#include <cstring>

#include "core/error.h"

namespace ck {

bool processor_has(Isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case Isa::kBaseline:
      return true;
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("f16c");
    case Isa::kAvx512:
      return processor_has(Isa::kAvx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512dq");
  }
  return false;
#else
  return isa == Isa::kBaseline;
#endif
}

namespace {

Isa choose() {
  const char* wanted = std::getenv("CONVKIT_ISA");
  if (wanted != nullptr && *wanted != '\0') {
    for (int i = 0; i < kIsaCount; ++i) {
      if (std::strcmp(wanted, isa_name(Isa(i))) != 0) continue;
      if (processor_has(Isa(i))) return Isa(i);
      throw_value_error(
          "CONVKIT_ISA is '%s', which this processor does not have; its widest is '%s'", wanted,
          isa_name(processor_has(Isa::kAvx2) ? Isa::kAvx2 : Isa::kBaseline));
    }
    throw_value_error("CONVKIT_ISA is '%s', must be one of baseline, avx2, avx512", wanted);
  }
  if (processor_has(Isa::kAvx512)) return Isa::kAvx512;
  return processor_has(Isa::kAvx2) ? Isa::kAvx2 : Isa::kBaseline;
}

}  // namespace

Isa active_isa() {
  static const Isa chosen = choose();
  return chosen;
}

const char* isa_name(Isa isa) {
#if defined(__aarch64__)
  if (isa == Isa::kBaseline) return "neon";
#endif
  return isa == Isa::kBaseline ? "baseline" : isa == Isa::kAvx2 ? "avx2" : "avx512";
}

}  // namespace ck
