// The matrix product under every dense cpu kernel: C = A B in the block structure of GotoBLAS and
// BLIS.
//
// A register tile is kTileRows x kTileCols: A gives its elements one by one (broadcast), B and C
// are vectors along columns. Per step of gemm_k the AVX-512 float tile does 28 fused multiply-adds
// on 2 vector loads and 14 broadcasts, so both multiply ports stay busy (14 x 32, 28 accumulators
// of 32 registers); AVX2: 6 x 16, 12 of 16; NEON 12 x 8. Edge tiles run the same code with fewer
// rows (a template parameter) or one vector instead of two, so no multiply is spent on padding
// rows, and rows are shared evenly: 64 rows are 5 tiles of 12 or 13, not 4 of 14 and one of 8.
//
// Summation tree, the same for every element wherever its tile lies: gemm_k is cut at multiples of
// kDepthBlock and each block at multiples of kChain; a chain of multiply_add starts from zero,
// chains are added in order to a block's sum, kSumGroup block sums in order to a group's, and those
// in the levels of cpu/sums.h. Threads share out tiles of C, never a sum. StrictTree is that of
// precision="strict" instead (core/strict_sum.h).
//
// Operands are functors, so that packing can be the implicit im2col of a convolution:
//   A: RowTile<T> rows(i, count, k, depth, space)
//      Rows [i, i + count) over gemm_k [k, k + depth); element (r, d) at [r * stride + d]. May
//      point into the array itself, or pack into `space` (kTileRows rows of kPackedRow).
//   B: const T* panels(cols, k, depth, space)
//      Panels of kTileCols columns, each [depth][kTileCols]. Lanes past the last column may hold
//      anything: their sums are never stored.
//   Store: void tile(i, rows, j, cols, sums)
//      Takes finished sums, [rows][kTileCols].
//
// Loop order: block of gemm_k, row tile, panel. The row tile (15 KB) stays in L1, the panels of the
// block in L2, and sums of unfinished groups in a scratch array of whole tiles, so that C itself is
// touched once, by the epilogue.
#pragma once

#include <cstdint>

#include "cpu/strict.h"
#include "cpu/sums.h"
#include "cpu/vec.h"

namespace ck {
namespace CK_ISA {

#if defined(__AVX512F__)
constexpr int kTileRows = 14;
#elif defined(__AVX2__)
constexpr int kTileRows = 6;
#elif defined(__aarch64__)
constexpr int kTileRows = 12;
#else
constexpr int kTileRows = 4;
#endif
constexpr int kTileVecs = 2;
constexpr int kDepthBlock = 256;

template <class T>
constexpr int kTileCols = kTileVecs * kLanes<T>;
// One cache line longer than the block, else all rows of a packed tile would compete for a quarter
// of the cache sets.
template <class T>
constexpr int kPackedRow = kDepthBlock + 64 / int(sizeof(T));

static CK_INLINE int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
static CK_INLINE int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }
static CK_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static CK_INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

struct Span {
  int64_t begin, end;
  CK_INLINE int64_t size() const { return end - begin; }
};

// Part `index` of `parts` nearly equal ones.
static CK_INLINE Span share_of(Span whole, int64_t index, int64_t parts) {
  return {whole.begin + whole.size() * index / parts,
          whole.begin + whole.size() * (index + 1) / parts};
}

template <class T>
struct RowTile {
  const T* at;
  int64_t stride;
};

// How chains are made, and how many blocks of gemm_k make a group. A block's chains are added up
// before its sum joins the group's (kBlockSums), or join the group's one by one.
struct QuickTree {
  static constexpr bool kBlockSums = true;
  static constexpr int kGroupBlocks = kSumGroup, kLevels = kSumLevels;
  template <class T>
  static CK_INLINE Vec<T> step(Vec<T> a, Vec<T> b, Vec<T> sum) {
    return multiply_add(a, b, sum);
  }
};
struct StrictTree {
  static constexpr bool kBlockSums = false;
  static constexpr int kGroupBlocks = kStrictChain * kStrictGroup / kDepthBlock, kLevels = 2;
  static_assert(kStrictChain == kChain && kStrictGroup == kSumGroup);
  template <class T>
  static CK_INLINE Vec<T> step(Vec<T> a, Vec<T> b, Vec<T> sum) {
    return fused(a, b, sum);
  }
};

// out = (before or 0) + A tile * B panel, the product being the sum in order of its chains.
// `before` may be `out`.
template <class Tree, class T, int kRows, int kVecs>
static void multiply_tile(int64_t depth, RowTile<T> a, const T* b, const T* before, T* out) {
  constexpr int kStep = kLanes<T>;
  alignas(64) T partial[kRows * kTileCols<T>];
  // Every third row has a pointer of its own: base, base + stride and base + 2 * stride are
  // addresses without arithmetic, and 14 pointers would not fit the general registers.
  const int64_t stride = a.stride;
  const T* base[(kRows + 2) / 3];
#pragma GCC unroll 8
  for (int g = 0; g < (kRows + 2) / 3; ++g) base[g] = a.at + 3 * g * stride;

  int64_t begin = 0;
  do {
    const int64_t end = min_of(begin + kChain, depth);
    Vec<T> sum[kRows][kVecs];
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) sum[i][v] = Vec<T>::zero();
    }
    for (int64_t k = begin; k < end; ++k) {
      Vec<T> right[kVecs];
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) right[v] = Vec<T>::load(b + v * kStep);
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        const Vec<T> left = Vec<T>::broadcast(base[i / 3][(i % 3) * stride]);
#pragma GCC unroll 4
        for (int v = 0; v < kVecs; ++v) sum[i][v] = Tree::step(left, right[v], sum[i][v]);
      }
