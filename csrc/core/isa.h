// One source, several instruction sets. Kernel files are compiled once per set, each time inside a
// namespace of its own (CK_ISA for cpu_*.cpp, CK_GPU for gpu_*.cu), and the table picks the copy
// that fits the processor at run time. Anything those files take from outside their namespace must
// be plain data, `static inline`, or compiled elsewhere: a shared inline function could be merged
// by the linker with its AVX-512 copy and break an older processor.
#pragma once

namespace ck {

enum class Isa : int { kBaseline, kAvx2, kAvx512 };
constexpr int kIsaCount = 3;

// The set in use: the widest the processor has, or the one CONVKIT_ISA names. Decided once, when
// the module loads.
Isa active_isa();
bool processor_has(Isa isa);
const char* isa_name(Isa isa);

#if defined(__x86_64__)
#define CK_FOR_EACH_CPU_ISA(DO) DO(baseline) DO(avx2) DO(avx512)
#else
#define CK_FOR_EACH_CPU_ISA(DO) DO(baseline)
#endif

}  // namespace ck
