// copy.strided, cpu: any strided array to a dense one. Dimensions are first merged where the source
// lets them, so that three cases remain: rows that are contiguous in the source (memcpy, or one
// value many times), a transposed matrix (square blocks, transposed in registers for 4 and 8 byte
// items, so that both sides are read and written by whole cache lines), and single elements.
#include "cpu/rows.h"
#include "cpu/tasks.h"
#include "ops/copy/merged.h"
#include "ops/copy/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

constexpr int64_t kTaskBytes = 64 * 1024;

struct Item16 {
  uint64_t low, high;
};

Reason supports(const CopyProblem& p, Direction) {
  const int64_t size = p.itemsize;
  if (size != 1 && size != 2 && size != 4 && size != 8 && size != 16) {
    return refused("itemsize is %lld, must be 1, 2, 4, 8 or 16", static_cast<long long>(size));
  }
  if (p.rank < 0 || p.rank > kMaxRank) {
    return refused("rank is %d, must be at most %d", p.rank, kMaxRank);
  }
  return accepted();
}

int64_t workspace_bytes(const CopyProblem&, Direction, int) { return 0; }

// Walks the outer dimensions in order and knows where each row starts in the source.
class RowWalk {
 public:
  RowWalk(const MergedCopy& m, int64_t row) : m_(m), outer_(m.rank - 1), offset_(0) {
    for (int d = outer_ - 1; d >= 0; --d) {
      index_[d] = row % m.shape[d];
      row /= m.shape[d];
      offset_ += index_[d] * m.strides[d];
    }
  }
  int64_t offset() const { return offset_; }
  void next() {
    for (int d = outer_ - 1; d >= 0; --d) {
      offset_ += m_.strides[d];
      if (++index_[d] < m_.shape[d]) return;
      offset_ -= m_.shape[d] * m_.strides[d];
      index_[d] = 0;
    }
  }

 private:
  const MergedCopy& m_;
  int outer_;
  int64_t offset_;
  int64_t index_[kMaxRank];
};

template <class T>
CK_INLINE T load_item(const char* at) {
  T item;
  __builtin_memcpy(&item, at, sizeof(T));
  return item;
}

// For rows of a few cache lines a call of memcpy costs as much as the copy.
CK_INLINE void copy_bytes(char* to, const char* from, int64_t bytes) {
  if (bytes < kVectorBytes || bytes > 4096) {
    __builtin_memcpy(to, from, bytes);
    return;
  }
  typedef char Bytes __attribute__((vector_size(kVectorBytes)));
  Bytes part;
  for (int64_t i = 0; i + kVectorBytes <= bytes; i += kVectorBytes) {
    __builtin_memcpy(&part, from + i, kVectorBytes);
    __builtin_memcpy(to + i, &part, kVectorBytes);
  }
  __builtin_memcpy(&part, from + bytes - kVectorBytes, kVectorBytes);
  __builtin_memcpy(to + bytes - kVectorBytes, &part, kVectorBytes);
}

template <class T>
void copy_items(T* to, const char* from, int64_t stride, int64_t count) {
  if (stride == int64_t(sizeof(T))) {
    copy_bytes(reinterpret_cast<char*>(to), from, count * int64_t(sizeof(T)));
  } else if (stride == 0) {
    fill(to, count, load_item<T>(from));
  } else if (stride == -int64_t(sizeof(T))) {  // reversed: with the step known this is a shuffle
    for (int64_t i = 0; i < count; ++i) to[i] = load_item<T>(from - i * int64_t(sizeof(T)));
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = load_item<T>(from + i * stride);
  }
}

// Rows of the innermost dimension, cut so that tasks are neither tiny nor few.
template <class T>
void copy_rows(const MergedCopy& m, const char* src, T* dst, int threads) {
  const int outer_rank = m.rank - 1;
  const int64_t length = m.shape[outer_rank];
  const int64_t cut = min_of(length, max_of(1, kTaskBytes / int64_t(sizeof(T))));
  const int64_t cuts = ceil_div(length, cut);
  int64_t rows = 1;
  for (int d = 0; d < outer_rank; ++d) rows *= m.shape[d];
  const int64_t rows_per_task = max_of(1, cut / length);
  const int64_t row_tasks = ceil_div(rows, rows_per_task);
  run_tasks(row_tasks * cuts, threads, [&](int64_t task, int64_t) {
    const int64_t first = task % cuts * cut, count = min_of(cut, length - first);
    const int64_t begin = task / cuts * rows_per_task;
    const int64_t end = min_of(rows, begin + rows_per_task);
    RowWalk walk(m, begin);
    for (int64_t row = begin; row < end; ++row, walk.next()) {
      copy_items(dst + row * length + first, src + walk.offset() + first * m.strides[outer_rank],
                 m.strides[outer_rank], count);
    }
  });
}