#pragma GCC unroll 8
      for (int g = 0; g < (kRows + 2) / 3; ++g) ++base[g];
      b += kTileCols<T>;
    }
    const T* const chains = begin > 0 ? partial : Tree::kBlockSums ? nullptr : before;
    const T* const blocks = Tree::kBlockSums && end == depth ? before : nullptr;
    T* const to = end == depth ? out : partial;
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) {
        const int64_t at = i * kTileCols<T> + v * kStep;
        if (chains != nullptr) sum[i][v] = Vec<T>::load(chains + at) + sum[i][v];
        if (blocks != nullptr) sum[i][v] = Vec<T>::load(blocks + at) + sum[i][v];
        sum[i][v].store(to + at);
      }
    }
    begin = end;
  } while (begin < depth);
}

template <class T>
using TileFunction = void (*)(int64_t depth, RowTile<T> a, const T* b, const T* before, T* out);

template <class Tree, class T, int kVecs, int kRows = kTileRows>
static TileFunction<T> tile_function_of_rows(int rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return tile_function_of_rows<Tree, T, kVecs, kRows - 1>(rows);
  }
  return multiply_tile<Tree, T, kRows, kVecs>;
}

// The code for a tile of `rows` rows and `cols` columns that hold something.
template <class T, class Tree = QuickTree>
static TileFunction<T> tile_function(int rows, int64_t cols) {
  return cols <= kLanes<T> ? tile_function_of_rows<Tree, T, 1>(rows)
                           : tile_function_of_rows<Tree, T, 2>(rows);
}

// Memory of one worker for block tiles of at most `rows` x `cols` and sums of at most `depth`;
// every part is a multiple of 64 bytes.
template <class T>
struct GemmScratch {
  T* row_tile;    // kTileRows x kPackedRow
  T* tile;        // kTileRows x kTileCols
  T* panels;      // kDepthBlock x cols, rounded up to whole panels
  T* sums;        // rows x cols, likewise: of the blocks of a group
  T* levels;      // kSumLevels times as much: of groups; none if there is but one
  int64_t level;  // elements of one

