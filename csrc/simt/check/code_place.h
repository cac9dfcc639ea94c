// Where in the sources a place in the code is.
#pragma once

#include <cstdint>
#include <string>

namespace ck::simt {

// A return address of this program or library in 32 bits, and back.
int32_t site_of(const void* return_address);
// "gemm_tile.cuh:233 from gpu_1x1.cu:40", the inlined function first; as far as the debug
// information and addr2line say, else "function+0x1f" or "file+0x1234".
std::string text_of_site(int32_t site);

}  // namespace ck::simt
