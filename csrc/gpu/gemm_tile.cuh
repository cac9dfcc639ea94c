// The main loop of every product on the GPU: total[m][n] = sum over k of A(m, k) * B(k, n), for one
// block tile.
//
// An operand is data plus two maps: its rows (m of A, n of B) and its columns (k) each have a
// Place, and element (row, column) lies at data[row.offset + column.offset] and counts if row.h +
// column.h and row.w + column.w fall inside the operand's bounds, else it is zero. That one rule
// covers matrices (h = w = 0, bounds 1), an image read under a filter (rows are pixels, columns are
// taps and channels, or the reverse for wgrad), and the tails of both (Place outside).
//
// Block tile kM x kN, k step of 64 bytes (16 floats, 8 doubles). Warps stand kWarpsM x kWarpsN,
// lanes 4 (m) x 8 (n); a thread's rows and columns come in groups of 16 bytes, so that each shared
// load of a warp is 64 (A) or 128 (B) consecutive bytes: one wavefront. Thread tile 8 x 4: 3
// wavefronts feed 32 FMAs of a warp.
//
// Shared: two stages of A[k][kM + 4] and B[k][kN + 4], and the Places of all rows and of two steps
// of columns. The + 4 is for stores of operands contiguous along k, where a group of lanes holds
// one 32-byte sector of a row. Banks, with j the element of a vector:
//
//     float, scalar   8 k x 4 rows          4 k + row
//     float, vector   2 vectors x 16 rows   16 vector + 4 j + row
//     double, scalar  4 k x 4 rows          4 k + row             (half warp, 16 double banks)
//     double, vector  2 vectors x 8 rows    8 vector + 4 j + row  (half warp)
//
// All conflict-free. Operands contiguous along their rows are stored as they were loaded, 16 bytes
// or a word a lane.
//
// One barrier a step: it publishes the next stage and the columns of the step after, and ends the
// reads of this one.
//
// Order of each sum: k ascending in chains of 64, FMA from zero in each, chain sums added in order
// to a second register set, and that one to the levels of gpu/sums.cuh. It depends on gemm_k alone,
// so tile choice and neighbours never change the bits of an output.
#pragma once

#include "gpu/sums.cuh"

namespace ck {
namespace CK_GPU {

// Coordinates stay within +-2^29 (in_coordinate_range), so that one outside Place outweighs any
// inside one.
constexpr int32_t kOutside = -(1 << 30);
constexpr int64_t kCoordinateLimit = int64_t(1) << 29;

struct alignas(16) Place {
  int64_t offset;
  int32_t h, w;
};

static __device__ __forceinline__ Place place(int64_t offset, int32_t h = 0, int32_t w = 0) {
  return Place{offset, h, w};
}
static __device__ __forceinline__ Place outside() { return Place{0, kOutside, kOutside}; }

template <class T>
struct Operand {
  const T* data;
  uint32_t h, w;  // bounds; 1, 1 for a matrix
};

template <class T_, int kWarpsM_, int kWarpsN_, int kThreadM_, int kThreadN_>
struct Tile {
  using T = T_;
  static constexpr int kWarpsM = kWarpsM_, kWarpsN = kWarpsN_;
  static constexpr int kThreadM = kThreadM_, kThreadN = kThreadN_;
  static constexpr int kLanesM = 4, kLanesN = 8;
  static constexpr int kM = kWarpsM * kLanesM * kThreadM, kN = kWarpsN * kLanesN * kThreadN;
  static constexpr int kThreads = kWarpsM * kWarpsN * kWarpSize;
  static constexpr int kStep = 64 / sizeof(T), kBlockSteps = kSumBlock / kStep;
  static constexpr int kVector = kVectorBytes / sizeof(T);
  static constexpr int kPad = 4;
  static_assert(kThreadM % kVector == 0 && kThreadN % kVector == 0);
  static_assert(kThreads >= kWarpSize + kStep,
                "the columns of A and of B are prepared by different warps");

