// Layout probes of the wrappers in gpu/async_copy.cuh and gpu/mma.cuh, on whole numbers: what simt
// emulates and what the GPU does must both give these values. And the bugs that cp.async invites.
#include "cases.cuh"
#include "gpu/async_copy.cuh"
#include "gpu/mma.cuh"

namespace ck {
namespace CK_GPU {

constexpr int kStages = 3, kSteps = 8, kCopyThreads = 64;

enum CopyBug { kNoCopyBug, kWaitTooFew, kNoBarrierAfterWait, kNoBarrierBeforeReuse };
// y[t] = weighted sum over the steps of what thread t ^ 32 copied, kStages buffers deep.
template <CopyBug kBug>
__global__ void pipeline(const int* x, int* y) {
  CK_SHARED(uint4, buffer, [kStages][kCopyThreads]);
  const int t = threadIdx.x;
  const auto start = [&](int step) {
    if (step < kSteps) cp_async<16>(&buffer[step % kStages][t], x + (step * kCopyThreads + t) * 4);
    cp_async_commit();
  };
  for (int step = 0; step < kStages - 1; ++step) start(step);
  unsigned sum = 0;  // poison overflows
  for (int step = 0; step < kSteps; ++step) {
    cp_async_wait<kBug == kWaitTooFew ? kStages - 1 : kStages - 2>();
    if (kBug != kNoBarrierAfterWait) __syncthreads();
    if (kBug != kNoBarrierBeforeReuse) start(step + kStages - 1);
    const uint4 value = buffer[step % kStages][t ^ 32];
    sum += value.x + 2 * value.y + 3 * value.z + 4 * value.w;
    // One buffer too late: the others may still read the one that this fills.
    if (kBug == kNoBarrierBeforeReuse) start(step + kStages);
  }
  y[t] = static_cast<int>(sum);
}

// Copies of kBytes of which `valid` are real and the rest zeros.
template <int kBytes>
__global__ void partial(const unsigned char* x, unsigned char* y) {
  CK_SHARED(int4, buffer, [32]);
  const int t = threadIdx.x;
  unsigned char* mine = reinterpret_cast<unsigned char*>(buffer) + t * kBytes;
  cp_async<kBytes>(mine, x + t * kBytes, t % (kBytes + 1));
  cp_async_commit();
  cp_async_wait<0>();
  for (int i = 0; i < kBytes; ++i) y[t * kBytes + i] = mine[i];
}

__global__ void misaligned(const int* x, int* y) {
  CK_SHARED(int, buffer, [64]);
  cp_async<8>(&buffer[2 * threadIdx.x], x + threadIdx.x);
  cp_async_commit();
  cp_async_wait<0>();
  y[threadIdx.x] = buffer[2 * threadIdx.x];
}

// Shared element (row, column) of matrix i is 64 i + 8 row + column, rows 24 elements apart.
template <int kCount, bool kTransposed>
__global__ void matrices(const int*, int* y) {
  CK_SHARED(int4, memory, [kCount * 8 * 24 / 8]);
  uint16_t* elements = reinterpret_cast<uint16_t*>(memory);
  const int lane = threadIdx.x;
  for (int i = lane; i < kCount * 64; i += kWarpSize)
    elements[i / 8 * 24 + i % 8] = static_cast<uint16_t>(i);
  __syncwarp();
  uint32_t out[kCount];
  ldmatrix<kCount, kTransposed>(out, elements + (lane % (8 * kCount)) * 24);
  for (int i = 0; i < kCount; ++i) y[i * 32 + lane] = static_cast<int>(out[i]);
}

static __host__ __device__ __forceinline__ uint32_t whole(Tf32Operands, int v) {
  const float x = static_cast<float>(v);
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}
static __host__ __device__ __forceinline__ uint32_t whole(BFloat16Operands, int v) {
  return whole(Tf32Operands{}, v) >> 16;  // exact for |v| <= 256
}
static __host__ __device__ __forceinline__ uint32_t whole(Float16Operands, int v) {
  const int s = v < 0 ? 0x8000 : 0, m = v < 0 ? -v : v;
  int e = 0;
  while (m >> (e + 1)) ++e;
  return static_cast<uint32_t>(m == 0 ? s : s | (e + 15) << 10 | (m << (10 - e) & 0x3ff));
}

// d = c + a * b, loaded and stored by the layout that the header states.
template <class Operands>
__global__ void product(const int* a, const int* b, const int* c, int* d) {
  constexpr int kDepth = Operands::kDepth;
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  uint32_t a_operand[4], b_operand[2];
  float sum[4];
  for (int i = 0; i < 4; ++i) {
    const int row = g + i % 2 * 8;
    if (kDepth == 8) {
      a_operand[i] = whole(Operands{}, a[row * kDepth + t + i / 2 * 4]);
    } else {
      const int* at = a + row * kDepth + 2 * t + i / 2 * 8;
      a_operand[i] = whole(Operands{}, at[0]) | whole(Operands{}, at[1]) << 16;
    }
    sum[i] = static_cast<float>(c[(g + i / 2 * 8) * 8 + 2 * t + i % 2]);
  }
  for (int i = 0; i < 2; ++i) {
    if (kDepth == 8) {
      b_operand[i] = whole(Operands{}, b[(t + i * 4) * 8 + g]);
    } else {
      const int* at = b + (2 * t + i * 8) * 8 + g;
      b_operand[i] = whole(Operands{}, at[0]) | whole(Operands{}, at[8]) << 16;
    }
  }
  mma(Operands{}, sum, a_operand, b_operand);
  for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = static_cast<int>(sum[i]);
}

// d = a * b from float32 numbers of up to 22 bits: six products of bfloat16 pieces, or three of
// tf32 ones, the small first. A comes from shared memory by ldmatrix.
template <bool kTf32>
__global__ void split_product(const float* a, const float* b, float* d) {
  CK_SHARED(float, rows, [16][20]);
  const int lane = threadIdx.x, g = lane / 4, t = lane % 4;
  for (int i = lane; i < 256; i += kWarpSize) rows[i / 16][i % 16] = a[i];
  __syncwarp();
  float sum[4] = {};
  if (kTf32) {
    for (int k = 0; k < 16; k += 8) {
      uint32_t raw[4], big[4], small[4], b_big[2], b_small[2];
      ldmatrix<4>(raw, &rows[lane % 16][k + lane / 16 * 4]);
      for (int i = 0; i < 4; ++i) {
        const Tf32Pieces pieces = split_tf32(__uint_as_float(raw[i]));
        big[i] = pieces.big, small[i] = pieces.small;
      }
      for (int i = 0; i < 2; ++i) {
        const Tf32Pieces pieces = split_tf32(b[(k + t + i * 4) * 8 + g]);
        b_big[i] = pieces.big, b_small[i] = pieces.small;
      }
      mma(Tf32Operands{}, sum, small, b_big);
      mma(Tf32Operands{}, sum, big, b_small);
      mma(Tf32Operands{}, sum, big, b_big);
    }
  } else {
    uint32_t upper[4], lower[4], a_pieces[3][4], b_pieces[3][2];
    ldmatrix<4>(upper, &rows[lane % 8][lane / 8 * 4]);
    ldmatrix<4>(lower, &rows[8 + lane % 8][lane / 8 * 4]);
    split_a_bfloat16(upper, lower, a_pieces);
    for (int i = 0; i < 2; ++i) {
      uint32_t split[3];
      const int low = channel_of_depth(2 * t + i * 8), high = channel_of_depth(2 * t + i * 8 + 1);
      split_bfloat16(b[low * 8 + g], b[high * 8 + g], split);
      for (int j = 0; j < 3; ++j) b_pieces[j][i] = split[j];
    }
    for (int total = 2; total >= 0; --total) {
      for (int i = 0; i <= total; ++i)
        mma(BFloat16Operands{}, sum, a_pieces[i], b_pieces[total - i]);
    }
  }
  for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}

__global__ void pieces_of(const float* x, uint32_t* y) {
  const int t = threadIdx.x;
  const Tf32Pieces tf32 = split_tf32(x[t]);
  uint32_t split[3];
  split_bfloat16(x[t], 1.0f, split);
  y[6 * t] = tf32.big, y[6 * t + 1] = tf32.small;
  for (int i = 0; i < 3; ++i) y[6 * t + 2 + i] = split[i];
  y[6 * t + 5] = pack_float16(x[t], 1.0f);
}

template <CopyBug kBug>
Outcome run_pipeline() {
  Values<int> x(kSteps * kCopyThreads * 4), y(kCopyThreads), want(kCopyThreads);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<int>(i * i % 1009);
  for (int t = 0; t < kCopyThreads; ++t) {
    for (int i = 0; i < kSteps * 4; ++i)
      want[t] += (i % 4 + 1) * x[(i / 4 * kCopyThreads + (t ^ 32)) * 4 + i % 4];
  }
  const Array<int> arrays[] = {{"x", x, true}, {"y", y, false}};
  launch<pipeline<kBug>>("pipeline", 1, kCopyThreads, 0, nullptr, x.data(), y.data());
  Outcome outcome;
  outcome.compare(y, want);
  return outcome;
}

template <int kBytes>
Outcome run_partial() {
  Values<unsigned char> x(32 * kBytes), y(32 * kBytes), want(32 * kBytes);
  for (int i = 0; i < 32 * kBytes; ++i) {
    x[i] = static_cast<unsigned char>(i % 251 + 1);
    if (i % kBytes < i / kBytes % (kBytes + 1)) want[i] = x[i];
  }
  const Array<unsigned char> arrays[] = {{"x", x, true}, {"y", y, false}};
  launch<partial<kBytes>>("partial", 1, 32, 0, nullptr, x.data(), y.data());
  Outcome outcome;
  outcome.compare(y, want);
  return outcome;
}

template <int kCount, bool kTransposed>
Outcome run_matrices() {
  Values<int> x(1), y(kCount * 32), want(kCount * 32);
  for (int i = 0; i < kCount * 32; ++i) {
    const int base = i / 32 * 64, g = i % 32 / 4, t = i % 4;
    const int low = kTransposed ? 2 * t * 8 + g : g * 8 + 2 * t;
    want[i] = (base + low) | (base + low + (kTransposed ? 8 : 1)) << 16;
  }
  const Array<int> arrays[] = {{"y", y, false}};
  launch<matrices<kCount, kTransposed>>("matrices", 1, 32, 0, nullptr, x.data(), y.data());
  Outcome outcome;
  outcome.compare(y, want);
  return outcome;
}

template <class Operands>
Outcome run_product() {
  constexpr int kDepth = Operands::kDepth;
  Values<int> a(16 * kDepth), b(kDepth * 8), c(128), d(128), want(128);
  for (int i = 0; i < 16 * kDepth; ++i) a[i] = i * 37 % 257 - 128;
  for (int i = 0; i < kDepth * 8; ++i) b[i] = i * 53 % 193 - 96;
  for (int i = 0; i < 128; ++i) c[i] = (i * 1009 % 9973 - 5000) * 1601;  // beyond 2^22
  for (int i = 0; i < 128; ++i) {
    want[i] = c[i];
    for (int k = 0; k < kDepth; ++k) want[i] += a[i / 8 * kDepth + k] * b[k * 8 + i % 8];
  }
  const Array<int> arrays[] = {{"a", a, true}, {"b", b, true}, {"c", c, true}, {"d", d, false}};
  launch<product<Operands>>("product", 1, 32, 0, nullptr, a.data(), b.data(), c.data(), d.data());
  Outcome outcome;
  outcome.compare(d, want);
  return outcome;
}

template <bool kTf32>
Outcome run_split_product() {
  Values<float> a(256), b(128), d(128), want(128);
  // a takes two tf32 or three bfloat16 pieces, b one of each; sums stay below 2^24.
  for (int i = 0; i < 256; ++i) a[i] = static_cast<float>(i * 7919 % 131071 - 65535);
  for (int i = 0; i < 128; ++i) b[i] = static_cast<float>(i * 5 % 15 - 7);
  for (int i = 0; i < 128; ++i) {
    for (int k = 0; k < 16; ++k) want[i] += a[i / 8 * 16 + k] * b[k * 8 + i % 8];
  }
  const Array<float> arrays[] = {{"a", a, true}, {"b", b, true}, {"d", d, false}};
  launch<split_product<kTf32>>("split_product", 1, 32, 0, nullptr, a.data(), b.data(), d.data());
  Outcome outcome;
  outcome.compare(d, want);
  return outcome;
}

struct Pieces {
  uint32_t x, big, small, bfloat16[3], float16;
};
const Pieces kPieces[] = {
    {0x3f800000, 0x3f800000, 0, {0x3f80, 0, 0}, 0x3c00},                // 1
    {0x3f801000, 0x3f802000, 0xba000000, {0x3f80, 0x3a00, 0}, 0x3c00},  // 1 + 2^-11: two ties
    {0x3f803000, 0x3f804000, 0xba000000, {0x3f80, 0x3ac0, 0}, 0x3c02},  // 1 + 3 * 2^-11
    {0x3f808000, 0x3f808000, 0, {0x3f80, 0x3b80, 0}, 0x3c04},           // 1 + 2^-8: a tie
    {0xbf818000, 0xbf818000, 0, {0xbf82, 0x3b80, 0}, 0xbc0c},           // -1 - 3 * 2^-8
    {0x3fffffff, 0x40000000, 0xb4000000, {0x4000, 0xb400, 0}, 0x4000},  // below 2
    {0x7f7fffff, 0x7f7fe000, 0x7a000000, {0x7f7f, 0x7b80, 0xf380}, 0x7c00},
    {0xff800000, 0xff800000, 0, {0xff80, 0, 0}, 0xfc00},  // -infinity
    {0x7fc00000, 0x7fc00000, 0, {0x7fc0, 0, 0}, 0x7e00},  // NaN
    {0x00000001, 0, 0, {0, 0, 0}, 0},
};
constexpr int kPieceCount = sizeof(kPieces) / sizeof(kPieces[0]);

// Every NaN counts as the one of the table.
uint32_t one_nan(uint32_t bits, uint32_t infinity, uint32_t nan) {
  return (bits & (infinity | (infinity - 1))) > infinity ? nan : bits;
}

Outcome run_pieces() {
  Values<float> x(kPieceCount);
  Values<uint32_t> y(6 * kPieceCount), want(6 * kPieceCount);
  for (int i = 0; i < kPieceCount; ++i) {
    const Pieces& p = kPieces[i];
    memcpy(&x[i], &p.x, 4);
    want[6 * i] = p.big, want[6 * i + 1] = p.small;
    for (int j = 0; j < 3; ++j) want[6 * i + 2 + j] = p.bfloat16[j] | (j == 0 ? 0x3f800000u : 0);
    want[6 * i + 5] = p.float16 | 0x3c000000u;
  }
  const Array<float> input[] = {{"x", x, true}};
  const Array<uint32_t> output[] = {{"y", y, false}};
  launch<pieces_of>("pieces", 1, kPieceCount, 0, nullptr, x.data(), y.data());
  finish_kernels();
  for (int i = 0; i < 6 * kPieceCount; ++i) {
    const uint32_t low = y[i] & 0xffff, high = y[i] ^ low;
    if (i % 6 < 2) y[i] = one_nan(y[i], 0x7f800000, 0x7fc00000);
    if (i % 6 == 2) y[i] = high | one_nan(low, 0x7f80, 0x7fc0);
    if (i % 6 == 5) y[i] = high | one_nan(low, 0x7c00, 0x7e00);
  }
  Outcome outcome;
  outcome.compare(y, want);
  return outcome;
}

const Case kCases[] = {
    {"pipeline", run_pipeline<kNoCopyBug>},
    {"pipeline_waits_for_too_few", run_pipeline<kWaitTooFew>},
    {"pipeline_no_barrier_after_wait", run_pipeline<kNoBarrierAfterWait>},
    {"pipeline_no_barrier_before_reuse", run_pipeline<kNoBarrierBeforeReuse>},
    {"partial_4", run_partial<4>},
    {"partial_8", run_partial<8>},
    {"partial_16", run_partial<16>},
    {"misaligned", [] { return run_ints<misaligned>(32, [](int i) { return 7 + 3 * i; }); }},
    {"matrices_1", run_matrices<1, false>},
    {"matrices_2", run_matrices<2, false>},
    {"matrices_4", run_matrices<4, false>},
    {"matrices_1_transposed", run_matrices<1, true>},
    {"matrices_2_transposed", run_matrices<2, true>},
    {"matrices_4_transposed", run_matrices<4, true>},
    {"product_tf32", run_product<Tf32Operands>},
    {"product_bfloat16", run_product<BFloat16Operands>},
    {"product_float16", run_product<Float16Operands>},
    {"split_tf32", run_split_product<true>},
    {"split_bfloat16", run_split_product<false>},
    {"pieces", run_pieces},
};

}  // namespace CK_GPU
}  // namespace ck

int main(int argc, char** argv) { return ck::CK_GPU::run_case(ck::CK_GPU::kCases, argc, argv); }
