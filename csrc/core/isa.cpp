#include "core/isa.h"

#include <cstdlib>
#include <cstring>
#include <string>

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
    std::string known;
    for (int i = 0; i < kIsaCount; ++i) {
      if (!processor_has(Isa(i))) continue;
      if (std::strcmp(wanted, isa_name(Isa(i))) == 0) return Isa(i);
      known += (known.empty() ? "" : ", ") + std::string(isa_name(Isa(i)));
    }
    throw_value_error("CONVKIT_ISA is '%.80s', must be one that this processor has: %s", wanted,
                      known.c_str());
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
