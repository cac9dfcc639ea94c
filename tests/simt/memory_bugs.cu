// Planted bugs that only the check build sees for certain: they concern memory that blocks share,
// and orders that happen to work.
#include "cases.cuh"

namespace ck {
namespace CK_GPU {

constexpr int kBlocks = 4;

// y[b] = x[b] + y[b - 1]: a block reads what another one writes.
template <bool kAcross>
__global__ void chain(const int* x, int* y) {
  const int b = blockIdx.x;
  y[b] = kAcross && b > 0 ? x[b] + y[b - 1] : x[b];
}

// y[0] = 1 from every block: the same value, but nobody orders the writes.
template <bool kAll>
__global__ void flag(const int*, int* y) {
  if (blockIdx.x > 0) y[blockIdx.x] = 1;
  if (blockIdx.x == 0 || kAll) y[0] = 1;
}

// Neighbouring bytes belong to different threads; the bug makes one byte everybody's.
template <bool kOwn>
__global__ void bytes(const int* x, int* y) {
  CK_SHARED(unsigned char, values, [64]);
  const int t = threadIdx.x;
  values[kOwn ? t : t / 2] = static_cast<unsigned char>(x[t]);
  __syncthreads();
  y[t] = values[kOwn ? t ^ 1 : t / 2];
}

enum Fence { kSyncwarp, kShuffle, kHalfWarp };
// y[i] = x[i ^ 1] through shared memory. A shuffle makes lanes wait but orders no memory; a
// __syncwarp of the lower lanes does nothing for the upper ones.
template <Fence kFence>
__global__ void fenced(const int* x, int* y) {
  CK_SHARED(int, values, [64]);
  const unsigned t = threadIdx.x, lane = t % kWarpSize;
  values[t] = x[t];
  int same = 0;
  if (kFence == kSyncwarp) __syncwarp();
  if (kFence == kShuffle) same = __shfl_sync(kFullMask, 0, 0);
  if (kFence == kHalfWarp) {
    if (lane < 16) __syncwarp(0xffffu);
    same = __shfl_sync(kFullMask, 0, 0);
  }
  y[t] = values[t ^ 1] + same;
}

// Halves of a warp go their own ways, each behind its own __syncwarp.
__global__ void halves(const int* x, int* y) {
  CK_SHARED(int, values, [64]);
  const unsigned t = threadIdx.x, lane = t % kWarpSize;
  values[t] = x[t];
  __syncwarp(lane < 16 ? 0xffffu : 0xffff0000u);
  y[t] = values[t ^ 1];
}

// Two warps hand over by a named barrier, the other two by another one. The bug: the reader of the
// other pair's values.
template <bool kOwnPair>
__global__ void pairs(const int* x, int* y) {
  CK_SHARED(int, values, [128]);
  const int t = threadIdx.x, pair = t / 64;
  values[t] = x[t];
  named_barrier_sync(1 + pair, 64);
  y[t] = values[kOwnPair ? t ^ 32 : t ^ 64];
}

// What warp 0 tells warp 1 by one barrier, warp 1 passes on to warp 2 by the next.
__global__ void relay(const int* x, int* y) {
  CK_SHARED(int, value, );
  const int t = threadIdx.x, warp = t / kWarpSize;
  if (t == 0) value = x[0];
  if (warp <= 1) named_barrier_sync(1, 64);
  if (warp >= 1) named_barrier_sync(2, 64);
  y[t] = warp == 2 ? value : t;
}

enum Misuse { kNoMisuse, kWriteInput, kReadOutput, kReadBeforeArray };
template <Misuse kMisuse>
__global__ void misuse(const int* x, int* y) {
  const int t = threadIdx.x, zero = static_cast<int>(gridDim.y) - 1;
  if (kMisuse == kWriteInput) const_cast<int*>(x)[t] = x[t] + zero;
  int value = x[t];
  if (kMisuse == kReadOutput) value += y[t] * zero;
  if (kMisuse == kReadBeforeArray) value += x[t - 2] * zero;
  y[t] = value;
}

int same(int i) { return 7 + 3 * i; }
int neighbour(int i) { return 7 + 3 * (i ^ 1); }

template <auto kKernel>
Outcome run_blocks(int (*expected)(int)) {
  Values<int> x(kBlocks), y(kBlocks, -1), want(kBlocks);
  for (int i = 0; i < kBlocks; ++i) x[i] = same(i), want[i] = expected(i);
  const Array<int> arrays[] = {{"x", x, true}, {"y", y, false}};
  launch<kKernel>("blocks", kBlocks, 1, 0, nullptr, x.data(), y.data());
  Outcome outcome;
  outcome.compare(y, want);
  return outcome;
}

const Case kCases[] = {
    {"chain", [] { return run_blocks<chain<false>>(same); }},
    {"chain_across_blocks",
     [] {
       return run_blocks<chain<true>>([](int i) { return (i + 1) * 7 + 3 * i * (i + 1) / 2; });
     }},
    {"flag", [] { return run_blocks<flag<false>>([](int) { return 1; }); }},
    {"flag_of_every_block", [] { return run_blocks<flag<true>>([](int) { return 1; }); }},
    {"bytes", [] { return run_ints<bytes<true>>(64, neighbour); }},
    {"bytes_shared", [] { return run_ints<bytes<false>>(64, same); }},
    {"fenced", [] { return run_ints<fenced<kSyncwarp>>(64, neighbour); }},
    {"fenced_by_shuffle", [] { return run_ints<fenced<kShuffle>>(64, neighbour); }},
    {"fenced_by_half", [] { return run_ints<fenced<kHalfWarp>>(64, neighbour); }},
    {"halves", [] { return run_ints<halves>(64, neighbour); }},
    {"pairs", [] { return run_ints<pairs<true>>(128, [](int i) { return 7 + 3 * (i ^ 32); }); }},
    {"pairs_crossed",
     [] { return run_ints<pairs<false>>(128, [](int i) { return 7 + 3 * (i ^ 64); }); }},
    {"relay", [] { return run_ints<relay>(96, [](int i) { return i < 64 ? i : 7; }); }},
    {"misuse", [] { return run_ints<misuse<kNoMisuse>>(32, same); }},
    {"write_to_input", [] { return run_ints<misuse<kWriteInput>>(32, same); }},
    {"read_of_output", [] { return run_ints<misuse<kReadOutput>>(32, same); }},
    {"read_before_array", [] { return run_ints<misuse<kReadBeforeArray>>(32, same); }},
};

}  // namespace CK_GPU
}  // namespace ck

int main(int argc, char** argv) { return ck::CK_GPU::run_case(ck::CK_GPU::kCases, argc, argv); }