  template <class Tree = QuickTree, class Arena>
  static GemmScratch take(Arena& arena, int64_t rows, int64_t cols, int64_t depth) {
    const int64_t padded = round_up(cols, kTileCols<T>);
    GemmScratch s;
    s.row_tile = arena.template take<T>(kTileRows * kPackedRow<T>);
    s.tile = arena.template take<T>(kTileRows * kTileCols<T>);
    s.panels = arena.template take<T>(kDepthBlock * padded);
    s.sums = arena.template take<T>(rows * padded);
    s.level = rows * padded;
    const bool has_groups = depth > Tree::kGroupBlocks * kDepthBlock;
    s.levels = arena.template take<T>(has_groups ? Tree::kLevels * s.level : 0);
    return s;
  }
};

// A block of gemm_k, within the sum `depth`.
struct DepthStep {
  int64_t begin, end;
  int64_t groups;      // that are complete before
  bool opens, closes;  // a group
  bool last;

  DepthStep(Span depth, int64_t from, int group_blocks = kSumGroup) {
    const int64_t first = depth.begin / kDepthBlock, block = from / kDepthBlock - first;
    begin = from;
    end = min_of(depth.end, (from / kDepthBlock + 1) * kDepthBlock);
    groups = block / group_blocks;
    opens = block % group_blocks == 0;
    last = end == depth.end;
    closes = last || (block + 1) % group_blocks == 0;
  }
};

// multiply_tile of a block for the tile whose sums lie at `at` in the scratch. Returns the finished
// sums after the last block, else null.
template <class Tree = QuickTree, class T>
static CK_INLINE const T* add_tile(const DepthStep& step, TileFunction<T> multiply, int64_t rows,
                                   RowTile<T> a, const T* b, int64_t at,
                                   const GemmScratch<T>& scratch) {
  T* const sums = scratch.sums + at;
  T* const out = step.closes ? scratch.tile : sums;
  multiply(step.end - step.begin, a, b, step.opens ? nullptr : sums, out);
  if (!step.closes) return nullptr;
  if (step.groups > 0 || !step.last) {
    const int64_t count = rows * kTileCols<T>;
    T* const levels = scratch.levels + at;
    add_to_levels<Tree::kLevels>(levels, scratch.level, count, step.groups, out);
    if (step.last) add_levels<Tree::kLevels>(levels, scratch.level, count, step.groups + 1, out);
  }
  return step.last ? out : nullptr;
}

// One block tile of C: rows x cols over all of `depth`, handed to `store` tile by tile. An empty
// depth stores zeros.
template <class Tree = QuickTree, class T, class A, class B, class Store>
static void gemm_block(Span rows, Span cols, Span depth, const A& a, const B& b, const Store& store,
                       const GemmScratch<T>& scratch) {
  const int64_t panels = ceil_div(cols.size(), kTileCols<T>);
  const int64_t row_tiles = ceil_div(rows.size(), kTileRows);
  int64_t k = depth.begin;
  do {
    const DepthStep step(depth, k, Tree::kGroupBlocks);
    const int64_t length = step.end - k;
    const T* right = length > 0 ? b.panels(cols, k, length, scratch.panels) : scratch.panels;
    for (int64_t t = 0; t < row_tiles; ++t) {
      const Span span = share_of(rows, t, row_tiles);
      const int count = int(span.size());
      const RowTile<T> left = length > 0 ? a.rows(span.begin, count, k, length, scratch.row_tile)
                                         : RowTile<T>{scratch.row_tile, 0};
      const TileFunction<T> whole = tile_function<T, Tree>(count, kTileCols<T>);
      int64_t at = (span.begin - rows.begin) * panels * kTileCols<T>;
      for (int64_t p = 0; p < panels; ++p, at += count * kTileCols<T>) {
        const int64_t j = cols.begin + p * kTileCols<T>;
        const int64_t width = min_of(cols.end - j, kTileCols<T>);
        const TileFunction<T> multiply =
            width > kLanes<T> ? whole : tile_function<T, Tree>(count, width);
        const T* const sums = add_tile<Tree>(step, multiply, count, left,
                                             right + p * length * kTileCols<T>, at, scratch);
        if (sums != nullptr) store.tile(span.begin, count, j, int(width), sums);
      }
    }
    k = step.end;
  } while (k < depth.end);
}

}  // namespace CK_ISA
}  // namespace ck