  // First row (column) of the thread's i-th group of kVector rows (columns) of the block tile.
  static __device__ __forceinline__ int row_of(int group) {
    const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
    return ((group * kWarpsM + warp / kWarpsN) * kLanesM + lane / kLanesN) * kVector;
  }
  static __device__ __forceinline__ int column_of(int group) {
    const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
    return ((group * kWarpsN + warp % kWarpsN) * kLanesN + lane % kLanesN) * kVector;
  }
};

template <class T, int kCount, bool kGathered>
static __device__ __forceinline__ Pack<T, kCount> load_element(const Operand<T>& operand,
                                                               const Place& row,
                                                               const Place& column) {
  bool inside = uint32_t(row.h + column.h) < (kGathered ? operand.h : 1u);
  if (kGathered) inside = inside && uint32_t(row.w + column.w) < operand.w;
  return inside ? load_pack<T, kCount>(operand.data + (row.offset + column.offset))
                : zero_pack<T, kCount>();
}

// Loads an operand whose rows are neighbours in memory: lanes run along the rows. With kVectorized
// a lane takes 16 bytes of rows, which must lie together and be aligned (row count and all offsets
// multiples of kVector).
template <class Tile, int kRows, bool kVectorized, bool kGathered>
struct LoadAlongRows {
  using T = typename Tile::T;
  static constexpr int kCount = kVectorized ? Tile::kVector : 1;
  static constexpr int kLanes = kRows / kCount, kColumnsPerPass = Tile::kThreads / kLanes;
  static constexpr int kPasses = Tile::kStep / kColumnsPerPass;
  static_assert(kPasses * kColumnsPerPass == Tile::kStep &&
                kColumnsPerPass * kLanes == Tile::kThreads);

  Place row;
  Pack<T, kCount> held[kPasses];

  __device__ __forceinline__ void start(const Place (&rows)[kRows]) {
    row = rows[threadIdx.x % kLanes * kCount];
  }
  __device__ __forceinline__ void fetch(const Operand<T>& operand, const Place (&)[kRows],
                                        const Place (&columns)[Tile::kStep]) {
#pragma unroll
    for (int i = 0; i < kPasses; ++i)
      held[i] = load_element<T, kCount, kGathered>(
          operand, row, columns[threadIdx.x / kLanes + i * kColumnsPerPass]);
  }
  __device__ __forceinline__ void store(T (&tile)[Tile::kStep][kRows + Tile::kPad]) const {
#pragma unroll
    for (int i = 0; i < kPasses; ++i)
      store_pack<T, kCount>(
          &tile[threadIdx.x / kLanes + i * kColumnsPerPass][threadIdx.x % kLanes * kCount],
          held[i]);
  }
};

// Loads an operand whose columns (k) are neighbours in memory: a few lanes read one 32-byte sector
// of a row, the rest of the warp other rows, and the store transposes. With kVectorized a lane
// takes 16 bytes of columns.
template <class Tile, int kRows, bool kVectorized, bool kGathered>
struct LoadAlongColumns {
  using T = typename Tile::T;
  static constexpr int kCount = kVectorized ? Tile::kVector : 1;
  static constexpr int kSector = kSectorBytes / sizeof(T), kSectors = Tile::kStep / kSector;
  static constexpr int kLanes = kSector / kCount;
  static constexpr int kRowsPerPass = Tile::kThreads / kLanes / kSectors,
                       kPasses = kRows / kRowsPerPass;
  static_assert(kPasses * kRowsPerPass == kRows && Tile::kThreads / kWarpSize % kSectors == 0);

  Pack<T, kCount> held[kPasses];

