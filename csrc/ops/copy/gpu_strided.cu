// copy.strided, GPU: any strided array to a dense one, items of 1 to 16 bytes.
// Dimensions are merged on the host as far as the source lets them (merged.h). Then either
// - a transposed matrix: 32 x 32 tiles through shared memory, so that reads run along the source's
//   contiguous dimension and writes along the result's. Shared rows are 33 items: a column of the
//   tile then touches all banks. 256 threads, 4 items each.
// - anything else: lanes run along the result, 4 items a thread; rows contiguous in the source are
//   moved 16 bytes at a time where both sides allow it.
// Limit: memory, twice the result's bytes. Merged sides need fewer than 2^31 items.
// ptxas sm_80, 0 spills: rows 18-30, transposed 24-29. Not run on a GPU.
#include "gpu/element.cuh"
#include "ops/copy/merged.h"
#include "ops/copy/problem.h"

namespace ck {
namespace CK_GPU {
namespace {

constexpr int kThreads = 256;
constexpr int kUnroll = 4;
constexpr int kTile = 32, kTileRows = 8;
constexpr int64_t kItems = int64_t(1) << 30;

struct alignas(16) Item16 {
  uint32_t word[4];
};

// Outer dimensions of an array, walked by one number.
struct Outer {
  int rank;
  FastDivide by_side[kMaxRank];
  int64_t src_step[kMaxRank], dst_step[kMaxRank];  // bytes, items
};

struct Offsets {
  int64_t src, dst;
};
static __device__ __forceinline__ Offsets offsets_of(const Outer& outer, uint32_t index) {
  Offsets offsets = {0, 0};
#pragma unroll
  for (int d = kMaxRank - 1; d >= 0; --d) {
    if (d >= outer.rank) continue;
    const uint32_t rest = outer.by_side[d].quotient(index);
    const int64_t at = outer.by_side[d].remainder(index, rest);
    offsets.src += at * outer.src_step[d];
    offsets.dst += at * outer.dst_step[d];
    index = rest;
  }
  return offsets;
}

// The innermost dimension has `length` items, `stride` bytes apart in the source.
template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    copy_rows(Outer outer, FastDivide by_length, int64_t stride, uint32_t items,
              const char* __restrict__ src, T* __restrict__ dst) {
  const uint32_t first = blockIdx.x * uint32_t(kThreads * kUnroll) + threadIdx.x;
  T item[kUnroll];
#pragma unroll
  for (int i = 0; i < kUnroll; ++i) {
    const uint32_t at = first + uint32_t(i) * kThreads;
    if (at >= items) continue;
    const uint32_t row = by_length.quotient(at);
    const int64_t column = by_length.remainder(at, row);
    item[i] = *reinterpret_cast<const T*>(src + offsets_of(outer, row).src + column * stride);
  }
#pragma unroll
  for (int i = 0; i < kUnroll; ++i) {
    const uint32_t at = first + uint32_t(i) * kThreads;
    if (at < items) dst[at] = item[i];
  }
}

struct Matrix {
  int32_t rows, columns;       // rows: contiguous in the source; columns: in the result
  int64_t src_step, dst_step;  // bytes between columns; items between rows
  FastDivide row_tiles, column_tiles;
};

template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    copy_transposed(Outer outer, Matrix m, const char* __restrict__ src, T* __restrict__ dst) {
  CK_SHARED(T, tile, [kTile][kTile + 1]);
  const uint32_t block = blockIdx.x;
  const uint32_t strip = m.column_tiles.quotient(block);
  const uint32_t index = m.row_tiles.quotient(strip);
  const int32_t column = int32_t(m.column_tiles.remainder(block, strip)) * kTile;
  const int32_t row = int32_t(m.row_tiles.remainder(strip, index)) * kTile;
  const Offsets offsets = offsets_of(outer, index);
  const int lane = threadIdx.x % kTile, line = threadIdx.x / kTile;
  const char* const from = src + offsets.src + int64_t(row + lane) * int64_t(sizeof(T));
#pragma unroll
  for (int i = 0; i < kTile; i += kTileRows) {
    if (row + lane < m.rows && column + line + i < m.columns)
      tile[line + i][lane] =
          *reinterpret_cast<const T*>(from + int64_t(column + line + i) * m.src_step);
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kTile; i += kTileRows) {
    if (row + line + i < m.rows && column + lane < m.columns)
      dst[offsets.dst + int64_t(row + line + i) * m.dst_step + column + lane] =
          tile[lane][line + i];
  }
}

Reason supports(const CopyProblem& p, Direction) {
  const int64_t size = p.itemsize;
  if (size != 1 && size != 2 && size != 4 && size != 8 && size != 16) {
    return refused("itemsize is %lld, must be 1, 2, 4, 8 or 16", (long long)size);
  }
  if (p.rank < 0 || p.rank > kMaxRank) {
    return refused("rank is %d, must be at most %d", p.rank, kMaxRank);
  }
  const MergedCopy m = merge_dimensions(p);
  for (int d = 0; d < m.rank; ++d) {
    if (m.shape[d] > INT32_MAX && m.rank > 1) {
      return refused("a side has %lld items, needs under 2**31", (long long)m.shape[d]);
    }
    if (m.strides[d] % size != 0) {
      return refused("a stride is %lld bytes, must be a multiple of the item's %lld",
                     (long long)m.strides[d], (long long)size);
    }
  }
  return accepted();
}

int64_t workspace_bytes(const CopyProblem&, Direction, int) { return 0; }

Outer make_outer(const MergedCopy& m, int skipped, const int64_t* dst_step) {
  Outer outer = {};
  for (int d = 0; d < m.rank - 1; ++d) {
    if (d == skipped) continue;
    outer.by_side[outer.rank] = fast_divide(m.shape[d]);
    outer.src_step[outer.rank] = m.strides[d];
    outer.dst_step[outer.rank++] = dst_step[d];
  }
  return outer;
}

template <class T>
void run_transposed(const MergedCopy& m, int along, const int64_t* dst_step, const char* src,
                    T* dst, void* stream) {
  const int last = m.rank - 1;
  Matrix matrix = {};
  matrix.rows = int32_t(m.shape[along]), matrix.columns = int32_t(m.shape[last]);
  matrix.src_step = m.strides[last], matrix.dst_step = dst_step[along];
  const int64_t row_tiles = ceil_div(m.shape[along], kTile);
  const int64_t column_tiles = ceil_div(m.shape[last], kTile);
  matrix.row_tiles = fast_divide(row_tiles), matrix.column_tiles = fast_divide(column_tiles);
  int64_t matrices = 1;
  for (int d = 0; d < last; ++d) matrices *= d == along ? 1 : m.shape[d];
  launch<copy_transposed<T>>("copy.fprop.strided.transposed",
                             dim3(unsigned(matrices * row_tiles * column_tiles)), dim3(kThreads), 0,
                             stream, make_outer(m, along, dst_step), matrix, src, dst);
}

// T may be wider than the problem's items: sides and strides of m are those of T.
template <class T>
void run_rows(const MergedCopy& m, const int64_t* dst_step, const char* src, T* dst, void* stream) {
  const int last = m.rank - 1;
  const Outer outer = make_outer(m, -1, dst_step);
  const int64_t length = smaller(m.shape[last], kItems);
  for (int64_t first = 0; first < m.shape[last]; first += length) {  // more than once for rank 1
    int64_t items = smaller(length, m.shape[last] - first);
    for (int d = 0; d < last; ++d) items *= m.shape[d];
    launch<copy_rows<T>>("copy.fprop.strided.rows",
                         dim3(unsigned(ceil_div(items, kThreads * kUnroll))), dim3(kThreads), 0,
                         stream, outer, fast_divide(length), m.strides[last], uint32_t(items),
                         src + first * m.strides[last], dst + first);
  }
}

// Whether rows can be moved as 16-byte items, and the copy said in them.
bool widen(MergedCopy& m, int64_t itemsize, const void* src, const void* dst) {
  const int last = m.rank - 1;
  const int64_t ratio = kVectorBytes / itemsize;
  if (ratio == 1 || m.strides[last] != itemsize || m.shape[last] % ratio != 0) return false;
  if (!is_vector_aligned(src) || !is_vector_aligned(dst)) return false;
  for (int d = 0; d < last; ++d) {
    if (m.strides[d] % kVectorBytes != 0) return false;
  }
  m.shape[last] /= ratio;
  m.strides[last] = kVectorBytes;
  return true;
}

template <class T>
void run_whole(const MergedCopy& merged, const CopyArrays& arrays, const char* src, char* dst,
               void* stream) {
  (void)arrays;
  MergedCopy m = merged;
  const bool wide = widen(m, int64_t(sizeof(T)), src, dst);
  int64_t dst_step[kMaxRank], step = 1;
  for (int d = m.rank - 1; d >= 0; --d) {
    dst_step[d] = step;
    step *= m.shape[d];
  }
  if (wide) return run_rows(m, dst_step, src, reinterpret_cast<Item16*>(dst), stream);
  T* const to = reinterpret_cast<T*>(dst);
  const int along = transposed_dimension(m, int64_t(sizeof(T)));
  if (along >= 0) {
    run_transposed(m, along, dst_step, src, to, stream);
  } else {
    run_rows(m, dst_step, src, to, stream);
  }
}

// More items than 32-bit numbers hold are cut along the first dimension.
template <class T>
void run_typed(const CopyProblem& p, const CopyArrays& arrays, void* stream) {
  MergedCopy m = merge_dimensions(p);
  const char* src = static_cast<const char*>(arrays.src);
  char* dst = static_cast<char*>(arrays.dst);
  int64_t inner = 1;
  for (int d = 1; d < m.rank; ++d) inner *= m.shape[d];
  const int64_t whole = m.shape[0];
  const int64_t at_once = m.rank == 1 ? whole : larger(kItems / inner, int64_t(1));
  for (int64_t first = 0; first < whole; first += at_once) {
    m.shape[0] = smaller(at_once, whole - first);
    run_whole<T>(m, arrays, src + first * m.strides[0], dst + first * inner * int64_t(sizeof(T)),
                 stream);
  }
}

void run(const CopyProblem& p, Direction, const CopyArrays& arrays, const Execution& execution) {
  for (int d = 0; d < p.rank; ++d) {
    if (p.shape[d] == 0) return;
  }
  switch (p.itemsize) {
    case 1:
      return run_typed<uint8_t>(p, arrays, execution.stream);
    case 2:
      return run_typed<uint16_t>(p, arrays, execution.stream);
    case 4:
      return run_typed<uint32_t>(p, arrays, execution.stream);
    case 8:
      return run_typed<uint64_t>(p, arrays, execution.stream);
    default:
      return run_typed<Item16>(p, arrays, execution.stream);
  }
}

}  // namespace

extern const CopyKernel copy_strided;
const CopyKernel copy_strided = {supports, workspace_bytes, run};

}  // namespace CK_GPU
}  // namespace ck