template <class T>
CK_INLINE void transpose_items(T* to, int64_t to_step, const T* from, int64_t from_step,
                               int64_t rows, int64_t columns) {
  for (int64_t j = 0; j < columns; ++j) {
    for (int64_t i = 0; i < rows; ++i) to[j * to_step + i] = from[i * from_step + j];
  }
}
CK_INLINE void transpose_items(uint32_t* to, int64_t to_step, const uint32_t* from,
                               int64_t from_step, int64_t rows, int64_t columns) {
  transpose(reinterpret_cast<const float*>(from), from_step, rows, columns,
            reinterpret_cast<float*>(to), to_step);
}
CK_INLINE void transpose_items(uint64_t* to, int64_t to_step, const uint64_t* from,
                               int64_t from_step, int64_t rows, int64_t columns) {
  transpose(reinterpret_cast<const double*>(from), from_step, rows, columns,
            reinterpret_cast<double*>(to), to_step);
}

// The source is contiguous along dimension `along`, the result along the last one.
template <class T>
void copy_transposed(const MergedCopy& m, int along, const char* src, T* dst, int threads) {
  constexpr int64_t kBlock = 64;  // items along the source, two cache lines and more
  const int last = m.rank - 1;
  MergedCopy outer = {};
  int64_t dst_step[kMaxRank];
  int64_t step = 1, count = 1;
  for (int d = last; d >= 0; --d) {
    dst_step[d] = step;
    step *= m.shape[d];
  }
  int64_t outer_step[kMaxRank];
  for (int d = 0; d < last; ++d) {
    if (d == along) continue;
    outer.shape[outer.rank] = m.shape[d];
    outer.strides[outer.rank] = m.strides[d];
    outer_step[outer.rank++] = dst_step[d];
    count *= m.shape[d];
  }
  const int64_t blocks_a = ceil_div(m.shape[along], kBlock);
  const int64_t blocks_b = ceil_div(m.shape[last], kBlock);
  const int64_t src_step = m.strides[last] / int64_t(sizeof(T));
  run_tasks(count * blocks_a * blocks_b, threads, [&](int64_t task, int64_t) {
    const int64_t b = task % blocks_b * kBlock, a = task / blocks_b % blocks_a * kBlock;
    int64_t index = task / blocks_b / blocks_a;
    const char* from = src + a * int64_t(sizeof(T)) + b * m.strides[last];
    T* to = dst + a * dst_step[along] + b;
    for (int d = outer.rank - 1; d >= 0; --d) {
      from += index % outer.shape[d] * outer.strides[d];
      to += index % outer.shape[d] * outer_step[d];
      index /= outer.shape[d];
    }
    transpose_items(to, dst_step[along], reinterpret_cast<const T*>(from), src_step,
                    min_of(kBlock, m.shape[last] - b), min_of(kBlock, m.shape[along] - a));
  });
}

template <class T>
void run_typed(const CopyProblem& p, const CopyArrays& arrays, int threads) {
  const MergedCopy m = merge_dimensions(p);
  const char* const src = static_cast<const char*>(arrays.src);
  T* const dst = static_cast<T*>(arrays.dst);
  const int along = transposed_dimension(m, int64_t(sizeof(T)));
  const bool aligned = reinterpret_cast<uintptr_t>(src) % alignof(T) == 0;
  if (along >= 0 && aligned) {
    copy_transposed(m, along, src, dst, threads);
  } else {
    copy_rows(m, src, dst, threads);
  }
}

void run(const CopyProblem& p, Direction, const CopyArrays& arrays, const Execution& execution) {
  for (int d = 0; d < p.rank; ++d) {
    if (p.shape[d] == 0) return;
  }
  switch (p.itemsize) {
    case 1:
      return run_typed<uint8_t>(p, arrays, execution.threads);
    case 2:
      return run_typed<uint16_t>(p, arrays, execution.threads);
    case 4:
      return run_typed<uint32_t>(p, arrays, execution.threads);
    case 8:
      return run_typed<uint64_t>(p, arrays, execution.threads);
    default:
      return run_typed<Item16>(p, arrays, execution.threads);
  }
}

}  // namespace

extern const CopyKernel copy_strided;
const CopyKernel copy_strided = {supports, workspace_bytes, run};

}  // namespace CK_ISA
}  // namespace ck