  static __device__ __forceinline__ int first_row() {
    const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
    return warp / kSectors * (kWarpSize / kLanes) + lane / kLanes;
  }
  static __device__ __forceinline__ int first_column() {
    const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
    return warp % kSectors * kSector + lane % kLanes * kCount;
  }
  __device__ __forceinline__ void start(const Place (&)[kRows]) {}
  __device__ __forceinline__ void fetch(const Operand<T>& operand, const Place (&rows)[kRows],
                                        const Place (&columns)[Tile::kStep]) {
    const Place column = columns[first_column()];
#pragma unroll
    for (int i = 0; i < kPasses; ++i)
      held[i] =
          load_element<T, kCount, kGathered>(operand, rows[first_row() + i * kRowsPerPass], column);
  }
  __device__ __forceinline__ void store(T (&tile)[Tile::kStep][kRows + Tile::kPad]) const {
#pragma unroll
    for (int i = 0; i < kPasses; ++i) {
#pragma unroll
      for (int j = 0; j < kCount; ++j)
        tile[first_column() + j][first_row() + i * kRowsPerPass] = held[i].value[j];
    }
  }
};

// rows_a(i), rows_b(i): Place of row i of the tile; columns_a(k), columns_b(k): Place of gemm_k
// index k < gemm_k. All threads of the block call it together. total is overwritten.
template <class Tile, class LoadA, class LoadB, class RowsA, class ColumnsA, class RowsB,
          class ColumnsB>
static __device__ __forceinline__ void gemm_main_loop(
    const Operand<typename Tile::T>& a, const RowsA& rows_a, const ColumnsA& columns_a,
    const Operand<typename Tile::T>& b, const RowsB& rows_b, const ColumnsB& columns_b, int gemm_k,
    typename Tile::T (&total)[Tile::kThreadM][Tile::kThreadN]) {
  using T = typename Tile::T;
  constexpr int kVector = Tile::kVector;
  CK_SHARED(T, tiles_a, [2][Tile::kStep][Tile::kM + Tile::kPad]);
  CK_SHARED(T, tiles_b, [2][Tile::kStep][Tile::kN + Tile::kPad]);
  CK_SHARED(Place, places_a, [Tile::kM]);
  CK_SHARED(Place, places_b, [Tile::kN]);
  CK_SHARED(Place, steps_a, [2][Tile::kStep]);
  CK_SHARED(Place, steps_b, [2][Tile::kStep]);

  const int thread = threadIdx.x;
  const auto prepare = [&](int step) {
    const int lane = thread % kWarpSize, k = step * Tile::kStep + lane;
    if (lane >= Tile::kStep) return;
    if (thread < kWarpSize)
      steps_a[step % 2][lane] = k < gemm_k ? columns_a(k) : outside();
    else if (thread < 2 * kWarpSize)
      steps_b[step % 2][lane] = k < gemm_k ? columns_b(k) : outside();
  };

  for (int i = thread; i < Tile::kM; i += Tile::kThreads) places_a[i] = rows_a(i);
  for (int i = thread; i < Tile::kN; i += Tile::kThreads) places_b[i] = rows_b(i);
  prepare(0);
  prepare(1);
  __syncthreads();

  LoadA load_a;
  LoadB load_b;
  load_a.start(places_a);
  load_b.start(places_b);
  load_a.fetch(a, places_a, steps_a[0]);
  load_b.fetch(b, places_b, steps_b[0]);
  load_a.store(tiles_a[0]);
  load_b.store(tiles_b[0]);
  __syncthreads();

#pragma unroll
  for (int m = 0; m < Tile::kThreadM; ++m) {
#pragma unroll
    for (int n = 0; n < Tile::kThreadN; ++n) total[m][n] = T(0);
  }

  CarriedSums<T, Tile::kThreadM, Tile::kThreadN> carried;
  const int steps = (gemm_k + Tile::kStep - 1) / Tile::kStep;
  for (int block = 0; block < steps; block += Tile::kBlockSteps) {
    const int block_end = smaller(block + Tile::kBlockSteps, steps);
    T sum[Tile::kThreadM][Tile::kThreadN] = {};
    for (int step = block; step < block_end; ++step) {
      const bool more = step + 1 < steps;
      if (more) {
        load_a.fetch(a, places_a, steps_a[(step + 1) % 2]);
        load_b.fetch(b, places_b, steps_b[(step + 1) % 2]);
      }
      prepare(step + 2);
#pragma unroll(Tile::kStep / 2)
      for (int k = 0; k < Tile::kStep; ++k) {
        Pack<T, kVector> row[Tile::kThreadM / kVector], column[Tile::kThreadN / kVector];
#pragma unroll
        for (int i = 0; i < Tile::kThreadM / kVector; ++i)
          row[i] = load_pack<T, kVector>(&tiles_a[step % 2][k][Tile::row_of(i)]);
#pragma unroll
        for (int i = 0; i < Tile::kThreadN / kVector; ++i)
          column[i] = load_pack<T, kVector>(&tiles_b[step % 2][k][Tile::column_of(i)]);
#pragma unroll
        for (int m = 0; m < Tile::kThreadM; ++m) {
#pragma unroll
          for (int n = 0; n < Tile::kThreadN; ++n)
            sum[m][n] = fma_rn(row[m / kVector].value[m % kVector],
                               column[n / kVector].value[n % kVector], sum[m][n]);
        }
      }
      if (more) {
        load_a.store(tiles_a[(step + 1) % 2]);
        load_b.store(tiles_b[(step + 1) % 2]);
      }
      __syncthreads();
    }
#pragma unroll
    for (int m = 0; m < Tile::kThreadM; ++m) {
#pragma unroll
      for (int n = 0; n < Tile::kThreadN; ++n) total[m][n] += sum[m][n];
    }
    carried.carry(total, block / Tile::kBlockSteps + 1);
  }
  carried.finish(total, (steps + Tile::kBlockSteps - 1) / Tile::kBlockSteps);
}

// Calls store(m, n, pack) for each group of kVector columns of the thread: m and n count within the
// block tile.
template <class Tile, class Store>
static __device__ __forceinline__ void for_each_result(
    const typename Tile::T (&total)[Tile::kThreadM][Tile::kThreadN], const Store& store) {
  constexpr int kVector = Tile::kVector;
#pragma unroll
  for (int j = 0; j < Tile::kThreadN / kVector; ++j) {
#pragma unroll
    for (int m = 0; m < Tile::kThreadM; ++m) {
      Pack<typename Tile::T, kVector> pack;
#pragma unroll
      for (int n = 0; n < kVector; ++n) pack.value[n] = total[m][j * kVector + n];
      store(Tile::row_of(m / kVector) + m % kVector, Tile::column_of(j), pack);
    }
  }
}

}  // namespace CK_GPU
}  // namespace ck
